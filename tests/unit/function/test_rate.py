from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from busway.errors import InvalidHandler
from busway.event import Event
from busway.function.workers.rate import Rate, Window, rate_in
from busway.handling import RATE_MAX, RATE_TAG, handler, rate_of


class Called(Event, source="rates", detail_type="Called"):
    number: int


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/s", (10, 1.0)), ("600/m", (600, 60.0)), (" 1 / h ", (1, 3600.0)), ("10000/s", (10_000, 1.0))],
)
def test_a_rate_is_a_number_and_a_unit(text: str, rate: tuple[int, float]):
    assert rate_of(text) == rate
    assert rate_in({RATE_TAG: text}) == Rate(*rate)


@pytest.mark.parametrize("text", ["", "10", "10/d", "0/s", f"{RATE_MAX + 1}/s", "-1/s", "1.5/s", "ten/s", "10/s/s"])
def test_what_is_no_rate_is_refused_in_words_that_show_one(text: str):
    with pytest.raises(ValueError, match="for example '10/s'"):
        rate_of(text)
    with pytest.raises(InvalidHandler, match="rate: "):
        handler(Called, rate=text)


def test_a_function_without_the_tag_has_no_rate():
    assert rate_in({"busway:project": "shop"}) is None


def test_a_handler_carries_its_rate():
    @handler(Called, rate="10/s")
    def call(event: Called) -> None: ...

    assert call.options.rate == "10/s"


@given(
    st.integers(1, 20),
    st.floats(0.1, 60.0),
    st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200),
)
def test_no_window_has_more_starts_than_the_rate_says_and_none_is_refused_that_would_fit(
    count: int, per_s: float, steps: list[float]
):
    window, now, starts = Window(Rate(count, per_s)), 0.0, list[float]()
    for step in steps:
        now += step
        within = [at for at in starts if at + per_s > now]
        assert window.room(now) == count - len(within)
        if window.take(now):
            starts.append(now)
            within.append(now)
        else:
            assert len(within) == count
            assert window.wait_s(now) == within[0] + per_s - now
        assert len(within) <= count


def test_a_rate_that_changes_remembers_what_started():
    window = Window(Rate(5, 60.0))
    assert all(window.take(0.0) for _ in range(5))
    slower = window.changed(Rate(2, 60.0))
    assert not slower.take(59.0)
    assert slower.wait_s(59.0) == 1.0
    assert slower.take(60.0)
