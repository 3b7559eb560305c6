"""Pages and tokens: whatever order events come in, readers see each of them once, in order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from busway.errors import InvalidLogRequest
from busway.logs.batch import size_of
from busway.logs.page import FIRST, START, LogEvent, Page, Stretch, Token, read_token, tokens

EVENTS = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 1), st.integers(1, 30)), unique=True, max_size=40
).map(lambda places: [LogEvent(place, "s", "x" * (place[2] % 7 + 1), place[0]) for place in places])  # fmt: skip


def page_of(
    events: list[LogEvent], *, forward: bool, start: tuple[int, int, int] | None, limit: int, size: int
) -> Page:
    page = Page(forward=forward, start=start, limit=limit, bytes_max=size)
    for event in events:
        page.offer(event)
    return page


@given(EVENTS, st.booleans(), st.integers(1, 9), st.integers(30, 200), st.randoms())
def test_a_walk_by_pages_sees_every_event_once_and_in_order(
    events: list[LogEvent], forward: bool, limit: int, size: int, chance: random.Random
):
    wanted = sorted(events, key=lambda event: event.place, reverse=not forward)
    seen: list[LogEvent] = []
    start, more = None, True
    while more:
        chance.shuffle(events)
        page = page_of(events, forward=forward, start=start, limit=limit, size=size)
        found, more = page.events(), page.more
        assert len(found) <= limit
        assert len(found) == 1 or sum(size_of(event.message) for event in found) <= size
        assert found or not more
        seen += found if forward else found[::-1]
        start = seen[-1].place if seen else None
    assert seen == wanted


def test_at_an_end_a_reader_gets_the_token_that_it_came_with():
    events = [LogEvent((at, 1, at), "s", "x", at) for at in (1, 2, 3)]
    ahead, back = tokens(events, None, FIRST)
    assert (ahead, back) == (Token(True, (3, 1, 3)), Token(False, (1, 1, 1)))
    for token in (ahead, back):
        read = read_token(str(token))
        assert read == token
        at_the_end = page_of(events, forward=read.forward, start=read.place, limit=10, size=1_000).events()
        assert str(tokens(at_the_end, read, FIRST)[0 if token is ahead else 1]) == str(token)


def test_an_empty_stream_has_a_token_from_which_the_first_event_is_found():
    ahead, _ = tokens([], None, FIRST)
    came = [LogEvent((1, 1, 16_384), "s", "x", 1)]
    assert page_of(came, forward=True, start=ahead.place, limit=1, size=100).events() == came


@pytest.mark.parametrize("at_ms", [0, 1, 2**62, 2**63 - 1])
def test_every_moment_that_a_request_can_name_has_a_token_that_is_read_again(at_ms: int):
    for stretch in (START, Stretch(1), Stretch(0, at_ms), Stretch(at_ms, 3)):
        token = Token(True, (at_ms, 0, 0), stretch)
        assert read_token(str(token)) == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f/1.1.1/",
        "f/1.1.1/1",
        "f/1.1.1/1-2-3",
        "f/",
        "f/1.2",
        "x/1.1.1",
        "f/-1.1.1",
        "f/1.1.1 ",
        "f/٣.1.1",
        "f/" + "9" * 20 + ".1.1",
    ],
)
def test_a_token_that_was_not_given_out_is_refused(text: str):
    with pytest.raises(InvalidLogRequest, match=r"The specified nextToken is invalid\."):
        read_token(text)


def test_an_id_is_56_digits_and_grows_with_time():
    ids = [
        LogEvent((at, source, number), "s", "x", 1).id for at, source, number in ((5, 1, 9), (6, 0, 1), (70, 1, 1))
    ]
    assert ids == sorted(ids) and all(len(one) == 56 and one.isdigit() for one in ids)
