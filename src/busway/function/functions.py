"""The function room as others see it: what functions there are, and how they are invoked.

registry        create, change, delete; versions, aliases, attached, urls: what belongs to a function
resolve         what runs for a function and a qualifier
invoke          now, and wait for the answer
invocation_put  later: the row that makes an asynchronous invocation, put by whoever has a promise to keep
logs            what they printed
once            which steps of theirs completed
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from busway.arn import Scope
from busway.clock import Clock, Entropy, SystemClock, first_of, uuids
from busway.config import Settings, data_folder, environment, shared_folders
from busway.delivery.dead_letter import DeadLetters, Source
from busway.engine import Engine, Put
from busway.errors import (
    FunctionNotReady,
    FunctionThrottled,
    InvalidPayload,
    PayloadTooLarge,
    RecursiveInvocation,
)
from busway.function.build import Builder
from busway.function.build.environments import Environments
from busway.function.build.tools import Machine
from busway.function.definitions.attached import Attached
from busway.function.definitions.books import Books
from busway.function.definitions.building import Building
from busway.function.definitions.code_store import CodeStore
from busway.function.definitions.download import Downloads
from busway.function.definitions.live_code import LiveCode
from busway.function.definitions.registry import Registry
from busway.function.definitions.urls import FunctionUrls
from busway.function.definitions.versions import Aliases, Versions
from busway.function.invocation import lineage
from busway.function.invocation.asynchronous import Dispatcher
from busway.function.invocation.desk import Desk, Destinations, TooOld
from busway.function.invocation.letters import Work, is_json
from busway.function.invocation.meters import Meters
from busway.function.invocation.queued import Queued
from busway.function.invocation.report import addressed, closing_lines, init_lines, start_line
from busway.function.invocation.retry import parse_waits
from busway.function.logs import Line, Logs
from busway.function.once import OnceStore
from busway.function.record import ACTIVE, ALLOW, LATEST, FunctionRecord, parts_of, qualified, split
from busway.function.runtimes import RUNTIMES, Runtime
from busway.function.workers.environment import Surroundings
from busway.function.workers.plans import Credentials, Plans, Secret, any_credentials, no_secrets
from busway.function.workers.pool import PATIENCE_S, Pool, Run
from busway.function.workers.process import Spawn
from busway.function.workers.rate import rate_in
from busway.function.workers.runtime_api import Invocation
from busway.function.workers.sandbox import sandbox_for
from busway.function.workers.worker import Plan
from busway.handling import DRY_RUN
from busway.metrics import Metrics
from busway.secret.reference import names_in
from busway.tracing import begun_by, is_trace, sent_from, span_id
from busway.trail import Trail

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (1 MB since January 2026)
SYNC_BYTES_MAX = 6_291_456
ASYNC_BYTES_MAX = 1_048_576
TAIL_BYTES = 4_096


def only_written(folder: Path) -> None:
    """For engines that keep nothing over a power cut: what was written need not be synced either."""


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """What a synchronous invocation gives. `function_error` is "Unhandled" or None; `log_tail` the last 4 KB."""

    payload: bytes
    request_id: str
    function_error: str | None = None
    log_tail: bytes | None = None
    executed_version: str = LATEST


class Functions:
    """All functions of this server."""

    def __init__(
        self, engine: Engine, clock: Clock, entropy: Entropy, metrics: Metrics, trail: Trail, spawn: Spawn,
        settings: Settings, dead_letters: DeadLetters, *, destinations: Destinations | None = None,
        credentials_for: Credentials = any_credentials, secret: Secret = no_secrets,
        credentials_ended: Callable[[str], None] = lambda _: None, endpoint: str | None = None,
        machine_clock: Clock | None = None, runtimes: dict[str, Runtime] | None = None,
        sync_tree: Callable[[Path], None] = only_written, builder: Builder | None = None,
    ) -> None:  # fmt: skip
        """`machine_clock` is what processes live by, also when `clock` is moved by hand; the system's by default.

        `credentials_ended` is called with the access key of a worker that is gone. `endpoint` is where handlers reach
        this server (`http://127.0.0.1:4566`).
        """
        machine = machine_clock or SystemClock()
        data = data_folder(settings).absolute()
        self.endpoint = endpoint or f"http://{settings.host}:{settings.port}"
        bounds = {"function_bytes": settings.log_mb_per_function << 20, "total_bytes": settings.log_mb_total << 20}
        self.logs = Logs(data / "logs", machine, **bounds)
        self.code = CodeStore(data / "functions", entropy, live_allowed=not settings.access_keys, sync_tree=sync_tree)
        self._books = Books(engine, clock, entropy)
        # Names the processes of this data folder's servers, also of one that died.
        self.mark = hashlib.sha256(str(data).encode()).hexdigest()[:16]
        self.sandbox = sandbox_for(settings.sandbox, data, environment(), shared_folders(settings))
        self.machine = tools = Machine(spawn, machine, environment(), self.mark, self.sandbox)
        builder = builder or Environments(data, tools, machine, entropy, sync_tree)
        self._building = Building(self._books, self.code, builder)
        self.versions, self.aliases = Versions(self._books, self.code), Aliases(self._books)
        self.attached, self.urls = Attached(self._books), FunctionUrls(self._books)
        self.registry = Registry(self._books, self.code, self._building, self.versions)
        self._live = LiveCode(self._books, self.registry, self._building, machine)
        self.downloads = Downloads(clock, entropy, self.code)
        self.once = OnceStore(engine.records, clock)
        self._spawn, self._settings = spawn, settings
        self._engine, self._clock, self._entropy, self._machine = engine, clock, entropy, machine
        self._meters, self._trail, self._scratch = Meters(metrics), trail, data / "tmp"
        plans = Plans(
            self._books, self.code, self.once, dict(RUNTIMES) if runtimes is None else runtimes,
            Surroundings(self.endpoint, settings.upstream, environment()), credentials_for, self.sandbox,
            self._scratch, self.mark, clock, secret,
        )  # fmt: skip
        self._pool = Pool(
            spawn, machine, self._printed, plans, workers_max=settings.workers_max,
            idle_s=settings.worker_idle_s,
        )  # fmt: skip
        self._pool.listen(self._room, lambda plan: credentials_ended(plan.environment["AWS_ACCESS_KEY_ID"]))
        self.invocation_put = Queued(self._books).invocation_put
        self._desk = Desk(
            engine, clock, metrics, trail, self._books, self._pool, dead_letters, destinations,
            parse_waits(settings.async_retry_s), self._attempt, self.once,
        )  # fmt: skip
        self._dispatchers: dict[str, tuple[Dispatcher, asyncio.Task[None]]] = {}
        # What the pool runs of each function.
        self._crews: dict[str, set[str]] = {}

    # --- open and close ---

    async def open(self) -> None:
        """Load the functions, end what an earlier server left running, and take up the queued work."""
        await self._spawn.sweep(f"{self.mark}/")
        await asyncio.to_thread(shutil.rmtree, self._scratch, True)
        await self._books.open()
        await self.code.sweep(self._books.records())
        self.logs.open()
        self._pool.open()
        self._books.on_change = self._changed
        await self._building.open()
        for record in self.registry.all():
            self._changed(record.arn)
        for queue in await self._engine.queues.names("arn:aws:lambda:"):
            self._dispatch(queue)

    async def close(self, drain_s: float = 0.0) -> None:
        """Take no further work, let what runs go on for `drain_s` seconds, end the rest; it is due again later."""
        await self._building.close()
        for _, task in self._dispatchers.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._dispatchers.values()), return_exceptions=True)
        if drain_s > 0:
            await first_of(self._machine, self._drain(), drain_s)
        await self._pool.close()
        await self._drain()
        await self.logs.close()

    async def _drain(self) -> None:
        await asyncio.gather(*(dispatcher.drain() for dispatcher, _ in self._dispatchers.values()))

    def _changed(self, arn: str) -> None:
        """A function was made, changed or deleted: its workers and its dispatcher follow."""
        record, wanted = self.registry.get(arn), self._books.crews(arn)
        for gone in self._crews.get(arn, set()) - {version.crew for version in wanted}:
            self._pool.dismiss(gone)
        for version in wanted:
            reserved, rate = (None, None) if record is None else (record.reserved, rate_in(record.tags))
            self._pool.assign(version.crew, version.revision, reserved, rate)
        self._crews[arn] = {version.crew for version in wanted}
        self._dispatch(arn)
        self._room(arn)

    async def secret_changed(self, scope: Scope, name: str) -> None:
        """New workers for the functions that get this secret, and for their versions."""
        for record in self.registry.of_scope(scope):
            for version in self._books.crews(record.arn):
                if name in names_in(version.environment):
                    await self._books.renew(version)

    def _dispatch(self, arn: str) -> None:
        # Kept when the function is deleted: it puts aside what is still queued, or is queued in this very moment.
        if arn not in self._dispatchers:
            dispatcher = Dispatcher(arn, self._desk)
            self._dispatchers[arn] = (dispatcher, asyncio.get_running_loop().create_task(dispatcher.run()))

    def _room(self, arn: str) -> None:
        if arn in self._dispatchers:
            self._dispatchers[arn][0].changed()

    # --- invoke ---

    def get(self, arn: str) -> FunctionRecord | None:
        return self.registry.get(arn)

    def resolve(self, arn: str, qualifier: str = "") -> FunctionRecord:
        """The record that runs for a function's ARN and a version or alias, "" for the function itself.

        The ARN may have the qualifier in it. Raises `FunctionNotFound`.
        """
        return self._books.resolve(*parts_of(arn, qualifier))

    def capacity(self, arn: str) -> int:
        """How many invocations of the function are worth having under way."""
        return self._pool.capacity(arn)

    def running(self, arn: str) -> int:
        """Invocations of the function that are under way, those that wait for a worker included."""
        return self._pool.running(arn)

    async def invoke(
        self, arn: str, payload: bytes, log_tail: bool = False, *, trace_header: str = "", client_context: str = "",
        request_id: str | None = None, qualifier: str = "",
    ) -> InvokeResult:  # fmt: skip
        """Run it now. Whatever the handler does is in the result.

        Neither its concurrency nor its rate is asked for a dry run, which handles nothing.

        Raises `FunctionNotFound`, `FunctionNotReady`, `PayloadTooLarge`, `InvalidPayload`, `FunctionThrottled`,
        `RecursiveInvocation`, `WorkersStopped`.
        """
        arn, qualifier = parts_of(arn, qualifier)
        record = self._books.resolve(arn, qualifier)
        payload = check_payload(payload, "RequestResponse", SYNC_BYTES_MAX)
        about = _About(
            request_id or uuids(self._entropy, 1)[0], trace_header=trace_header, client_context=client_context,
            qualifier=qualifier,
        )  # fmt: skip
        run, tail = await self._run(record, payload, about, PATIENCE_S, log_tail=log_tail)
        error = None if run.answer.kind is None else "Unhandled"
        return InvokeResult(run.answer.body, about.request_id, error, tail, record.version)

    def redrive(self, source: Source, now: float) -> Put:
        """The work that gives a dead letter to the same handler again, as a new invocation."""
        return self.invocation_put(
            source.function_arn, source.payload, request_id=uuids(self._entropy, 1)[0], now=now,
            event_id=source.event_id, bus_arn=source.bus_arn, rule_arn=source.rule_arn,
            trace_header=lineage.without(source.trace_header or ""), again=True,
        )  # fmt: skip

    async def _attempt(
        self, record: FunctionRecord, payload: bytes, work: Work, attempt: int, start_by: float
    ) -> Run:
        about = _About(
            work.request_id, work.event_id, attempt, work.trace_header, start_by=start_by, qualifier=work.qualifier
        )
        run, _ = await self._run(record, payload, about, None, log_tail=False)
        return run

    async def _run(
        self, record: FunctionRecord, payload: bytes, about: _About, patience_s: float | None, *, log_tail: bool
    ) -> tuple[Run, bytes | None]:
        if record.live:
            record = await self._live.fresh(record)
        if record.state != ACTIVE:
            raise FunctionNotReady(record.state, record.failure)
        about = self._passed(record, about)
        try:
            begin, trial = partial(self._begin, record, payload, about), asks_for_dry_run(about.client_context)
            run = await self._pool.run(record.crew, begin, patience_s, trial=trial)
        except FunctionThrottled:
            self._meters.count(record, about.qualifier, "Throttles")
            raise
        run = addressed(run, about.request_id)
        self._meters.count(record, about.qualifier, "Invocations")
        # As on AWS: an invocation that went well is no error.
        self._meters.observe(record, about.qualifier, "Duration", run.duration_s * 1000)
        self._meters.observe(record, about.qualifier, "Errors", float(run.answer.kind is not None))
        begun, closing = init_lines(about.request_id, record.version, run), closing_lines(about.request_id, run)
        self._log(record.arn, run.worker, about, *begun, *closing)
        self._meters.running(record, self._pool.running(record.arn))
        if not log_tail:
            return run, None
        start = () if begun else (start_line(about.request_id, record.version),)
        return run, (_lines(start) + run.tail + _lines((*begun, *closing)))[-TAIL_BYTES:]

    def _passed(self, record: FunctionRecord, about: _About) -> _About:
        """With the trace header that the handler's own calls carry on. Raises `RecursiveInvocation`."""
        trace = about.trace_header
        if not is_trace(trace):
            trace = begun_by(about.event_id or about.request_id)
        owner, passes = self.registry.get(record.arn), lineage.passes(trace, record.arn)
        if passes >= lineage.PASSES_MAX and (owner is None or owner.recursive_loop != ALLOW):
            self._meters.count(record, about.qualifier, "RecursiveInvocationsDropped")
            raise RecursiveInvocation(record.arn, passes)
        sent = sent_from(lineage.passed(trace, record.arn), span_id(about.request_id, about.attempt))
        return msgspec.structs.replace(about, trace_header=sent)

    def _begin(self, record: FunctionRecord, payload: bytes, about: _About, plan: Plan) -> Invocation:
        """A worker is free: make the invocation for it."""
        if about.start_by is not None and self._clock.now() > about.start_by:
            raise TooOld
        self._log(record.arn, plan.mark, about, start_line(about.request_id, record.version))
        deadline_ms = int((self._machine.now() + plan.timeout_s) * 1000)
        return Invocation(
            about.request_id, payload, qualified(record.arn, about.qualifier), deadline_ms, about.trace_header,
            about.client_context, about.event_id, about.attempt,
        )  # fmt: skip

    # --- what workers print ---

    def _printed(self, plan: Plan, invocation: Invocation | None, text: str) -> None:
        arn, _ = split(plan.function_arn)
        if invocation is None:
            self.logs.write(Line(arn, self._clock.now(), "", "", 0, text, plan.mark))
        else:
            self._log(arn, plan.mark, invocation, text)

    def _log(self, arn: str, worker: str, about: _About | Invocation, *lines: str) -> None:
        now = self._clock.now()
        for line in lines:
            self.logs.write(Line(arn, now, about.request_id, about.event_id, about.attempt, line, worker))


def asks_for_dry_run(client_context: str) -> bool:
    """By the JSON text of a client context. Pure."""
    try:
        return bool(client_context) and msgspec.json.decode(client_context)["custom"] == DRY_RUN
    except (msgspec.DecodeError, KeyError, TypeError):
        return False


class _About(msgspec.Struct, frozen=True, gc=False):
    """What is known of an invocation besides its payload."""

    request_id: str
    event_id: str = ""
    attempt: int = 1
    trace_header: str = ""
    client_context: str = ""
    start_by: float | None = None
    qualifier: str = ""


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def check_payload(payload: bytes, invocation_type: str, bytes_max: int) -> bytes:
    """The payload as a handler gets it: nothing is an empty object, as on AWS.

    Raises `PayloadTooLarge`, `InvalidPayload`.
    """
    if len(payload) > bytes_max:
        raise PayloadTooLarge(len(payload), invocation_type, bytes_max)
    if not payload:
        return b"{}"
    if not is_json(payload):
        raise InvalidPayload(
            "Could not parse request body into json: Could not parse payload into json: "
            f"found {payload[:40].decode(errors='replace')!r}"
        )
    return payload
