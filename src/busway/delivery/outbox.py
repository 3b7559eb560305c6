"""The outbox: deliveries that need the outside world, kept until they are done or dead-lettered.

    queue "delivery/<target arn>"  →  lease  →  attempt  →  done | release with a back-off | dead letter, then done

One queue and one lane of attempts a target, so that one slow target delays no other. What may be lost by a crash is
at most the outcome of an attempt in flight: it counts as an attempt, and is repeated while the policy allows.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import msgspec

from busway.arn import parse_arn
from busway.clock import Clock, Entropy, first_of
from busway.delivery import Delivered, Delivery, Failed, Outcome, Targets
from busway.delivery.dead_letter import DeadLetters, Verdict, bury
from busway.delivery.lanes import Lanes, keep_turning
from busway.delivery.retry import GiveUp, after_failure, exhausted
from busway.engine import Engine, Item, Put
from busway.errors import CorruptRecord
from busway.metrics import Metrics
from busway.trail import Trail

QUEUE_PREFIX = "delivery/"

# Ours. A lease outlives an attempt, so that an attempt that hangs is ended by its own limit, not taken twice.
ATTEMPT_S_MAX = 60.0
LEASE_S = 90.0
ATTEMPTS_AT_ONCE = 16
NAMESPACE = "AWS/Events"

log = logging.getLogger(__name__)


class Parcel(msgspec.Struct, frozen=True, omit_defaults=True):
    """The meta of a row: the delivery without its payload (that is the body), and how the last attempt failed."""

    delivery: Delivery
    error_code: str = ""
    error_message: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Parcel).decode


@dataclass(frozen=True, slots=True)
class Parts:
    """What an outbox is made of. `first_retry_s` is the first back-off in seconds."""

    engine: Engine
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    trail: Trail
    targets: Targets
    dead_letters: DeadLetters
    first_retry_s: float = 1.0


class Outbox(Lanes):
    """Attempts what was put into it, for as long as `open` … `close`."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.engine, parts.clock, QUEUE_PREFIX, lambda queue: _Lane(parts, queue).run())
        self._parts = parts

    def put_for(self, delivery: Delivery, due_at: float | None = None) -> Put:
        """The row of a delivery; whoever gets it puts it. `due_at` is Unix seconds, now if None."""
        queue = QUEUE_PREFIX + delivery.target_arn
        self.start(queue)
        now = self._parts.clock.now() if due_at is None else due_at
        bare = msgspec.structs.replace(delivery, payload=b"", origin=None)
        return Put(queue, delivery.payload, now, _encode(Parcel(bare)), delivery.origin)


class _Lane:
    """The attempts at one target."""

    def __init__(self, parts: Parts, queue: str) -> None:
        self._parts, self._queue = parts, queue
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()

    async def run(self) -> None:
        try:
            await keep_turning(self._queue, self._turn, self._parts.clock, self._halted)
        finally:
            for attempt in self._under_way:
                attempt.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _halted(self, error: CorruptRecord) -> None:
        self._parts.trail.note("halted", queue=self._queue, error_message=str(error))

    async def _turn(self) -> None:
        """Lease what there is room for, and start on it."""
        room = ATTEMPTS_AT_ONCE - len(self._under_way)
        if room <= 0:
            self._room.clear()
            await self._room.wait()
            return
        items = await self._parts.engine.queues.lease(self._queue, room, LEASE_S)
        for item in items:
            task = asyncio.create_task(self._deal_with(item))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        if not items:
            await self._parts.engine.queues.wait(self._queue)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease runs out and it is tried again; nothing is lost.
            log.error("%s: a delivery broke off", self._queue, exc_info=error)

    async def _deal_with(self, item: Item) -> None:
        parts = self._parts
        try:
            parcel = _decode(item.meta)
        except msgspec.DecodeError as error:
            log.error("%s: row %d has no readable meta (%s); it is left alone", self._queue, item.id, error)
            return
        delivery = msgspec.structs.replace(parcel.delivery, payload=item.body, origin=item.origin)
        now = parts.clock.now()
        over = exhausted(delivery.retry, item.attempts, delivery.accepted_at, now)
        if over is not None:
            # The attempt that this lease would have been isn't made. Without a recorded failure the server itself
            # went down during the attempts.
            last = Failed(
                parcel.error_code or "INTERNAL_ERROR", parcel.error_message or "The attempt was broken off", True
            )
            await self._bury(item, delivery, Verdict(last, item.attempts - 1, over, item.first_leased_at or now))
            return
        await self._settle(item, delivery, await self._attempt(item, delivery))

    async def _attempt(self, item: Item, delivery: Delivery) -> Outcome:
        """One try, whatever it raises or however long it hangs."""
        parts = self._parts
        if is_of_rule(delivery):
            dimensions = dimensions_of(delivery.bus_arn, delivery.rule_arn)
            parts.metrics.count(NAMESPACE, "InvocationAttempts", of=delivery.rule_arn, **dimensions)
            if item.attempts > 1:
                parts.metrics.count(NAMESPACE, "RetryInvocationAttempts", of=delivery.rule_arn, **dimensions)
        elif not is_notification(delivery):
            route = delivery.target_arn.rsplit(":", 1)[-1]
            parts.metrics.count("Busway/Alerts", "Attempts", of=delivery.target_arn, Route=route)
        if parts.trail.listening:
            parts.trail.note("attempt", **facts_of(delivery), attempt=item.attempts)
        target = parts.targets.get(delivery.target_kind)
        if target is None:
            return Failed("NO_RESOURCE", f"Busway has no targets of the kind of {delivery.target_arn}", False)
        try:
            outcome = await first_of(parts.clock, target.attempt(delivery), ATTEMPT_S_MAX)
        except asyncio.CancelledError:
            # A shutdown: the attempt doesn't count.
            await parts.engine.queues.refund(item, parts.clock.now())
            raise
        except Exception as error:
            log.exception("%s: attempt failed by a fault of ours", self._queue)
            return Failed("INTERNAL_ERROR", f"{type(error).__name__}: {error}", True)
        return outcome or Failed("TIMEOUT", f"No answer within {ATTEMPT_S_MAX:g} seconds", True)

    async def _settle(self, item: Item, delivery: Delivery, outcome: Outcome) -> None:
        parts = self._parts
        now = parts.clock.now()
        if isinstance(outcome, Delivered):
            count_end(parts.metrics, delivery, None)
            await parts.engine.queues.done([item], outcome.outcome)
            if parts.trail.listening:
                parts.trail.note(outcome.outcome, **facts_of(delivery), attempt=item.attempts)
            return
        first_at = item.first_leased_at or now
        if not outcome.retriable:
            await self._bury(item, delivery, Verdict(outcome, item.attempts, None, first_at))
            return
        decision = after_failure(
            delivery.retry,
            item.attempts,
            delivery.accepted_at,
            now,
            first_s=parts.first_retry_s,
            uniform=parts.entropy.uniform,
            retry_after_s=outcome.retry_after_s,
        )
        if isinstance(decision, GiveUp):
            await self._bury(item, delivery, Verdict(outcome, item.attempts, decision.condition, first_at))
            return
        bare = msgspec.structs.replace(delivery, payload=b"", origin=None)
        await parts.engine.queues.release(item, decision.at, _encode(Parcel(bare, outcome.code, outcome.message)))
        parts.trail.note(
            "retried",
            **facts_of(delivery),
            attempt=item.attempts,
            due_at=decision.at,
            error_code=outcome.code,
            error_message=outcome.message,
        )

    async def _bury(self, item: Item, delivery: Delivery, verdict: Verdict) -> None:
        """Dead letter first, then the row ends: a crash between the two repeats the letter and loses nothing.

        A secret one is dropped: nobody could use it later, and it would lie there for whoever reads letters.
        """
        parts = self._parts
        # Where the machine slept through the lease, another attempt has the row by now, and its verdict counts.
        if not await parts.engine.queues.release(item, parts.clock.now() + LEASE_S):
            return
        if delivery.secret:
            await parts.engine.queues.done([item], "dropped")
            count_end(parts.metrics, delivery, verdict)
            note_end(parts.trail, "dropped", delivery, verdict)
            return
        put = bury(parts.dead_letters, delivery, verdict, parts.clock.now())
        await parts.engine.queues.put([put], accepted=True)
        await parts.engine.queues.done([item], "dead-lettered")
        count_end(parts.metrics, delivery, verdict)
        note_dead_letter(parts.trail, delivery, verdict, put.queue)


