"""A bus within a test: the real router, matcher, retries and queues in memory, handlers called in this process.

Everything happens inside `put` and `advance`: they return when nothing is left to do at the clock's time. So a test
is a plain function that never sleeps. What a handler raises is an attempt that failed; its traceback is printed.
A batch handler gets its events as a server would give them to it (`local_batches`).
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from busway.arn import DEAD_LETTERS, DEFAULT_BUS, Scope
from busway.batch_handling import BatchHandler
from busway.bus.put_events import EventEntry
from busway.bus.record import TargetSpec
from busway.bus.room import BusRoom
from busway.bus.routing import Ports
from busway.clock import ManualClock, SystemEntropy
from busway.config import Settings
from busway.delivery import InputTransformer, Target
from busway.delivery.outbox import Outbox, Parts
from busway.engine.memory import MemoryEngine
from busway.errors import HandlerHangs, HandlerNotOnBus, PublishFailed, Refusal, RuleNotOnBus
from busway.event import Event
from busway.function.definitions.attached import own
from busway.function.definitions.books import Books
from busway.function.invocation.asynchronous import Dispatcher
from busway.function.invocation.desk import Desk
from busway.function.invocation.letters import Work
from busway.function.invocation.queued import Queued
from busway.function.invocation.retry import parse_waits
from busway.function.once import OnceStore
from busway.function.record import EventInvoke, FunctionRecord, function_arn
from busway.function.workers.crew import Run
from busway.function.workers.worker import Answer
from busway.handling import ONCE_EVENT, ONCE_TAG, Handler, duration_s
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.road.rules import RuleFile, Transformer
from busway.targets.bus import BusTarget
from busway.targets.function import FunctionTarget
from busway.targets.queue import QueueTarget
from busway.testing.attempts import Attempt, Envelope, Letter, letters_in
from busway.trail import Trail

if TYPE_CHECKING:
    from busway.testing.local_batches import LocalBatches

T = TypeVar("T")
AnyHandler = Handler[Any, Any] | BatchHandler[Any, Any]

SCOPE = Scope()
# Ours: how long handlers may really take until a test is told which of them hangs, in seconds of the machine.
PATIENCE_S = 30.0
LETTERS_SHOWN = 1_000
# What ended a moment ago is still setting the clock for what comes next: time moves on only when that is done.
STILL_ROUNDS = 4
# A handler is never too busy here.
CAPACITY = 1_000


class BusClock:
    """The bus's time, which stands still until it is moved."""

    def __init__(self, bus: LocalBus, clock: ManualClock) -> None:
        self._bus, self._clock = bus, clock

    def now(self) -> float:
        """Unix seconds."""
        return self._clock.now()

    def advance(self, time: str | int) -> None:
        """Move on by `"30s"`, `"3m"`, `"6h"` or a number of seconds; what is due on the way happens at its time."""
        self._bus.run(self._clock.advance(duration_s(time), self._bus.quiet))


class _Boundless:
    """Room for whatever comes."""

    def capacity(self, function_arn: str) -> int:
        return CAPACITY

    def running(self, function_arn: str) -> int:
        return 0


