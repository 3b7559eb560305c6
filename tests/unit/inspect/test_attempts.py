"""The attempts behind a dead letter, from what was printed and what the trail remembers."""

from __future__ import annotations

from busway.delivery.dead_letter import Source
from busway.function.logs import Line
from busway.inspect.attempts import attempts_of
from busway.trail import Step

from .world import FUNCTION

SOURCE = Source(
    kind="function", payload=b"{}", function_arn=FUNCTION, event_id="e", request_id="r", attempts=2,
    error_code="KeyError", error_message="'b'", failed_at=9.0,
)  # fmt: skip


def printed(at: float, attempt: int, *texts: str) -> list[Line]:
    return [Line(FUNCTION, at, "r", "e", attempt, text) for text in ("START RequestId: r Version: 1", *texts)]


def test_each_attempt_has_its_number_time_error_and_lines():
    lines = [*printed(1.0, 1, "hello", "[ERROR] ValueError: a"), *printed(2.0, 2, "[ERROR] KeyError: 'b'")]
    first, second = attempts_of(SOURCE, lines, [])
    assert (first.number, first.at, first.error_code, first.error_message) == (1, 1.0, "ValueError", "a")
    assert [one["line"] for one in first.logs][1:] == ["hello", "[ERROR] ValueError: a"]
    assert (second.number, second.error_code, second.error_message) == (2, "KeyError", "'b'")


def test_the_trail_has_the_error_in_full():
    facts = {
        "function": FUNCTION,
        "request_id": "r",
        "attempt": 1,
        "error_code": "ValueError",
        "error_message": "a\nb",
    }
    step = Step(1, 1.1, "attempt", facts)
    lines = [*printed(1.0, 1, "[ERROR] ValueError: a"), *printed(2.0, 2)]
    assert attempts_of(SOURCE, lines, [step])[0].error_message == "a\nb"


def test_an_earlier_run_of_the_same_request_keeps_its_own_errors():
    step = Step(1, 50.0, "attempt", {"function": FUNCTION, "request_id": "r", "attempt": 1, "error_message": "later"})
    found = attempts_of(SOURCE, [*printed(1.0, 1, "[ERROR] ValueError: a"), *printed(50.0, 1)], [step])
    assert [one.error_message for one in found] == ["a", "'b'"]


def test_a_target_without_logs_is_told_from_the_trail_and_the_letter():
    source = Source(
        kind="rule-target", payload=b"{}", target_arn="t", attempts=2, error_message="down", failed_at=9.0
    )
    steps = [
        Step(1, 1.0, "attempt", {"target": "t", "attempt": 1, "error_message": "slow"}),
        Step(2, 2.0, "attempt", {"target": "other", "attempt": 1, "error_message": "no"}),
        Step(3, 3.0, "attempt", {"target": "t", "attempt": 2, "error_message": "down"}),
    ]
    assert [(one.number, one.at, one.error_message) for one in attempts_of(source, [], steps)] == [
        (1, 1.0, "slow"), (2, 3.0, "down"),
    ]  # fmt: skip


def test_what_nothing_remembers_is_the_last_attempt_alone():
    (last,) = attempts_of(SOURCE, [], [])
    assert (last.number, last.at, last.error_code) == (2, 9.0, "KeyError")


def test_what_was_never_tried_has_no_attempts():
    assert attempts_of(Source(kind="rule-target", payload=b"{}", error_code="NO_RESOURCE"), [], []) == []
