"""When the next message may go."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from busway.alert.pace import BESIDE_MAX, LOOK_S_MAX, PACES, PATIENCE_S, PEOPLE, look_after_s, next_at
from busway.alert.routes import KINDS

NOW = 1_700_000_000.0


def test_every_kind_of_route_has_a_pace():
    assert set(PACES) == set(KINDS)


def test_the_first_message_goes_at_once_and_the_next_a_minute_later():
    assert next_at(PEOPLE, [], 0.0, NOW) <= NOW
    assert next_at(PEOPLE, [], NOW - 10, NOW) == NOW + 50
    assert next_at(PEOPLE, [], NOW - 60, NOW) == NOW


def test_nothing_goes_beside_a_message_that_has_not_arrived():
    assert next_at(PEOPLE, [NOW - 300], NOW - 300, NOW) == NOW - 300 + PATIENCE_S


def test_a_message_that_never_arrives_holds_up_others_for_a_while_and_few_pile_up():
    began = [NOW - PATIENCE_S * (1 + each) for each in range(PEOPLE.at_once + BESIDE_MAX)]
    assert next_at(PEOPLE, began[:1], began[0], NOW) <= NOW
    assert next_at(PEOPLE, began, began[0], NOW) == float("inf")


def test_a_clock_that_was_set_back_holds_nothing_up_for_longer_than_the_spacing():
    assert next_at(PEOPLE, [], NOW + 86_400, NOW) == NOW + PEOPLE.spacing_s


@pytest.mark.parametrize(("kind", "a_minute"), [("pagerduty", 120), ("slack", 1), ("email", 1)])
def test_a_route_gets_no_more_in_a_minute_than_it_takes(kind: str, a_minute: int):
    last_at, sent, now = 0.0, 0, NOW
    while (at := max(now, next_at(PACES[kind], [], last_at, now))) < NOW + 60:
        last_at, sent, now = at, sent + 1, at
    assert sent == a_minute


@given(st.lists(st.floats(0, 1e6)), st.floats(0, 1e6), st.floats(0, 1e6), st.sampled_from(sorted(PACES)))
def test_no_more_are_under_way_than_the_pace_and_patience_allow(
    ages: list[float], last: float, now: float, kind: str
):
    pace = PACES[kind]
    under_way = [now - age for age in ages]
    at = next_at(pace, under_way, now - last, now)
    if at <= now:
        assert len(under_way) < pace.at_once + BESIDE_MAX
        assert len(under_way) < pace.at_once or min(ages) >= PATIENCE_S * 0.999
        assert last >= pace.spacing_s * 0.999


def test_what_takes_long_is_looked_at_seldom():
    assert look_after_s(NOW, NOW) < 1
    assert look_after_s(NOW - 20, NOW) == 2
    assert look_after_s(NOW - 86_400, NOW) == LOOK_S_MAX