class LocalBus:
    """The bus of one test; the fixture `bus`. Handlers of the project around the test take its events."""

    def __init__(self, bus_name: str = DEFAULT_BUS) -> None:
        self._name = bus_name
        self._loop = asyncio.new_event_loop()
        self._handlers: dict[str, AnyHandler] = {}
        self._attempts: dict[str, list[Attempt]] = {}
        self._rules: set[str] = set()
        self._dispatchers: list[tuple[Dispatcher, asyncio.Task[None]]] = []
        # Made with the first batch handler: their part of the server is a tenth of a second of imports.
        self._batches: LocalBatches | None = None
        self._clock = ManualClock()
        self.clock = BusClock(self, self._clock)
        self.run(self._open())

    async def _open(self) -> None:
        clock, entropy, settings = self._clock, SystemEntropy(), Settings()
        self._engine = engine = MemoryEngine(clock)
        self._metrics = metrics = Metrics(clock)
        self._trail = trail = Trail(clock)
        self._queues = SqsQueues(engine, clock, entropy, metrics)
        self._books = Books(engine, clock, entropy)
        self._room = BusRoom(engine, clock, entropy, metrics, trail, settings)
        letters = QueueDeadLetters(self._queues, metrics)
        await self._queues.open()
        await self._room.open()
        self._targets: dict[str, Target] = {
            "lambda": FunctionTarget(Queued(self._books)), "sqs": QueueTarget(self._queues),
            "events": BusTarget(self._room.publisher, clock, entropy),
        }  # fmt: skip
        self._desk = Desk(
            engine, clock, metrics, trail, self._books, _Boundless(), letters, None,
            parse_waits(settings.async_retry_s), self._attempt, OnceStore(engine.records, clock),
        )  # fmt: skip
        self._outbox = Outbox(Parts(engine, clock, entropy, metrics, trail, self._targets, letters))
        self._router = self._room.router(Ports(self._targets, self._outbox, letters))
        if self._name != DEFAULT_BUS:
            await self._room.buses.create(self._name, SCOPE, {}, {})
        await self._outbox.open()
        await self._router.open()

    def close(self) -> None:
        """End it; what was still to be tried is forgotten."""
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        for _, task in self._dispatchers:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._dispatchers), return_exceptions=True)
        if self._batches is not None:
            await self._batches.close()
        await self._router.close()
        await self._outbox.close()
        await self._engine.close()

    # --- for tests ---

    def add(self, handler: AnyHandler, name: str | None = None) -> None:
        """Let a handler take its events. Those of the project are there already."""
        name = name or handler.options.name or handler.function.__name__
        self._handlers[name] = handler
        self._attempts[name] = []
        self.run(self._deploy(name, handler))

    def add_rule(self, name: str, rule: RuleFile) -> None:
        """Let a rule see its events. Those of the project are there already, in a test in `rules/`."""
        self._rules.add(name)
        self.run(self._deploy_rule(name, rule))

    def put(self, event: Event | Mapping[str, Any], *, resources: Sequence[str] | None = None) -> str:
        """Put a typed event, or an entry as boto3's `put_events` takes it, and let happen what it causes; its id.

        Raises `PublishFailed` when the bus refuses it.
        """
        entry = event.to_entry(bus=self._name, resources=resources) if isinstance(event, Event) else dict(event)
        entry.setdefault("EventBusName", self._name)
        given = msgspec.convert(entry, EventEntry)
        (result,) = self.run(self._room.publisher.put_events([given], SCOPE, None))
        if result.event_id is None:
            code, reason = str(result.error_code), str(result.error_message)
            raise PublishFailed([Refusal.of(entry, code, reason)])
        return result.event_id

    def fire(self, handler: AnyHandler | str) -> None:
        """Let a handler's schedule be due now, and happen what that causes. By itself none is ever due here."""
        rule = SCOPE.arn("events", f"rule/{self._name_of(handler)}")
        bus = SCOPE.arn("events", f"event-bus/{DEFAULT_BUS}")
        self.run(self._room.publisher.tick(bus, rule, self._clock.now()))

    def sent(self, rule: str) -> list[Any]:
        """What a rule of the project handed to its targets, oldest first: each event once for each of them."""
        if rule not in self._rules:
            raise RuleNotOnBus(rule, sorted(self._rules))
        browsed = self._loop.run_until_complete(self._engine.queues.browse(_sent_by(rule), LETTERS_SHOWN))
        return [msgspec.json.decode(item.body) for item in browsed]

    def attempts(self, handler: AnyHandler | str) -> list[Attempt]:
        """Every call of a handler so far, oldest first: with an event, or with a batch of them."""
        return list(self._attempts[self._name_of(handler)])

    def handled(self, handler: AnyHandler | str) -> list[Envelope]:
        """The events that a handler took without an error; of a batch those that it did not report as failed."""
        return [event for attempt in self.attempts(handler) for event in attempt.handled]

    def dead_letters(self, handler: AnyHandler | str) -> list[Letter]:
        """The events that were given up for a handler, oldest first."""
        items = self._engine.queues.browse(_letters_of(self._name_of(handler)), LETTERS_SHOWN)
        return [letter for item in self._loop.run_until_complete(items) for letter in letters_in(item)]

    def show(self, error: Exception) -> None:
        """Print what a handler raised: pytest keeps it for a test that fails."""
        traceback.print_exception(error, file=sys.stderr)

    # --- what runs it ---

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it, and all that follows from it."""
        result = self._loop.run_until_complete(work)
        self._loop.run_until_complete(self.quiet())
        return result

    async def quiet(self) -> None:
        """Return when nothing is left to do at the clock's time. Raises `HandlerHangs`."""
        give_up_at, still = self._loop.time() + PATIENCE_S, 0
        while True:
            for _ in range(5):
                await asyncio.sleep(0)
            still = 0 if await self._busy() else still + 1
            if still == STILL_ROUNDS:
                return
            if self._loop.time() > give_up_at:
                raise HandlerHangs(PATIENCE_S)

    async def _busy(self) -> bool:
        engine = self._engine
        for bus in self._room.buses.all():
            if await engine.journal.position(bus.arn, "router") < await engine.journal.head(bus.arn):
                return True
        if any(not dispatcher.idle for dispatcher, _ in self._dispatchers):
            return True
        for name in self._handlers:
            if (await engine.queues.counts(function_arn(SCOPE, name))).ready:
                return True
        return self._batches is not None and await self._batches.busy()

    def _name_of(self, handler: AnyHandler | str) -> str:
        known = [name for name, one in self._handlers.items() if handler in (name, one)]
        if not known:
            asked = handler if isinstance(handler, str) else handler.function.__name__
            raise HandlerNotOnBus(asked, sorted(self._handlers))
        return known[0]

    async def _deploy(self, name: str, handler: AnyHandler) -> None:
        options, arn = handler.options, function_arn(SCOPE, name)
        await self._queues.create(SCOPE, _letters_of(name).rsplit(":", 1)[1])
        tags = {ONCE_TAG: ONCE_EVENT} if options.once else {}
        now = self._clock.now()
        await self._books.functions.put(arn, "", FunctionRecord(
            arn=arn, runtime="python3", handler=name, role="", code="", code_sha256="", code_size=0, revision="1",
            modified_at=now, timeout_s=options.timeout_s, memory_mb=options.memory_mb,
            dead_letter_arn=_letters_of(name), tags=tags,
        ))  # fmt: skip
        if isinstance(handler, BatchHandler):
            await (await self._for_batches()).add(name, handler, self._name, _letters_of(name))
            return
        invoke = EventInvoke(now, options.retries, options.max_age_s)
        await self._books.event_invokes.put(arn, own(""), invoke)
        if options.schedule:
            bus, trigger = DEFAULT_BUS, {"ScheduleExpression": options.schedule}
        else:
            bus, trigger = self._name, {"EventPattern": msgspec.json.encode(handler.pattern()).decode()}
        await self._room.rules.put(name, bus, SCOPE, trigger)
        await self._room.rules.put_targets(name, bus, SCOPE, [TargetSpec(id="handler", arn=arn)])
        dispatcher = Dispatcher(arn, self._desk)
        self._dispatchers.append((dispatcher, self._loop.create_task(dispatcher.run())))

    async def _for_batches(self) -> LocalBatches:
        if self._batches is None:
            from busway.testing.local_batches import Ground, HandlersHere, LocalBatches

            ground = Ground(
                SCOPE, self._engine, self._clock, SystemEntropy(), self._metrics, self._trail, self._queues,
                self._books, self._room, self._targets,
            )  # fmt: skip
            here = HandlersHere(self._clock, self._books, self.run_batch, self.show, self._attempts)
            self._batches = LocalBatches(ground, here)
            await self._batches.open()
        return self._batches

    async def _deploy_rule(self, name: str, rule: RuleFile) -> None:
        """Whatever its targets are: here a queue stands for them."""
        await self._queues.create(SCOPE, _sent_by(name).rsplit(":", 1)[1])
        trigger = {"EventPattern": msgspec.json.encode(rule.event_pattern).decode()}
        await self._room.rules.put(f"rule-{name}", self._name, SCOPE, trigger)

        def transformer(given: Transformer | None) -> InputTransformer | None:
            return given and InputTransformer(given.input_template, given.input_paths_map)

        targets = [
            TargetSpec(
                id=str(number), arn=_sent_by(name), input=target.input, input_path=target.input_path,
                input_transformer=transformer(target.input_transformer),
            )
            for number, target in enumerate(rule.targets)
        ]  # fmt: skip
        await self._room.rules.put_targets(f"rule-{name}", self._name, SCOPE, targets)

    async def run_batch(self, name: str, payload: dict[str, Any]) -> Any:
        """What the handler answers to Lambda's event of a batch. Raises what it raises."""
        handler = self._handlers[name]
        if inspect.iscoroutinefunction(handler.function):
            # It begins an event loop, and there is one in this thread.
            return await asyncio.to_thread(lambda: handler(payload, None))
        return handler(payload, None)

    async def _attempt(
        self, record: FunctionRecord, payload: bytes, work: Work, attempt: int, start_by: float
    ) -> Run:
        raw, now, handler = msgspec.json.decode(payload), self._clock.now(), self._handlers[record.name]
        failed: Exception | None = None
        try:
            result = handler.function(handler.event_class.from_envelope(raw))
            if inspect.iscoroutine(result):
                result = await result
            answer = Answer(msgspec.json.encode(result))
        except Exception as error:  # noqa: BLE001, a handler may raise anything: it is what its attempt ended with
            self.show(error)
            failed, kind = error, type(error).__name__
            told = {"errorMessage": str(error), "errorType": kind, "requestId": work.request_id}
            answer = Answer(msgspec.json.encode(told), kind)
        self._attempts[record.name].append(Attempt([raw], attempt, now, failed, [raw] if failed else []))
        return Run(answer, 0.0, None, 0, record.memory_mb, b"")


def _sent_by(rule: str) -> str:
    return SCOPE.arn("sqs", f"rule-{rule}")


def _letters_of(name: str) -> str:
    return SCOPE.arn("sqs", name + DEAD_LETTERS)
