"""Batch handlers on the bus of a test: batches by size and window, retries, halves, and what is given up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from busway import Event, batch_handler, handler
from busway.errors import EventMismatch
from busway.testing import LocalBus, batch_of
from busway.testing.attempts import Attempt


class Paid(Event, source="shop", detail_type="Paid"):
    number: int
    shop: str = "Oslo"


class Refused(Exception):
    pass


class Ledger:
    """Takes batches, gives back what it refuses, and raises while it is down."""

    def __init__(self) -> None:
        self.refused: set[int] = set()
        self.down = False

    def __call__(self, events: list[Paid]) -> list[Paid]:
        if self.down:
            raise ConnectionError("the ledger is down")
        return [event for event in events if event.number in self.refused]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def local() -> Iterator[LocalBus]:
    bus = LocalBus()
    yield bus
    bus.close()


def posting(ledger: Ledger, **options: Any) -> Any:
    """A batch handler that posts to this ledger."""

    @batch_handler(Paid, **{"size": 3, "window": "5s", "retries": 2, **options})
    def post(events: list[Paid]) -> list[Paid]:
        return ledger(events)

    return post


def put(bus: LocalBus, *numbers: int) -> None:
    for number in numbers:
        bus.put(Paid(number=number))


def numbers(events: Sequence[Any]) -> list[int]:
    return [event["detail"]["number"] for event in events]


def batches(attempts: Sequence[Attempt]) -> list[list[int]]:
    return [numbers(attempt.events) for attempt in attempts]


@pytest.mark.parametrize("source", ["stream", "queue"])
def test_a_batch_goes_when_it_is_full_and_else_when_its_window_is_over(local: LocalBus, ledger: Ledger, source: str):
    post = posting(ledger, source=source)
    local.add(post)
    put(local, 0, 1, 2, 3)
    assert batches(local.attempts(post)) == [[0, 1, 2]]
    local.clock.advance("4s")
    assert len(local.attempts(post)) == 1
    local.clock.advance("1s")
    assert batches(local.attempts(post)) == [[0, 1, 2], [3]]
    assert numbers(local.handled(post)) == [0, 1, 2, 3]
    assert local.dead_letters(post) == []


@pytest.mark.parametrize("source", ["stream", "queue"])
def test_without_a_window_an_event_is_handled_before_put_returns(local: LocalBus, ledger: Ledger, source: str):
    post = posting(ledger, window=0, source=source)
    local.add(post, "mine")
    put(local, 7)
    assert numbers(local.handled("mine")) == [7]


def test_of_a_stream_what_is_given_back_is_tried_alone_in_the_end_and_the_rest_is_handled(
    local: LocalBus, ledger: Ledger
):
    post = posting(ledger)
    local.add(post)
    ledger.refused = {1}
    put(local, 0, 1, 2)
    first, *_ = local.attempts(post)
    assert (numbers(first.handled), numbers(first.failed), first.error) == ([0], [1, 2], None)
    local.clock.advance("1m")
    assert batches(local.attempts(post)) == [[0, 1, 2], [1, 2], [1], [1], [2]]
    assert [attempt.number for attempt in local.attempts(post)] == [1, 2, 3, 4, 3]
    assert numbers(local.handled(post)) == [0, 2]
    (letter,) = local.dead_letters(post)
    assert (letter.event["detail"]["number"], letter.error_code) == (1, "RetryAttemptsExhausted")


def test_a_batch_that_raises_is_tried_at_growing_distances_until_its_retries_are_used_up(
    local: LocalBus, ledger: Ledger
):
    post = posting(ledger, bisect=False)
    local.add(post)
    ledger.down, began = True, local.clock.now()
    put(local, 0, 1, 2)
    local.clock.advance("1m")
    attempts = local.attempts(post)
    assert [round(attempt.at - began, 3) for attempt in attempts] == [0, 0.2, 0.6]
    assert {str(attempt.error) for attempt in attempts} == {"the ledger is down"}
    assert [numbers(attempt.failed) for attempt in attempts] == [[0, 1, 2]] * 3
    letters = local.dead_letters(post)
    assert numbers([letter.event for letter in letters]) == [0, 1, 2]
    assert {(letter.error_code, letter.error_message) for letter in letters} == {
        ("ConnectionError", "the ledger is down")
    }


def test_a_ledger_that_comes_back_leaves_no_dead_letter(local: LocalBus, ledger: Ledger):
    post = posting(ledger)
    local.add(post)
    ledger.down = True
    put(local, 0, 1, 2)
    ledger.down = False
    local.clock.advance("1m")
    assert numbers(local.handled(post)) == [0, 1, 2]
    assert local.dead_letters(post) == []


def test_what_is_too_old_is_given_up_though_it_has_retries_left(local: LocalBus, ledger: Ledger):
    post = posting(ledger, retries=10_000, max_age="1m")
    local.add(post)
    ledger.down = True
    put(local, 0)
    local.clock.advance("3m")
    assert [letter.error_code for letter in local.dead_letters(post)] == ["RecordAgeExceeded"]
    assert local.attempts(post)[-1].number < 12


def test_of_a_queue_a_message_that_fails_is_tried_again_after_its_visibility_timeout(local: LocalBus, ledger: Ledger):
    post = posting(ledger, source="queue", timeout="1m")
    local.add(post)
    ledger.refused, began = {1}, local.clock.now()
    put(local, 0, 1, 2)
    assert numbers(local.attempts(post)[0].failed) == [1]
    local.clock.advance("1h")
    assert batches(local.attempts(post)) == [[0, 1, 2], [1], [1]]
    # Six timeouts of the function, and the window in which it may be held.
    assert [round(attempt.at - began) for attempt in local.attempts(post)] == [0, 365, 730]
    (letter,) = local.dead_letters(post)
    assert (letter.event["detail"]["number"], letter.error_code) == (1, "ReceivedTooOften")


def test_an_hour_in_which_nothing_happens_is_not_walked_by_seconds(
    local: LocalBus, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    local.add(posting(ledger))
    local.add(posting(ledger, source="queue"), "queued")
    put(local, 0, 1, 2)
    local.clock.advance("1m")
    steps: list[float] = []
    quiet = local.quiet

    async def counted() -> None:
        steps.append(local.clock.now())
        await quiet()

    monkeypatch.setattr(local, "quiet", counted)
    local.clock.advance("1h")
    assert len(steps) < 100


def test_order_is_kept_by_the_field_that_was_named(local: LocalBus, ledger: Ledger):
    post = posting(ledger, order_by="shop", parallelism=10, size=100)
    local.add(post)
    for number in range(6):
        local.put(Paid(number=number, shop="Oslo" if number % 2 else "Bergen"))
    local.clock.advance("5s")
    assert sorted(batches(local.attempts(post))) == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize("source", ["stream", "queue"])
def test_an_event_that_does_not_fit_fails_alone(local: LocalBus, source: str):
    handled: list[int] = []

    @batch_handler(Paid, size=3, window="5s", retries=1, source=source)
    def each(event: Paid) -> None:
        handled.append(event.number)

    local.add(each)
    put(local, 0)
    local.put({"Source": "shop", "DetailType": "Paid", "Detail": '{"number":"many"}'})
    put(local, 2)
    local.clock.advance("1h")
    assert sorted(handled) == [0, 2]
    assert numbers([letter.event for letter in local.dead_letters(each)]) == ["many"]


def test_an_async_handler_runs_though_the_bus_has_an_event_loop_of_its_own(local: LocalBus):
    @batch_handler(Paid, size=2, window="5s", retries=1)
    async def each(event: Paid) -> None:
        await asyncio.sleep(0)
        if event.number == 1:
            raise Refused

    local.add(each)
    put(local, 0, 1)
    local.clock.advance("1m")
    assert numbers(local.handled(each)) == [0]
    assert len(local.dead_letters(each)) == 1


def test_a_handler_that_takes_real_time_gets_every_retry_at_its_hour(local: LocalBus):
    @batch_handler(Paid, size=1, window=0, retries=2)
    async def wait(event: Paid) -> None:
        await asyncio.to_thread(time.sleep, 0.001)
        raise ConnectionError("down")

    local.add(wait)
    for number in range(1, 21):
        put(local, number)
        local.clock.advance("5m")
        assert [attempt.number for attempt in local.attempts(wait)] == [1, 2, 3] * number
    ats = [attempt.at for attempt in local.attempts(wait)]
    gaps = {round(two - one, 1) for one, two in pairwise(ats) if two - one < 60}
    assert gaps == {0.2, 0.4}


def test_it_takes_its_events_beside_a_handler_of_single_ones(local: LocalBus, ledger: Ledger):
    taken: list[int] = []

    @handler(Paid)
    def one(event: Paid) -> None:
        taken.append(event.number)

    post = posting(ledger, filter={"number": [{"numeric": [">", 1]}]})
    local.add(post)
    local.add(one)
    put(local, 1, 2, 3)
    local.clock.advance("5s")
    assert (taken, batches(local.attempts(post))) == ([1, 2, 3], [[2, 3]])


def test_on_a_bus_of_another_name_too(ledger: Ledger):
    bus = LocalBus("orders")
    try:
        post = posting(ledger, size=1)
        bus.add(post)
        put(bus, 1)
        assert numbers(bus.handled(post)) == [1]
    finally:
        bus.close()


def test_a_bus_without_them_imports_nothing_for_them():
    code = (
        "import sys; from busway import Event, handler; from busway.testing import LocalBus\n"
        "class Paid(Event, source='shop', detail_type='Paid'): pass\n"
        "bus = LocalBus(); bus.add(handler(Paid)(lambda event: None), 'x'); bus.put(Paid()); bus.close()\n"
        "print([m for m in sys.modules if m.startswith(('busway.aws', 'busway.testing.local_batches'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "make", [batch_of, lambda *events: batch_of(*events, source="queue")], ids=["stream", "queue"]
)
def test_batch_of_makes_what_lambda_hands_over(make: Callable[..., dict[str, Any]], ledger: Ledger):
    ledger.refused = {2}
    events = [Paid.sample(number=number, envelope={"id": f"e-{number}"}) for number in (1, 2)]
    assert posting(ledger)(make(*events), None) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    unfit = {**events[0].envelope.raw, "detail": "nonsense"}
    assert posting(ledger)(make(events[0], unfit), None) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    with pytest.raises(EventMismatch, match="does not fit"):
        posting(ledger)(make(unfit), None)
