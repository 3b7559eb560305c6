"""The picture of a trace, as it is printed: whole, at 80 columns, without a colour."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from busway.cli.trace_picture import Axis, picture

GOLDEN = Path(__file__).parent / "trace_picture.txt"
AT = 1_700_000_000.0
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def event(name: str, at: float, *deliveries: dict[str, Any], **about: Any) -> dict[str, Any]:
    number = f"{name.encode().hex():0<32}"[:32]
    event_id = f"{number[:8]}-{number[8:12]}-{number[12:16]}-{number[16:20]}-{number[20:]}"
    return {
        "event_id": event_id, "detail_type": name, "source": "shop", "bus": "default", "accepted_at": AT + at,
        "parent": "", "matched": [one["rule"] for one in deliveries], "closest": [], "deliveries": list(deliveries),
        **about,
    }  # fmt: skip


def delivery(rule: str, target: str, state: str, *attempts: dict[str, Any], **about: Any) -> dict[str, Any]:
    return {
        "rule": rule, "target": target, "state": state, "attempts_seen": list(attempts), "consumers": [],
        "passed_on": None, "alarms": [], "request_id": "d1a4f0c2-0000-4000-8000-000000000000", **about,
    }  # fmt: skip


def attempt(number: int, at: float, ms: float | None, outcome: str, *lines: str, **about: Any) -> dict[str, Any]:
    return {
        "attempt": number, "request_id": "d1a4f0c2-0000-4000-8000-000000000000", "began_at": AT + at,
        "duration_ms": ms, "outcome": outcome, "lines_first": list(lines), "lines_left_out": 0, "lines_last": [],
        "published": [], **about,
    }  # fmt: skip


def found(*events: dict[str, Any], **about: Any) -> dict[str, Any]:
    return {
        "asked": events[0]["event_id"] if events else "", "trace_id": "a" * 32, "root": f"1-{'a' * 8}-{'a' * 24}",
        "events": list(events), "told": len(events), "left_out": 0, "looked_at": 12, "since": None, "until": None,
        **about,
    }  # fmt: skip


def everything() -> dict[str, Any]:
    """Two handlers in a chain, one that fails for good, a queue with a reader, a bus, and what nothing matched."""
    alarm = {
        "alarm": "notify-dlq", "state": "ALARM", "at": AT + 3.2,
        "alerts": [
            {"route": "busway-alert-oncall", "delivered": True, "at": AT + 3.4},
            {
                "route": "busway-alert-chat", "delivered": False, "at": AT + 3.5,
                "error_message": "POST https://chat.example answered 500: no",
            },
        ],
    }  # fmt: skip
    receipt = event(
        "Receipt Sent", 1.3,
        delivery("audit", f"{QUEUE}audit", "delivered", at=AT + 1.4, consumers=[
            {
                "function": f"{ARN}audit-writer", "state": "delivered", "alarms": [], "batches_left_out": 0,
                "attempts_seen": [attempt(1, 1.5, 80.0, "ok", records=3)],
            }
        ]),
    )  # fmt: skip
    order = event(
        "Order Placed", 0.0,
        delivery("place-order", f"{ARN}place-order", "delivered",
            attempt(1, 0.01, 12.0, "failed", "taking stock", "[ERROR] OutOfStock: none left of 7"),
            attempt(2, 1.1, 310.0, "ok", *(f"line {number}" for number in range(6)), published=[receipt],
                lines_left_out=40),
        ),
        delivery("notify", f"{ARN}notify-customer", "dead-lettered",
            attempt(1, 0.02, 100.0, "failed", "[ERROR] ConnectionError: no SMTP server"),
            attempt(2, 1.2, 100.0, "failed", "a", "b", "c", "[ERROR] ConnectionError: no SMTP server"),
            at=AT + 3.1, dead_letter_queue=f"{QUEUE}notify-dlq", error_code="ConnectionError",
            error_message="no SMTP server", alarms=[alarm]),
        delivery("copy", "arn:aws:events:us-east-1:000000000000:event-bus/archive", "delivered", at=AT + 0.05,
            passed_on=event("Order Placed", 0.04, bus="archive", closest=[{"rule": "old", "missed": 1}])),
        delivery("slow", f"{ARN}slow", "pending", attempt(1, 2.0, None, "running")),
    )  # fmt: skip
    return found(order, event("Nothing wants this", 2.5), told=5)


def drawn(told: dict[str, Any], width: int) -> str:
    rows = ("".join(part if isinstance(part, str) else part[0] for part in row) for row in picture(told, width))
    return "".join(f"{row.rstrip()}\n" for row in rows)


def test_the_picture_is_what_it_was():
    assert drawn(everything(), 80) == GOLDEN.read_text()


@pytest.mark.parametrize("width", [44, 60, 80, 110])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int):
    told = everything()
    told["events"][0]["detail_type"] = "A very long name of an event, " * 10
    told["events"][0]["deliveries"][0]["attempts_seen"][0]["lines_first"] = ["x" * 500]
    assert max(len(row) for row in drawn(told, width).splitlines()) <= width


def test_what_is_nested_deeply_still_has_its_words():
    inner = event("Last", 9.0)
    for number in range(16):
        tried = attempt(1, 8.0 - number / 2, 1.0, "ok", published=[inner])
        inner = event(f"Turn {number}", 8.0 - number / 2, delivery("again", f"{ARN}again", "delivered", tried))
    text = drawn(found(inner), 80)
    assert all(f"Turn {number} " in text for number in range(16))
    assert "Last" in text


def test_where_it_was_not_looked_is_said():
    told = found(event("Order Placed", 0.0), until=AT + 5, since=AT - 5, left_out=3)
    text = drawn(told, 80)
    assert "up to 22:13:25.000: what came later is not shown" in text
    assert "from 22:13:15.000 on: what came before is not shown" in text
    assert "3 more left out" in text


def test_a_trace_that_is_gone_is_no_error():
    assert drawn(found(), 80) == "No event of it is left.\n"


def test_an_alarm_of_long_ago_does_not_stretch_the_axis():
    told = everything()
    told["events"][0]["deliveries"][1]["alarms"][0]["at"] = AT - 86_400
    text = drawn(told, 80)
    assert "alarm notify-dlq was in ALARM already, since 2023-11-13 22:13" in text
    assert "5 events in 3.10 s" in text


def test_a_bar_is_never_nothing_and_never_beyond_its_axis():
    axis = Axis(0.0, 10.0, 10)
    assert axis.bar(0.0, 0.0, "━") == "━·········"
    assert axis.bar(10.0, 10.0, "━") == "·········━"
    assert axis.bar(2.0, 5.0, "━", "×") == "··━━━×····"
    assert axis.bar(-5.0, 50.0, "━") == "━━━━━━━━━━"
    assert Axis(1.0, 1.0, 3).bar(1.0, 1.0, "●") == "●··"
