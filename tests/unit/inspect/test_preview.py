"""What a change of patterns would have done to the events that a bus retains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from busway.bus.envelope import Notes, build_envelope, frame
from busway.clock import settle
from busway.engine import Entry
from busway.inspect import preview as looking
from busway.inspect.change import DETAIL_CHARS_MAX, Change, sample
from busway.pattern import parse

from .conftest import Door
from .world import FUNCTION, SCOPE, World

SMALL, LARGE = '{"detail":{"n":[{"numeric":["<",3]}]}}', '{"detail":{"n":[{"numeric":[">=",3]}]}}'
ANY = '{"source":["shop"]}'
DAY_S = 86_400.0


def order(old: Sequence[str], new: Sequence[str], **rest: Any) -> dict[str, Any]:
    return {"bus": "default", "old": old, "new": new, "since_s": 7 * DAY_S, **rest}


async def ask(door: Door, body: Any, status: int = 200) -> Any:
    found, told = await door.ask("POST", "/_busway/preview", body)
    assert found == status, told
    return told


def event(number: int, detail: object, source: str = "shop") -> bytes:
    text = json.dumps(detail).encode()
    return build_envelope(f"{number:036}", "Order", source, "1", "2026-11-23T16:30:00Z", "r", [], text)


async def test_it_counts_what_both_match_and_shows_where_they_differ(door: Door, world: World):
    ids = await world.put(*({"n": n} for n in range(5)))
    told = await ask(door, order([SMALL], ['{"detail":{"n":[{"numeric":[">",1]}]}}'], samples=1))
    assert (told["events"], told["old"], told["new"], told["more"], told["fewer"]) == (5, 3, 3, 2, 2)
    (more,), (fewer,) = told["more_samples"], told["fewer_samples"]
    assert more == {
        "event_id": ids[4], "time": more["time"], "source": "shop", "detail_type": "Order", "detail": '{"n":4}',
    }  # fmt: skip
    assert fewer["event_id"] == ids[1]
    assert (told["bus"], told["stopped"], told["since"]) == ("default", "", world.clock.now() - 7 * DAY_S)


async def test_a_rule_that_is_new_has_more_and_one_that_ends_has_fewer(door: Door, world: World):
    await world.put({"n": 1}, {"n": 2})
    told = await ask(door, order([], [ANY]))
    assert (told["old"], told["new"], told["more"], told["fewer"]) == (0, 2, 2, 0)
    told = await ask(door, order([ANY], []))
    assert (told["old"], told["new"], told["more"], told["fewer"]) == (2, 0, 0, 2)


async def test_several_patterns_match_an_event_once(door: Door, world: World):
    await world.put(*({"n": n} for n in range(5)))
    told = await ask(door, order([SMALL, LARGE, ANY], [ANY]))
    assert (told["old"], told["new"], told["more"], told["fewer"]) == (5, 5, 0, 0)


async def test_it_changes_nothing(door: Door, world: World):
    await world.rule("r", {"source": ["shop"]}, FUNCTION)
    await world.put({"n": 1})
    before = await door.get("/_busway/status"), len(world.outside.attempted), world.trail.recent()
    await ask(door, order([SMALL], [LARGE]))
    await settle(30)
    assert (await door.get("/_busway/status"), len(world.outside.attempted), world.trail.recent()) == before


async def test_changes_of_rules_in_the_journal_are_no_events(door: Door, world: World):
    await world.put({"n": 1})
    await world.rule("r", {"source": ["shop"]}, FUNCTION)
    await world.put({"n": 2})
    await world.rule("r", {"source": ["bank"]})
    told = await ask(door, order([ANY], [SMALL]))
    assert (told["events"], told["old"], told["new"]) == (2, 2, 2)


async def test_only_the_span_that_is_asked_for_counts(door: Door, world: World):
    await world.put({"n": 1})
    await world.clock.advance(60)
    (late,) = await world.put({"n": 2})
    told = await ask(door, order([], [ANY], since_s=30))
    assert (told["events"], [each["event_id"] for each in told["more_samples"]]) == (1, [late])
    assert told["oldest_at"] == world.clock.now()
    told = await ask(door, order([], [ANY], since_s=61))
    assert told["events"] == 2


async def test_what_the_bus_has_forgotten_is_said(door: Door, world: World):
    assert (await ask(door, order([], [ANY])))["stopped"] == ""
    await world.put({"n": 1})
    told = await ask(door, order([], [ANY]))
    assert (told["events"], told["stopped"]) == (1, "")
    await world.clock.advance(2 * DAY_S)
    await world.put({"n": 2})
    (bus,) = world.buses.all()
    await world.router.trim(bus)
    told = await ask(door, order([], [ANY]))
    assert (told["events"], told["stopped"]) == (1, "retention")
    # Nothing of the last hour was forgotten.
    assert (await ask(door, order([], [ANY], since_s=3_600)))["stopped"] == ""
    await world.clock.advance(2 * DAY_S)
    await world.router.trim(bus)
    told = await ask(door, order([], [ANY]))
    assert (told["events"], told["oldest_at"], told["stopped"]) == (0, None, "retention")


async def test_a_limit_leaves_the_newest_events_and_is_said(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(looking, "PAGE", 4)
    ids = await world.put(*({"n": n} for n in range(10)))
    told = await ask(door, order([], [ANY], events_max=7, samples=10))
    assert (told["events"], told["more"], told["stopped"]) == (7, 7, "events")
    assert [each["event_id"] for each in told["more_samples"]] == ids[:2:-1]
    told = await ask(door, order([], [ANY], events_max=10, samples=10))
    assert (told["events"], told["stopped"]) == (10, "")
    assert [each["event_id"] for each in told["more_samples"]] == ids[::-1]


async def test_a_question_that_takes_too_long_is_answered_as_far_as_it_came(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(looking, "PAGE", 2)
    await world.put(*({"n": n} for n in range(10)))
    times = iter([0.0, 0.0, 0.0, looking.LOOKING_S_MAX + 1])
    monkeypatch.setattr(world.clock, "monotonic", lambda: next(times))
    told = await ask(door, order([], [ANY]))
    assert (told["events"], told["stopped"]) == (4, "time")


async def test_each_bus_has_events_of_its_own(door: Door, world: World):
    await world.buses.create("orders", SCOPE, {}, {})
    await world.put({"n": 1})
    for bus, events in (("orders", 0), (SCOPE.arn("events", "event-bus/default"), 1)):
        assert (await ask(door, order([], [ANY], bus=bus)))["events"] == events
    told = await ask(door, order([], [ANY], bus="nowhere"), 404)
    assert told["error"] == "Event bus nowhere does not exist."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "missing required field"),
        (order([], [ANY], since_s=0), "since_s"),
        (order([], [ANY], samples=101), "samples"),
        (order([], [ANY], events_max=10_000_000), "events_max"),
        (order([], [ANY], other=1), "other"),
        (order([ANY] * 301, []), "old"),
        (order([], ['{"source":"shop"}']), "source"),
    ],
)
async def test_what_is_asked_wrongly_is_named(door: Door, body: Any, said: str):
    assert said in (await ask(door, body, 400))["error"]


def test_the_detail_of_a_sample_is_cut():
    long = sample(event(1, {"text": "x" * DETAIL_CHARS_MAX}))
    assert len(long.detail) == DETAIL_CHARS_MAX and long.detail.endswith("…")
    assert sample(event(1, {"text": "x"})).detail == '{"text": "x"}'


PATTERNS = st.lists(
    st.one_of(
        st.integers(0, 6).map(lambda n: json.dumps({"detail": {"n": [{"numeric": ["<", n]}]}})),
        st.lists(st.integers(0, 6), min_size=1).map(lambda ns: json.dumps({"detail": {"n": ns}})),
        st.sampled_from(["shop", "bank"]).map(lambda name: json.dumps({"source": [name]})),
        st.just(json.dumps({"detail": {"n": [{"exists": False}]}})),
        st.just(json.dumps({"$or": [{"source": ["bank"]}, {"detail": {"n": [{"anything-but": [1]}]}}]})),
    ),
    max_size=3,
)
DETAILS = st.one_of(st.fixed_dictionaries({"n": st.integers(0, 6)}), st.just({}), st.just({"n": "1"}))
EVENTS = st.lists(st.tuples(st.sampled_from(["shop", "bank", "post"]), DETAILS, st.booleans()), max_size=12)


@settings(deadline=None)
@given(PATTERNS, PATTERNS, EVENTS)
def test_the_counts_are_those_of_each_event_by_itself(
    old: list[str], new: list[str], events: list[tuple[str, dict[str, Any], bool]]
):
    made = [event(number, detail, source) for number, (source, detail, _) in enumerate(events)]
    entries = [
        Entry(number, float(number), frame(one, Notes("trace") if traced else Notes()))
        for number, (one, (_, _, traced)) in enumerate(zip(made, events, strict=True))
    ]
    change = Change([parse(text) for text in old], [parse(text) for text in new], 100)
    change.look(entries[:5])
    change.look(entries[5:])

    def matched(patterns: list[str]) -> set[bytes]:
        return {one for one in made if any(parse(text).matches(one) for text in patterns)}

    before, after = matched(old), matched(new)
    assert (change.events, change.old, change.new) == (len(made), len(before), len(after))
    assert (change.more, change.fewer) == (len(after - before), len(before - after))
    assert {each.event_id for each in change.more_samples} == {sample(one).event_id for one in after - before}
    assert {each.event_id for each in change.fewer_samples} == {sample(one).event_id for one in before - after}


async def test_what_a_clock_that_stepped_back_put_after_newer_events_is_not_in_the_span(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    async def one_of_several(name: str, at: float) -> int:
        return 0

    monkeypatch.setattr(world.engine.journal, "offset_at", one_of_several)
    await world.put({"n": 1})
    world.clock._now -= 1_000
    await world.put({"n": 2})
    world.clock._now += 1_000
    (last,) = await world.put({"n": 3})
    told = await ask(door, order([], [ANY], since_s=500))
    assert (told["events"], told["more_samples"][0]["event_id"]) == (2, last)


async def test_no_event_is_counted_twice_when_the_journal_is_trimmed_meanwhile(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(looking, "PAGE", 4)
    await world.put(*({"n": n} for n in range(10)))
    (bus,) = world.buses.all()
    journal, read = world.engine.journal, world.engine.journal.read

    async def trimmed_after(name: str, after: int, limit: int) -> list[Entry]:
        found = await read(name, after, limit)
        await journal.trim(bus.arn, world.clock.now() + 1, 5)
        return found

    monkeypatch.setattr(journal, "read", trimmed_after)
    told = await ask(door, order([], [ANY], samples=10))
    ids = [each["event_id"] for each in told["more_samples"]]
    assert told["events"] == len(set(ids)) == 5
