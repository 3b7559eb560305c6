from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from busway.testing import LocalBus, MakeEvent, batch_of

from events.order_placed import OrderPlaced
from handlers.post_orders.handler import post_orders
from ledger import CALLS_PER_SECOND, Ledger


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    with Ledger() as running:
        monkeypatch.setenv("LEDGER_URL", running.url)
        yield running


def test_a_batch_is_one_call(event: MakeEvent, ledger: Ledger) -> None:
    batch = [event(OrderPlaced, order_id=f"o-{number}") for number in range(100)]
    assert post_orders(batch) == []
    assert (ledger.calls, len(ledger.orders)) == (1, 100)


def test_a_refused_order_is_given_back_and_the_others_are_posted(
    event: MakeEvent, ledger: Ledger
) -> None:
    good, bad = event(OrderPlaced, order_id="o-1"), event(OrderPlaced, order_id="o-2", total=-1)
    assert post_orders([good, bad]) == [bad]
    assert set(ledger.orders) == {"o-1"}


def test_a_throttle_fails_the_batch(event: MakeEvent, ledger: Ledger) -> None:
    for _ in range(CALLS_PER_SECOND):
        post_orders([event(OrderPlaced)])
    with pytest.raises(HTTPError, match="429"):
        post_orders([event(OrderPlaced)])


def test_a_refused_order_ends_alone_in_the_dead_letters(
    bus: LocalBus, event: MakeEvent, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A second of the bus passes at once, one of the ledger does not.
    monkeypatch.setattr("ledger.CALLS_PER_SECOND", 1_000)
    for number, total in enumerate((5, -1, 7), 1):
        bus.put(event(OrderPlaced, order_id=f"o-{number}", total=total))
    bus.clock.advance("1m")
    assert set(ledger.orders) == {"o-1", "o-3"}
    (letter,) = bus.dead_letters(post_orders)
    assert letter.event["detail"]["order-id"] == "o-2"


def test_an_order_that_does_not_fit_fails_alone(event: MakeEvent, ledger: Ledger) -> None:
    order = event(OrderPlaced)
    batch = batch_of(order, {**order.envelope.raw, "detail": "nonsense"})
    assert post_orders(batch, None) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert set(ledger.orders) == {"o-1"}
