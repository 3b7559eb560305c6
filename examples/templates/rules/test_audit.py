from busway.testing import LocalBus, MakeEvent

from events.order_placed import OrderPlaced


def test_what_becomes_of_the_sample(bus: LocalBus, event: MakeEvent) -> None:
    bus.put(event(OrderPlaced))
    assert len(bus.sent("audit")) == 1


def test_another_event_goes_nowhere(bus: LocalBus) -> None:
    bus.put({"Source": "com.example.other", "DetailType": "Other", "Detail": "{}"})
    assert bus.sent("audit") == []
