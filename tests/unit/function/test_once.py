"""Claims and completions of steps, against a simple model; and what a worker may ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from busway.clock import ManualClock
from busway.engine.memory import MemoryEngine
from busway.errors import EngineStopped
from busway.function.invocation.repeats import RECENT_MAX, Repeats, Turn
from busway.function.once import KEEP_S, RESULT_BYTES_MAX, Claimed, Done, OnceStore, Running

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> MemoryEngine:
    return MemoryEngine(clock)


@pytest.fixture
def store(engine: MemoryEngine, clock: ManualClock) -> OnceStore:
    return OnceStore(engine.records, clock)


async def test_a_step_is_one_run_s_until_it_completes_and_then_nobody_s(store: OnceStore):
    assert isinstance(await store.claim(ARN, "a.b#1", "x", 30), Claimed)
    assert isinstance(await store.claim(ARN, "a.b#1", "y", 30), Running)
    await store.complete(ARN, "a.b#1", msgspec.Raw(b'{"id":7}'))
    assert await store.claim(ARN, "a.b#1", "y", 30) == Done(msgspec.Raw(b'{"id":7}'))


async def test_functions_share_no_keys(store: OnceStore):
    await store.complete(ARN, "k")
    assert await store.completed(ARN, "k")
    assert not await store.completed(f"{ARN}2", "k")


async def test_a_claim_ends_when_the_invocation_must_have_ended(store: OnceStore, clock: ManualClock):
    await store.claim(ARN, "k", "x", 30)
    await clock.advance(29.9)
    assert isinstance(await store.claim(ARN, "k", "y", 30), Running)
    await clock.advance(0.1)
    assert isinstance(await store.claim(ARN, "k", "y", 30), Claimed)


async def test_who_lost_the_claim_can_not_give_it_up_for_its_new_owner(store: OnceStore, clock: ManualClock):
    await store.claim(ARN, "k", "x", 30)
    await clock.advance(30)
    await store.claim(ARN, "k", "y", 30)
    await store.release(ARN, "k", "x")
    assert isinstance(await store.claim(ARN, "k", "z", 30), Running)


async def test_what_completed_is_forgotten_after_its_time_and_swept(
    store: OnceStore, engine: MemoryEngine, clock: ManualClock
):
    for n in range(300):
        await store.complete(ARN, f"old {n}", keep_s=100)
        await store.complete(ARN, f"new {n}", keep_s=KEEP_S)
    await clock.advance(100)
    assert not await store.completed(ARN, "old 1")
    assert sum([await store.sweep(f"{digits:02x}") for digits in range(256)]) == 300
    assert len(await engine.records.list("once/")) == 300
    assert await store.completed(ARN, "new 1")


async def test_two_that_claim_in_the_same_moment_are_told_apart(store: OnceStore):
    answers = await asyncio.gather(*(store.claim(ARN, "k", f"run {n}", 30) for n in range(20)))
    assert sum(isinstance(answer, Claimed) for answer in answers) == 1


async def asked(store: OnceStore, **question: Any) -> Any:
    return json.loads(await store.answer(ARN, 30, json.dumps(question).encode()))


async def test_a_worker_claims_completes_and_is_told_the_result(store: OnceStore):
    assert (await asked(store, do="claim", key="k", by="x"))["state"] == "claimed"
    assert (await asked(store, do="claim", key="k", by="y"))["state"] == "running"
    assert (await asked(store, do="release", key="k", by="x"))["state"] == "released"
    held = (await asked(store, do="claim", key="k", by="y"))["held"]
    assert (await asked(store, do="complete", key="k", by="y", result=[1], held=held))["state"] == "done"
    assert await asked(store, do="claim", key="k", by="z") == {"state": "done", "result": [1]}


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"do": "claim", "key": "", "by": "x"},
        {"do": "claim", "key": "k" * 5_000, "by": "x"},
        {"do": "claim", "key": "k", "by": ""},
        {"do": "steal", "key": "k", "by": "x"},
        {"do": "claim", "key": "k", "by": "x", "arn": "another function's"},
        {"do": "complete", "key": "k", "by": "x", "result": "r" * RESULT_BYTES_MAX},
        {"do": "complete", "key": "k", "by": "x", "keep_s": 10**9},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_in_words(store: OnceStore, question: dict[str, Any]):
    assert (await asked(store, **question))["errorType"] == "InvalidRequest"


async def test_a_store_that_can_not_answer_says_so(engine: MemoryEngine, store: OnceStore):
    await engine.close()
    assert (await asked(store, do="claim", key="k", by="x"))["errorType"] == EngineStopped.__name__
    assert "errorType" in json.loads(await store.answer(ARN, 30, b"\xff{"))


class Claims(RuleBasedStateMachine):
    """Runs that claim, complete, fail and outlive their claims, while time goes on and rows are swept."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.clock = ManualClock(1_000.0)
        self.store = OnceStore(MemoryEngine(self.clock).records, self.clock)
        self.owner: dict[str, tuple[str, float]] = {}
        self.done: dict[str, tuple[int, float]] = {}
        self.number = 0
        self.held: dict[tuple[str, str], tuple[int, float]] = {}

    def teardown(self) -> None:
        self.loop.close()

    def result_of(self, key: str) -> int | None:
        result, until = self.done.get(key, (0, 0.0))
        return result if until > self.clock.now() else None

    def owner_of(self, key: str) -> str | None:
        by, until = self.owner.get(key, ("", 0.0))
        return by if until > self.clock.now() else None

    keys, runs = st.sampled_from("ab"), st.sampled_from("xyz")

    @rule(key=keys, by=runs, run_s=st.sampled_from([5.0, 30.0]))
    def claim(self, key: str, by: str, run_s: float) -> None:
        answer = self.loop.run(self.store.claim(ARN, key, by, run_s))
        if (result := self.result_of(key)) is not None:
            assert answer == Done(msgspec.Raw(b"%d" % result))
        elif self.owner_of(key) not in (None, by):
            assert isinstance(answer, Running)
        else:
            assert isinstance(answer, Claimed)
            self.held[key, by] = answer.held
            self.owner[key] = (by, self.clock.now() + run_s)

    @rule(key=keys, by=runs, keep_s=st.sampled_from([10, 100]), says_what_it_held=st.booleans())
    def complete(self, key: str, by: str, keep_s: int, says_what_it_held: bool) -> None:
        """Its claim may have ended long ago, and the step may be another's, or done."""
        held = self.held.pop((key, by), None)
        if held is None:
            return
        self.number += 1
        known = held if says_what_it_held else None
        self.loop.run(self.store.complete(ARN, key, msgspec.Raw(b"%d" % self.number), keep_s, known))
        if self.result_of(key) is None:
            self.done[key] = (self.number, self.clock.now() + keep_s)
            self.owner.pop(key, None)

    @rule(key=keys, by=runs)
    def release(self, key: str, by: str) -> None:
        self.held.pop((key, by), None)
        self.loop.run(self.store.release(ARN, key, by))
        if self.owner_of(key) == by:
            del self.owner[key]

    @rule(seconds=st.sampled_from([1.0, 5.0, 20.0]))
    def time_goes_on(self, seconds: float) -> None:
        self.loop.run(self.clock.advance(seconds))

    @rule()
    def sweep(self) -> None:
        async def all_rows() -> None:
            for digits in range(256):
                await self.store.sweep(f"{digits:02x}")

        self.loop.run(all_rows())

    @invariant()
    def what_completed_is_known_for_as_long_as_it_was_said(self) -> None:
        for key in "ab":
            assert self.loop.run(self.store.completed(ARN, key)) == (self.result_of(key) is not None)


