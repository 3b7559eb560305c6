import pytest
from busway.errors import EventMismatch
from busway.testing import LocalBus, MakeEvent

from events.every_type import EveryType
from handlers.keep.handler import keep


def test_the_sample_event_is_handled(event: MakeEvent, capsys: pytest.CaptureFixture[str]) -> None:
    sample = event(EveryType)
    keep(sample)
    assert sample.envelope.id in capsys.readouterr().out


def test_what_keeps_failing_is_tried_again_and_then_kept(
    bus: LocalBus, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(_: object) -> None:
        raise ConnectionError("the service is down")

    monkeypatch.setattr(keep, "function", unavailable)
    bus.put(event(EveryType))
    bus.clock.advance("5m")
    assert len(bus.attempts(keep)) == 3
    letters = bus.dead_letters(keep)
    assert [letter.error_code for letter in letters] == ["ConnectionError"]


def test_an_event_that_does_not_fit_is_refused(event: MakeEvent) -> None:
    sample = event(EveryType)
    raw = {**sample.envelope.raw, "detail": "nonsense"}
    with pytest.raises(EventMismatch, match="does not fit"):
        keep(raw, None)
