"""Attempts at the outside: each policy to its end, each target by itself, and through a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy, settle
from busway.delivery import Delivered, Delivery, Failed, Outcome, RetryPolicy
from busway.delivery.dead_letter import Source, encode_source
from busway.delivery.outbox import LEASE_S, Outbox, Parts
from busway.engine import Origin, Put
from busway.engine.memory import MemoryEngine
from busway.errors import CorruptRecord
from busway.metrics import Metrics
from busway.trail import Trail

Answer = Callable[[Delivery], Outcome]
FAILED = Failed("THROTTLING", "later", True)


class Outside:
    """A target that answers by ARN; without an answer it hangs."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.attempts: list[tuple[float, str]] = []
        self.clock: ManualClock

    def local(self, delivery: Delivery, now: float) -> None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        self.attempts.append((self.clock.now(), delivery.target_arn))
        if delivery.target_arn not in self.answers:
            await asyncio.Event().wait()
        return self.answers[delivery.target_arn](delivery)


class Letters:
    """Dead letters as plain rows of a queue named "letters"."""

    def put(
        self,
        queue_arn: str | None,
        bus_arn: str | None,
        scope: Scope,
        body: bytes,
        attributes: Mapping[str, tuple[str, str]],
        source: Source,
        now: float,
    ) -> Put:
        return Put(queue_arn or "letters", body, now, encode_source(source))