TestClaims = Claims.TestCase
TestClaims.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


# --- events that are handled once ---


async def test_of_two_invocations_for_one_event_the_second_waits_and_then_is_none(store: OnceStore):
    repeats = Repeats(ARN, store)
    assert await repeats.begin("e", seen=False) is Turn.HANDLE
    assert await repeats.begin("e", seen=False) is Turn.WAIT
    repeats.completed("e")
    repeats.end("e")
    assert await repeats.begin("e", seen=False) is Turn.WAIT, "it completed, but no crash may happen yet"
    repeats.forget(await repeats.record())
    assert await repeats.begin("e", seen=False) is Turn.COMPLETED


async def test_what_completed_before_a_restart_is_known_of_an_event_that_was_seen_before(store: OnceStore):
    before = Repeats(ARN, store)
    await before.begin("e", seen=False)
    before.completed("e")
    await before.record()
    assert await Repeats(ARN, store).begin("e", seen=True) is Turn.COMPLETED


async def test_only_so_many_are_remembered_and_the_rows_know_the_rest(store: OnceStore):
    repeats = Repeats(ARN, store)
    for number in range(RECENT_MAX + 1):
        await repeats.begin(f"e-{number}", seen=False)
        repeats.completed(f"e-{number}")
    repeats.forget(await repeats.record())
    begun = [await repeats.begin(f"e-{n}", seen=False) for n in range(RECENT_MAX + 1)]
    assert begun.count(Turn.HANDLE) == 1
    repeats.end(f"e-{begun.index(Turn.HANDLE)}")
    assert await repeats.begin(f"e-{begun.index(Turn.HANDLE)}", seen=True) is Turn.COMPLETED


async def test_an_event_that_failed_is_handled_again(store: OnceStore):
    repeats = Repeats(ARN, store)
    assert await repeats.begin("e", seen=False) is Turn.HANDLE
    repeats.end("e")
    assert await repeats.record() == set()
    assert await repeats.begin("e", seen=True) is Turn.HANDLE


async def test_an_event_is_no_longer_under_way_when_the_store_could_not_be_asked(
    engine: MemoryEngine, store: OnceStore
):
    repeats = Repeats(ARN, store)
    await engine.close()
    for _ in range(2):
        with pytest.raises(EngineStopped):
            await repeats.begin("e", seen=True)