def dimensions_of(bus_arn: str, rule_arn: str) -> dict[str, str]:
    """CloudWatch's dimensions of a rule: RuleName, and EventBusName on all buses but the default one."""
    bus = bus_arn.rsplit("/", 1)[-1]
    rule = rule_arn.rsplit("/", 1)[-1]
    return {"RuleName": rule} if bus in ("default", "") else {"EventBusName": bus, "RuleName": rule}


def is_of_rule(delivery: Delivery) -> bool:
    """Whether it comes from a rule, and not from a topic or an alarm: `rule_arn` is then theirs."""
    parsed = parse_arn(delivery.rule_arn)
    return parsed is None or parsed.service == "events"


def is_notification(delivery: Delivery) -> bool:
    """Whether it comes from a topic and not from a rule: `rule_arn` is then the subscription's."""
    return delivery.rule_arn.count(":") == 6 and delivery.rule_arn.split(":", 3)[2] == "sns"


def count_end(metrics: Metrics, delivery: Delivery, verdict: Verdict | None) -> None:
    """Count a delivery that ended: with its target, or (with a verdict) in the dead letters."""
    if is_notification(delivery):
        # https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
        name = "NumberOfNotificationsDelivered" if verdict is None else "NumberOfNotificationsFailed"
        metrics.count("AWS/SNS", name, of=delivery.rule_arn, TopicName=delivery.rule_arn.split(":")[5])
        return
    if not is_of_rule(delivery):
        # Alerts are counted where they are told.
        return
    dimensions = dimensions_of(delivery.bus_arn, delivery.rule_arn)
    metrics.count(NAMESPACE, "Invocations", of=delivery.rule_arn, **dimensions)
    if verdict is None:
        metrics.count(NAMESPACE, "SuccessfulInvocationAttempts", of=delivery.rule_arn, **dimensions)
        return
    metrics.count(NAMESPACE, "FailedInvocations", of=delivery.rule_arn, **dimensions)
    metrics.count(NAMESPACE, "InvocationsSentToDlq", of=delivery.rule_arn, **dimensions)


def note_dead_letter(trail: Trail, delivery: Delivery, verdict: Verdict, queue: str) -> None:
    note_end(trail, "dead-lettered", delivery, verdict, queue=queue)


def note_end(trail: Trail, kind: str, delivery: Delivery, verdict: Verdict, **more: str) -> None:
    """That it was given up, and why."""
    trail.note(
        kind,
        **facts_of(delivery),
        **more,
        attempt=verdict.attempts,
        error_code=verdict.failed.code,
        error_message=verdict.failed.message,
    )


def facts_of(delivery: Delivery) -> dict[str, str]:
    """What the trail says about a delivery."""
    return {
        "event_id": delivery.event_id,
        "bus": delivery.bus_arn.rsplit("/", 1)[-1],
        "rule": delivery.rule_arn.rsplit("/", 1)[-1],
        "target": delivery.target_arn,
    }
