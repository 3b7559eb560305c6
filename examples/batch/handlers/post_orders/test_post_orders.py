from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from busway.testing import MakeEvent

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
