"""Attempts as the log of their invocation tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from busway.inspect.runs import ATTEMPTS_MAX, LINES_FIRST, LINES_LAST, runs_of
from busway.tracing import span_id

REPORT = "REPORT RequestId: r\tDuration: 12.50 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\t"


Line = dict[str, Any]


def line(at: float, attempt: int, text: str) -> Line:
    return {"at": at, "attempt": attempt, "line": text}


def run(attempt: int, at: float, *printed: str, report: str | None = REPORT) -> list[Line]:
    texts = ["START RequestId: r Version: $LATEST", *printed, *(["END RequestId: r", report] if report else [])]
    return [line(at, attempt, text) for text in texts]


def outcomes(*lines: Line, delivered: bool = False, running: bool = False) -> list[str]:
    return [one["outcome"] for one in runs_of("r", lines, delivered=delivered, running=running)]


def test_an_attempt_has_its_begin_its_length_its_lines_and_the_span_of_what_it_published():
    (told,) = runs_of("r", run(1, 7.0, "hello"), delivered=True, running=False)
    assert told == {
        "attempt": 1, "request_id": "r", "span": span_id("r", 1), "began_at": 7.0, "duration_ms": 12.5,
        "outcome": "ok", "lines_first": ["hello"], "lines_left_out": 0, "lines_last": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "last",
    [
        run(2, 2.0, "[ERROR] KeyError: 'x'"),
        run(2, 2.0, '2026-11-28T10:00:00.000Z\tr\tERROR\tInvoke Error\t{"errorType":"Error"}'),
        run(2, 2.0, report=f"{REPORT}Status: timeout"),
    ],
    ids=["in Python", "in JavaScript", "ended by the server"],
)
def test_an_attempt_fails_by_what_its_log_says_also_when_a_later_one_went_well(last: list[Line]):
    assert outcomes(*run(1, 1.0), *last, delivered=True) == ["failed", "failed"]
    assert outcomes(*last, *run(3, 3.0), delivered=True) == ["failed", "ok"]


def test_a_runtime_that_prints_no_error_failed_where_it_was_tried_again_or_given_up():
    assert outcomes(*run(1, 1.0), *run(2, 2.0), delivered=True) == ["failed", "ok"]
    assert outcomes(*run(1, 1.0), *run(2, 2.0)) == ["failed", "failed"]


def test_an_attempt_without_an_end_runs_or_was_interrupted():
    lines = [*run(1, 1.0, report=None), *run(1, 2.0, report=None)]
    assert outcomes(*lines, running=True) == ["interrupted", "running"]
    assert outcomes(*lines) == ["interrupted", "interrupted"]


@pytest.mark.parametrize("begun", [[], [line(1.0, 1, "START RequestId: r Version: $LATEST")]], ids=["once", "twice"])
def test_a_worker_that_could_not_start_is_one_attempt(begun: list[Line]):
    """However often its log begins; and so is the next one."""
    init = line(1.0, 1, "INIT_REPORT Init Duration: 3 ms\tPhase: init\tStatus: error")
    failed = [*begun, init, *run(1, 1.0, "[ERROR] Runtime.ImportModuleError: no module")]
    again = [line(2.0, 2, init["line"]), *run(2, 2.0, "[ERROR] Runtime.ImportModuleError: no module")]
    told = runs_of("r", [*failed, *again], delivered=False, running=False)
    assert [(one["attempt"], one["outcome"], one["lines_first"]) for one in told] == [
        (number, "failed", ["[ERROR] Runtime.ImportModuleError: no module"]) for number in (1, 2)
    ]


def test_a_long_log_keeps_its_two_ends_and_says_how_much_is_left_out():
    texts = [f"line {number}" for number in range(100)]
    (told,) = runs_of("r", run(1, 1.0, *texts), delivered=True, running=False)
    assert told["lines_first"] == texts[:LINES_FIRST]
    assert told["lines_last"] == texts[-LINES_LAST:]
    assert told["lines_left_out"] == 100 - LINES_FIRST - LINES_LAST


def test_of_very_many_attempts_the_newest_are_told():
    lines = [one for number in range(1, 51) for one in run(number, float(number))]
    told = runs_of("r", lines, delivered=False, running=False)
    assert [one["attempt"] for one in told] == list(range(51 - ATTEMPTS_MAX, 51))


def test_lines_whose_begin_is_gone_from_the_log_are_no_attempt():
    assert outcomes(line(1.0, 1, "the end of something"), *run(2, 2.0), delivered=True) == ["ok"]
