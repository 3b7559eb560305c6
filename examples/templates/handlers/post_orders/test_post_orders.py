import pytest
from busway.testing import LocalBus, MakeEvent, batch_of

from events.order_placed import OrderPlaced
from handlers.post_orders.handler import post_orders


def test_a_batch_is_handled(event: MakeEvent, capsys: pytest.CaptureFixture[str]) -> None:
    batch = [event(OrderPlaced, envelope={"id": n}) for n in "123"]
    assert post_orders(batch) == []
    assert capsys.readouterr().out.count("handling") == len(batch)


def test_what_keeps_failing_is_tried_again_and_then_kept(
    bus: LocalBus, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(_: object) -> None:
        raise ConnectionError("the service is down")

    monkeypatch.setattr(post_orders, "function", unavailable)
    bus.put(event(OrderPlaced))
    bus.clock.advance("2m")
    assert len(bus.attempts(post_orders)) == 6
    letters = bus.dead_letters(post_orders)
    assert [letter.error_code for letter in letters] == ["ConnectionError"]


def test_an_event_that_does_not_fit_fails_alone(event: MakeEvent) -> None:
    sample = event(OrderPlaced)
    batch = batch_of(sample, {**sample.envelope.raw, "detail": "nonsense"})
    answer = post_orders(batch, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
