from __future__ import annotations

from typing import Any

import click
import pytest

from busway.cli.clock import seconds
from busway.cli.dlq import subject
from busway.cli.output import console
from busway.cli.timeline import flat, name_of, show_step, told

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:shop-mail"


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [
        ("accepted", {"detail_type": "Order", "source": "shop", "bus": "default"}, "Order from shop on bus default"),
        ("dropped", {"detail_type": "Order", "source": "shop", "bus": "gone"}, "Order from shop on bus gone"),
        ("matched", {"rule": "arn:aws:events:us-east-1:000000000000:rule/orders/big"}, "rule big"),
        ("queued", {"target": FUNCTION}, "for shop-mail"),
        ("attempt", {"function": FUNCTION, "attempt": 2}, "shop-mail, attempt 2"),
        (
            "retried",
            {"function": FUNCTION, "attempt": 1, "at": 5.0, "due_at": 65.0},
            "shop-mail, attempt 1 failed; again in 60.0 s",
        ),
        ("dead-lettered", {"function": FUNCTION, "attempt": 3}, "shop-mail, attempt 3 failed"),
        ("dead-lettered", {"target": FUNCTION, "queue": "arn:aws:sqs:r:a:q"}, "shop-mail failed; kept in q"),
        ("alarm", {"alarm": "mail", "state": "ALARM"}, "mail is ALARM"),
        (
            "alert",
            {"route": "pd", "delivered": False, "alarm": "a", "state": "OK"},
            "route pd could not be told: a is OK",
        ),
        ("redriven", {"queue": "arn:aws:sqs:r:a:q", "function": FUNCTION}, "shop-mail"),
        ("missed", {"count": 7}, "7 steps came faster than they could be shown"),
        ("something new", {"bus": "default"}, "default"),
    ],
)
def test_each_step_is_told_in_words(kind: str, facts: dict[str, Any], words: str):
    assert told(kind, facts) == words


def test_an_alarm_that_is_over_gives_no_reasons(capfd: pytest.CaptureFixture[str]):
    console.cache_clear()
    for state in ("OK", "ALARM"):
        show_step({"kind": "alarm", "at": 0.0, "alarm": "mail", "state": state, "reason": f"measured for {state}"})
    console.cache_clear()
    out, _ = capfd.readouterr()
    assert "measured for ALARM" in out
    assert "measured for OK" not in out


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"records": 1, "source": "arn:aws:sqs:r:a:orders"}, "shop-mail, 1 record of orders, attempt 2"),
        (
            {"records": 25, "source": "arn:aws:kinesis:r:a:stream/orders", "shard": "shardId-000000000001"},
            "shop-mail, 25 records of orders shardId-000000000001, attempt 2",
        ),
        (
            {"records": 1, "source": "arn:aws:sqs:r:a:orders", "first": "m-1", "event_ids": []},
            "shop-mail, 1 record of orders from m-1, attempt 2",
        ),
        (
            {"records": 1, "source": "arn:aws:sqs:r:a:orders", "first": "m-1", "event_ids": ["e-1"]},
            "shop-mail, 1 record of orders, attempt 2",
        ),
    ],
)
def test_a_batch_says_how_much_of_what_was_handed_over(facts: dict[str, object], text: str):
    assert told("attempt", {"function": FUNCTION, "attempt": 2, **facts}) == text


def test_a_batch_stands_under_its_first_event(capfd: pytest.CaptureFixture[str]):
    console.cache_clear()
    show_step({"kind": "attempt", "at": 0.0, "function": FUNCTION, "records": 2, "event_ids": ["1f0c2d3e-a", "b"]})
    console.cache_clear()
    assert "  1f0c2d3e  attempt " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"event_id": "e-1", "place": "", "message_id": "m"}, "e-1"),
        ({"event_id": "", "place": "shardId-000000000000:49 +2", "message_id": "m"}, "shardId-000000000000:49 +2"),
        ({"event_id": "", "place": "", "message_id": "m"}, "message m"),
    ],
)
def test_a_dead_letter_is_known_by_its_event_its_place_or_its_message(item: dict[str, str], text: str):
    assert subject(item) == text


def test_facts_stand_beside_the_kind_whether_nested_or_not():
    assert flat({"kind": "a", "facts": {"bus": "b"}}) == flat({"kind": "a", "bus": "b"}) == {"kind": "a", "bus": "b"}


@pytest.mark.parametrize(
    ("arn", "name"),
    [(FUNCTION, "shop-mail"), ("arn:aws:events:r:a:rule/bus/r1", "r1"), ("plain", "plain"), (None, "")],
)
def test_an_arn_is_shown_by_its_name(arn: str | None, name: str):
    assert name_of(arn) == name


@pytest.mark.parametrize(("move", "wanted"), [("+90s", 90), ("+24h", 86_400), ("+1h30m", 5_400), ("+0.5s", 0.5)])
def test_a_clock_is_moved_by_a_length_of_time(move: str, wanted: float):
    assert seconds(move) == wanted


@pytest.mark.parametrize("move", ["24h", "-1h", "+", "+5", "+1week", "now"])
def test_a_clock_moves_only_forward_and_by_units(move: str):
    with pytest.raises(click.UsageError, match="no way to move a clock"):
        seconds(move)
