"""Steps of the trail as spans."""

from __future__ import annotations

from typing import Any

import pytest

from busway.telemetry import spans as spans_module, wanted
from busway.telemetry.spans import Span, Spans
from busway.tracing import begun_by, span_id, trace_id
from busway.trail import Step

EVENT, NEXT = "7bf73129-1428-4cd3-a780-95db273d1602", "1f0c2d3e-0000-4000-8000-000000000000"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:place-order"
RULE = "arn:aws:events:us-east-1:000000000000:rule/orders"
OWN = trace_id(begun_by(EVENT))


def told(*steps: tuple[str, dict[str, Any]], spans: Spans | None = None) -> list[Span]:
    """The spans of steps that come a second after each other."""
    spans = spans or Spans()
    made = (Step(at, float(at), kind, facts) for at, (kind, facts) in enumerate(steps, 1))
    return [span for step in made for span in spans.of(step)]


def accepted(event_id: str = EVENT, **facts: str) -> tuple[str, dict[str, Any]]:
    return "accepted", {"event_id": event_id, "bus": "default", "detail_type": "Order", "source": "shop", **facts}


MATCHED = ("matched", {"event_id": EVENT, "bus": "default", "rule": "orders"})
TRY: dict[str, Any] = {"event_id": EVENT, "rule": RULE, "function": FUNCTION, "request_id": "r", "attempt": 1}


def test_an_event_its_match_and_its_attempt_are_a_chain_in_its_own_trace():
    accept, match, attempt = told(accepted(), MATCHED, ("attempt", TRY), ("delivered", TRY))
    assert [span.name for span in (accept, match, attempt)] == ["accept Order", "match orders", "attempt place-order"]
    assert {span.trace_id for span in (accept, match, attempt)} == {OWN}
    assert (accept.parent, match.parent, attempt.parent) == ("", accept.span_id, match.span_id)
    assert [(span.start, span.end) for span in (accept, match, attempt)] == [(1.0, 1.0), (1.0, 2.0), (3.0, 4.0)]
    assert attempt.attributes["busway.attempt"] == 1 and attempt.attributes["busway.event_id"] == EVENT
    assert attempt.error == ""


def test_what_an_attempt_published_is_below_it():
    *_, attempt = told(accepted(), MATCHED, ("attempt", TRY), ("delivered", TRY))
    header = f"Root=1-{OWN[:8]}-{OWN[8:]};Parent={span_id('r', 1)};Sampled=0"
    spans = Spans()
    (accept,) = told(accepted(NEXT, trace_header=header), spans=spans)
    assert (accept.trace_id, accept.parent) == (OWN, attempt.span_id)
    (match,) = told(("matched", {"event_id": NEXT, "rule": "orders"}), spans=spans)
    assert match.trace_id == OWN


def test_an_attempt_that_fails_is_told_once_whatever_follows():
    failed = {**TRY, "error_code": "Unhandled", "error_message": "no stock"}
    spans = told(("attempt", TRY), ("attempt", failed), ("retried", failed))
    (attempt,) = spans
    assert (attempt.error, attempt.attributes["busway.error_message"]) == ("Unhandled", "no stock")


def test_each_attempt_is_a_span_and_a_dead_letter_is_one_below_the_last():
    steps: list[tuple[str, dict[str, Any]]] = []
    for number in (1, 2):
        failed = {**TRY, "attempt": number, "error_code": "Unhandled"}
        steps += [("attempt", {**TRY, "attempt": number}), ("attempt", failed)]
    *attempts, letter = told(
        *steps, ("dead-lettered", {**TRY, "attempt": 2, "error_code": "Unhandled", "queue": "q"})
    )
    assert len({span.span_id for span in attempts}) == 2
    assert (letter.name, letter.parent, letter.error) == (
        "dead letter of place-order", attempts[1].span_id, "Unhandled",
    )  # fmt: skip


def test_a_delivery_to_the_outside_is_known_by_its_target():
    target = {"event_id": EVENT, "rule": "orders", "target": "arn:aws:kinesis:r:a:stream/orders"}
    first, second = told(
        ("attempt", {**target, "attempt": 1}), ("retried", {**target, "attempt": 1, "error_code": "THROTTLING"}),
        ("attempt", {**target, "attempt": 2}), ("delivered", {**target, "attempt": 2}),
    )  # fmt: skip
    assert (first.error, second.error) == ("THROTTLING", "")
    assert first.span_id != second.span_id and first.parent == second.parent


def test_a_batch_is_one_attempt_in_the_trace_of_its_first_event():
    batch = {"event_ids": [EVENT, NEXT], "function": FUNCTION, "request_id": "r", "records": 2, "attempt": 3}
    (attempt,) = told(("attempt", batch), ("delivered", batch))
    assert (attempt.trace_id, attempt.span_id) == (OWN, span_id("r", 1))


@pytest.mark.parametrize(
    "step",
    [("delivered", TRY), ("alarm", {"alarm": "a"}), ("halted", {"bus": "b"}), ("queued", {"event_id": EVENT})],
)
def test_what_never_began_here_is_no_span(step: tuple[str, dict[str, Any]]):
    assert told(step) == []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spans_module, "OPEN_MAX", 2)
    tries = [{**TRY, "request_id": str(number)} for number in range(3)]
    ended = told(*(("attempt", one) for one in tries), *(("delivered", one) for one in tries))
    assert [span.span_id for span in ended] == [span_id("1", 1), span_id("2", 1)]


@pytest.mark.parametrize(
    ("environ", "want"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_it_is_sent_where_the_environment_says_whereto(environ: dict[str, str], want: bool):
    assert wanted(environ) == want