class Post:
    """An outbox with everything around it."""

    def __init__(self, engine: MemoryEngine, clock: ManualClock, outside: Outside) -> None:
        self.engine, self.clock, self.outside = engine, clock, outside
        self.metrics, self.trail = Metrics(clock), Trail(clock)
        entropy = SeededEntropy(1)
        parts = Parts(
            engine, clock, entropy, self.metrics, self.trail, {"out": outside}, Letters(), first_retry_s=1.0
        )
        self.outbox = Outbox(parts)

    async def send(self, target: str = "x", **rest: object) -> None:
        offset = await self.engine.journal.append("bus", [b"event"])
        delivery = Delivery(
            event_id=f"e{offset}",
            target_arn=arn(target),
            payload=b"payload",
            accepted_at=self.clock.now(),
            bus_arn="b:event-bus/default",
            rule_arn="r:rule/r",
            origin=Origin("s", offset),
            **rest,
        )
        await self.engine.queues.put([self.outbox.put_for(delivery)])
        await settle(20)

    async def later(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in small steps: a lane needs more turns of the loop than one move of the clock gives."""
        for _ in range(int(seconds / step)):
            await self.clock.advance(step)
            await settle(20)

    async def outcomes(self) -> list[tuple[str, int]]:
        return [(ended.outcome, ended.attempts) for ended in await self.engine.queues.outcomes("s")]


def arn(name: str) -> str:
    return f"arn:aws:out:r:a:{name}"


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    clock = ManualClock()
    outside = Outside()
    outside.clock = clock
    made = Post(MemoryEngine(clock), clock, outside)
    await made.outbox.open()
    yield made
    await made.outbox.close()


async def test_what_is_delivered_is_done(post):
    post.outside.answers[arn("x")] = lambda delivery: Delivered()
    await post.send()
    assert await post.outcomes() == [("delivered", 1)]
    assert await post.engine.queues.names() == []
    assert post.metrics.value("AWS/Events", "Invocations", RuleName="r") == 1


async def test_a_target_that_never_takes_it_gets_every_attempt_and_then_it_is_a_dead_letter(post):
    post.outside.answers[arn("x")] = lambda delivery: FAILED
    await post.send(retry=RetryPolicy(retries_max=3))
    await post.later(60)
    assert len(post.outside.attempts) == 4
    assert await post.outcomes() == [("dead-lettered", 4)]
    [letter] = await post.engine.queues.browse("letters", 10)
    assert letter.body == b"payload"
    assert [step.kind for step in post.trail.recent()] == ["retried"] * 3 + ["dead-lettered"]
    assert post.metrics.value("AWS/Events", "FailedInvocations", RuleName="r") == 1
    assert post.metrics.value("AWS/Events", "RetryInvocationAttempts", RuleName="r") == 3


async def test_no_attempt_starts_after_the_age_limit(post):
    post.outside.answers[arn("x")] = lambda delivery: FAILED
    accepted_at = post.clock.now()
    await post.send(retry=RetryPolicy(age_s_max=60))
    await post.later(100, 1)
    assert max(at for at, _ in post.outside.attempts) <= accepted_at + 60
    assert [outcome for outcome, _ in await post.outcomes()] == ["dead-lettered"]


async def test_the_default_policy_goes_on_for_a_day_or_185_retries(post):
    post.outside.answers[arn("x")] = lambda delivery: FAILED
    await post.send()
    await post.later(90_000, step=100)
    assert 100 <= len(post.outside.attempts) <= 186
    [letter] = await post.engine.queues.browse("letters", 10)
    assert letter.put_at - 1_700_000_000 <= 86_400 + 100
    if len(post.outside.attempts) < 186:
        assert letter.put_at - 1_700_000_000 >= 86_400


async def test_what_is_not_retriable_is_a_dead_letter_at_once(post):
    post.outside.answers[arn("x")] = lambda delivery: Failed("NO_RESOURCE", "gone", False)
    await post.send(dead_letter_arn="mine")
    assert await post.outcomes() == [("dead-lettered", 1)]
    assert len(await post.engine.queues.browse("mine", 10)) == 1


@pytest.mark.parametrize("failed", [FAILED, Failed("NO_RESOURCE", "gone", False)])
async def test_what_is_secret_is_dropped_and_noted_when_it_is_given_up(post, failed):
    post.outside.answers[arn("x")] = lambda delivery: failed
    await post.send(retry=RetryPolicy(retries_max=1), secret=True, dead_letter_arn="mine")
    await post.later(20)
    assert [outcome for outcome, _ in await post.outcomes()] == ["dropped"]
    assert await post.engine.queues.names() == []
    ended = post.trail.recent()[-1]
    assert (ended.kind, ended.facts["error_code"]) == ("dropped", failed.code)
    assert b"payload" not in repr(post.trail.recent()).encode()
    assert post.metrics.value("AWS/Events", "FailedInvocations", RuleName="r") == 1


async def test_a_hanging_target_times_out_and_delays_no_other(post):
    post.outside.answers[arn("x")] = lambda delivery: Delivered()
    for _ in range(40):
        await post.send("hangs", retry=RetryPolicy(retries_max=0))
    await post.send("x")
    assert await post.outcomes() == [("delivered", 1)]
    await post.clock.advance(61)
    assert (await post.outcomes()).count(("dead-lettered", 1)) == 16


async def test_a_fault_of_the_target_is_retried(post):
    def fault(delivery: Delivery) -> Outcome:
        post.outside.answers[arn("x")] = lambda delivery: Delivered()
        raise RuntimeError("a fault of ours")

    post.outside.answers[arn("x")] = fault
    await post.send()
    await post.clock.advance(10)
    assert await post.outcomes() == [("delivered", 2)]


async def test_a_kind_that_is_not_there_is_a_dead_letter(post):
    delivery = Delivery(event_id="e", target_arn="arn:aws:odd:r:a:x", payload=b"p", accepted_at=0.0)
    await post.engine.queues.put([post.outbox.put_for(delivery)])
    await settle(20)
    assert len(await post.engine.queues.browse("letters", 10)) == 1


async def test_a_new_process_takes_up_what_was_left(post):
    await post.outbox.close()
    await post.send()
    post.outside.answers[arn("x")] = lambda delivery: Delivered()
    again = Post(post.engine, post.clock, post.outside)
    await again.outbox.open()
    await settle(20)
    assert await again.outcomes() == [("delivered", 1)]
    await again.outbox.close()


async def test_a_crash_in_the_middle_counts_as_the_attempt_in_flight(post):
    """Three processes die during an attempt; the fourth finds that the policy allows no more."""
    await post.outbox.close()
    await post.send(retry=RetryPolicy(retries_max=2))
    [queue] = await post.engine.queues.names()
    for _ in range(3):
        assert len(await post.engine.queues.lease(queue, 1, LEASE_S)) == 1
        await post.clock.advance(LEASE_S + 1)
    again = Post(post.engine, post.clock, post.outside)
    await again.outbox.open()
    await settle(20)
    assert post.outside.attempts == []
    [letter] = await post.engine.queues.browse("letters", 10)
    assert b'"attempts":3' in letter.meta
    await again.outbox.close()


async def test_a_shutdown_counts_no_attempt(post):
    await post.send("hangs")
    await post.outbox.close()
    [queue] = await post.engine.queues.names()
    [item] = await post.engine.queues.lease(queue, 1, 1.0)
    assert item.attempts == 1


async def test_what_the_target_asks_to_wait_is_waited(post):
    post.outside.answers[arn("x")] = lambda delivery: Failed("THROTTLING", "later", True, retry_after_s=500.0)
    await post.send(retry=RetryPolicy(retries_max=1))
    await post.clock.advance(499)
    assert len(post.outside.attempts) == 1
    await post.clock.advance(2)
    assert len(post.outside.attempts) == 2


async def test_a_row_that_cannot_be_read_stops_nothing(post):
    post.outside.answers[arn("x")] = lambda delivery: Delivered()
    await post.engine.queues.put([Put("delivery/" + arn("x"), b"", 0.0, b"no meta")])
    await post.send()
    assert await post.outcomes() == [("delivered", 1)]


async def test_a_fault_while_deliveries_are_taken_up_ends_no_target(post, monkeypatch):
    post.outside.answers[arn("x")] = lambda delivery: Delivered()
    lease, failed = post.engine.queues.lease, []

    async def fails_once(queue: str, limit: int, lease_s: float):
        if not failed:
            failed.append(queue)
            raise RuntimeError("a fault of ours")
        return await lease(queue, limit, lease_s)

    monkeypatch.setattr(post.engine.queues, "lease", fails_once)
    await post.send()
    assert failed and await post.outcomes() == []
    await post.later(2)
    assert await post.outcomes() == [("delivered", 1)]


async def test_a_target_whose_queue_is_corrupt_stands_still_and_says_so(post, monkeypatch):
    async def corrupt(queue: str, limit: int, lease_s: float):
        raise CorruptRecord(f"{queue}: found a wrong checksum")

    monkeypatch.setattr(post.engine.queues, "lease", corrupt)
    await post.send()
    [step] = post.trail.recent(kind="halted")
    assert step.facts == {
        "queue": f"delivery/{arn('x')}",
        "error_message": f"delivery/{arn('x')}: found a wrong checksum",
    }
