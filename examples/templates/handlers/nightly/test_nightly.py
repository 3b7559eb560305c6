import pytest
from busway import ScheduledEvent
from busway.testing import LocalBus, MakeEvent

from handlers.nightly.handler import nightly


def test_what_is_due_is_done(event: MakeEvent, capsys: pytest.CaptureFixture[str]) -> None:
    due = event(ScheduledEvent)
    nightly(due)
    assert "due at 2026-01-01 12:00" in capsys.readouterr().out


def test_what_keeps_failing_is_tried_again_and_then_kept(
    bus: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(_: object) -> None:
        raise ConnectionError("the service is down")

    monkeypatch.setattr(nightly, "function", unavailable)
    bus.fire(nightly)
    bus.clock.advance("5m")
    assert len(bus.attempts(nightly)) == 3
    letters = bus.dead_letters(nightly)
    assert [letter.error_code for letter in letters] == ["ConnectionError"]
