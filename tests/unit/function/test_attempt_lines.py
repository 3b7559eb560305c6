"""Where an attempt begins in a log, and which lines tell how it failed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from busway.function.attempt_lines import duration_ms, error_in, split_runs


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[ERROR] builtins.ValueError: no: really", ("builtins.ValueError", "no: really")),
        ("[ERROR] Boom", ("Boom", "")),
        (
            '2026-01-01T00:00:00Z\tr\tERROR\tInvoke Error \t{"errorType":"TypeError","errorMessage":"no table"}',
            ("TypeError", "no table"),
        ),
        ("REPORT RequestId: r\tStatus: timeout", ("Sandbox.Timedout", "it was ended at its timeout")),
        ("REPORT RequestId: r\tStatus: error\tError Type: Runtime.ExitError", ("Runtime.ExitError", "")),
        (
            "RequestId: r Error: Runtime exited with error: exit status 1\nRuntime.ExitError",
            ("Runtime.ExitError", "Runtime exited with error: exit status 1"),
        ),
        (
            "RequestId: r Error: Task timed out after 3.00 seconds Sandbox.Timedout",
            ("Sandbox.Timedout", "Task timed out after 3.00 seconds"),
        ),
        (
            "2026-01-01T00:00:00.000Z r Task timed out after 3.00 seconds",
            ("Sandbox.Timedout", "Task timed out after 3.00 seconds"),
        ),
        ("it said: Task timed out after 3.00 seconds", None),
        ("[ERROR]\t2026-01-01T00:00:00.000Z\tr\tlogged, and caught", None),
        ("all is well", None),
    ],
)
def test_an_error_is_read_from_the_line_of_each_runtime(line: str, told: tuple[str, str] | None):
    assert error_in(line) == told


def test_lines_before_the_first_attempt_are_of_none():
    lines = ["INIT_START", "START RequestId: r", "a", "START RequestId: r", "b"]
    assert list(split_runs(lines, str)) == [["START RequestId: r", "a"], ["START RequestId: r", "b"]]


def test_a_report_tells_how_long_it_took():
    assert duration_ms("REPORT RequestId: r\tDuration: 12.50 ms\tBilled Duration: 13 ms\t") == 12.5
    assert duration_ms("REPORT RequestId: r") is None


@given(st.text())
def test_whatever_a_function_prints_as_a_duration_is_a_number_or_none(text: str):
    for shown in (text, "1.2.3", "9" * 400, "٣"):
        found = duration_ms(f"REPORT RequestId: r\tDuration: {shown} ms\tx")
        assert found is None or math.isfinite(found)
