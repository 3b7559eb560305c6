"""Whose each line of a log on AWS is, and what attempts it tells of: lines as AWS's runtimes write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, strategies as st

from busway.road.aws.attempt_log import (
    LINES_FIRST,
    LINES_LAST,
    LogLine,
    Requests,
    Steps,
    Window,
    attempts_of,
    begun_before,
    lines_of,
    log_line,
    request_in,
)

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
TIMED_OUT = "Task timed out after 3.00 seconds"
AT = "2026-11-28T17:03:12.123Z"


def lines(*texts: str, stream: str = "a", at: float = 1.0) -> list[LogLine]:
    """A second apart."""
    return [LogLine(at + n, "shop-prod-one", stream, text, f"{stream}{at + n}") for n, text in enumerate(texts)]


def start(request_id: str) -> str:
    return f"START RequestId: {request_id} Version: $LATEST"


def report(request_id: str, ended: str = "") -> str:
    return f"REPORT RequestId: {request_id}\tDuration: 12.50 ms\tBilled Duration: 13 ms\t{ended}"


def steps(found: Sequence[LogLine]) -> list[dict[str, Any]]:
    known = Steps()
    return [step for line in found if (step := known.of(line))]


@pytest.mark.parametrize(
    "text",
    [
        start(ONE),
        report(ONE),
        f"END RequestId: {ONE}",
        f"RequestId: {ONE} Error: Runtime exited with error: exit status 1",
        f"{AT} {ONE} {TIMED_OUT}",
        f"{AT}\t{ONE}\tINFO\thandling",
        f"[INFO]\t{AT}\t{ONE}\thandling",
    ],
)
def test_a_line_of_lambda_and_of_a_logger_names_its_invocation(text: str):
    assert request_in(text) == ONE


@pytest.mark.parametrize("text", [f"handling {ONE}", ONE, f"the order {ONE}", "RequestId: none", ""])
def test_what_a_handler_prints_names_none(text: str):
    assert request_in(text) == ""


def test_a_line_is_of_the_invocation_that_began_last_in_its_stream():
    requests = Requests()
    found = [
        *lines("loading", start(ONE), "hello"), *lines(start(TWO), stream="b"), *lines("more"),
        *lines(f"{AT}\t{TWO}\tINFO\tlate", "and this"),
    ]  # fmt: skip
    assert [requests.of(line) for line in found] == ["", ONE, ONE, TWO, ONE, TWO, ONE]


def test_an_event_of_cloudwatch_is_a_line_of_a_function():
    message = "[ERROR] ValueError: no\rTraceback\r\n  File\n\n"
    event = {"timestamp": 1500, "message": message, "logStreamName": "s", "eventId": "7"}
    assert log_line("/aws/lambda/shop-prod-one", event) == LogLine(
        1.5, "shop-prod-one", "s", "[ERROR] ValueError: no\nTraceback\n  File", "7"
    )


def test_an_attempt_is_told_from_its_beginning_to_how_it_ended():
    found = steps(lines("INIT_START Runtime", start(ONE), "hello", f"END RequestId: {ONE}", report(ONE)))
    assert [(step["kind"], step["request_id"]) for step in found] == [
        ("attempt", ONE), ("printed", ONE), ("ended", ONE),
    ]  # fmt: skip
    assert (found[1]["line"], found[2]["duration_ms"], found[0]["function"]) == ("hello", 12.5, "shop-prod-one")


@pytest.mark.parametrize(
    ("printed", "ended", "code", "message"),
    [
        ("[ERROR] ValueError: too much\nTraceback", "", "ValueError", "too much"),
        (
            f'{AT}\t{ONE}\tERROR\tInvoke Error \t{{"errorType":"TypeError","errorMessage":"no table"}}', "",
            "TypeError", "no table",
        ),
        (f"{AT} {ONE} {TIMED_OUT}", "Status: timeout", "Sandbox.Timedout", TIMED_OUT),
        ("nothing of it", "Status: timeout", "Sandbox.Timedout", "it was ended at its timeout"),
        ("nothing of it", "Status: error\tError Type: Runtime.OutOfMemory", "Runtime.OutOfMemory", ""),
    ],
)  # fmt: skip
def test_an_attempt_that_failed_says_how(printed: str, ended: str, code: str, message: str):
    found = lines(start(ONE), printed, report(ONE, ended))
    last = steps(found)[-1]
    assert (last["kind"], last["error_code"], last["error_message"]) == ("failed", code, message)
    (attempt,) = attempts_of(found, 10.0)
    assert (attempt.outcome, attempt.error_code, attempt.error_message) == ("failed", code, message)


def test_an_error_is_of_its_own_invocation_alone():
    found = steps(
        lines(start(ONE), "[ERROR] ValueError: a", report(ONE), start(ONE), report(ONE), start(TWO), report(TWO))
    )
    assert [step["kind"] for step in found if step["kind"] in ("ended", "failed")] == ["failed", "ended", "ended"]


def test_attempts_of_one_invocation_are_told_in_the_order_of_time_whatever_stream_they_ran_in():
    found = [
        *lines(start(ONE), "again", report(ONE), stream="b", at=100.0),
        *lines(start(ONE), "[ERROR] ValueError: a", report(ONE), at=1.0),
    ]
    first, second = attempts_of(found, 200.0)
    assert (first.number, first.outcome, first.began_at, first.duration_ms) == (1, "failed", 1.0, 12.5)
    assert (second.number, second.outcome, second.lines) == (2, "ok", [{"at": 101.0, "line": "again"}])


def test_a_timeout_that_is_told_after_the_report_is_of_that_attempt():
    (attempt,) = attempts_of(lines(start(ONE), f"END RequestId: {ONE}", report(ONE), f"{AT} {ONE} {TIMED_OUT}"), 9.0)
    assert (attempt.outcome, attempt.error_message) == ("failed", TIMED_OUT)


def test_an_attempt_without_a_report_runs_as_long_as_one_may_and_then_nothing_says_how_it_ended():
    begun = lines(start(ONE), "hello")
    assert attempts_of(begun, 800.0)[0].outcome == "running"
    assert attempts_of(begun, 2000.0)[0].outcome == "interrupted"
    followed = [*begun, *lines(start(ONE), report(ONE), at=10.0)]
    assert [attempt.outcome for attempt in attempts_of(followed, 20.0)] == ["interrupted", "ok"]


def test_of_a_long_attempt_the_first_and_the_last_lines_are_told():
    count = LINES_FIRST + LINES_LAST + 7
    (attempt,) = attempts_of(lines(start(ONE), *map(str, range(count)), report(ONE)), 1e6)
    told = [line["line"] for line in attempt.lines]
    assert (told[0], told[LINES_FIRST - 1], told[-1]) == ("0", str(LINES_FIRST - 1), str(count - 1))
    assert (len(told), attempt.lines_left_out) == (LINES_FIRST + LINES_LAST, 7)


def test_lines_of_one_invocation_leave_out_those_of_others_in_the_stream():
    found = lines(start(ONE), "a", report(ONE), start(TWO), "b", report(TWO))
    assert [line.text for line in lines_of(TWO, found)] == [start(TWO), "b", report(TWO)]


def test_a_line_is_found_to_be_of_what_began_last_before_it():
    (early,), (same,), (late,) = lines("e", at=1.0), lines("e", at=5.0), lines("e", at=9.0)
    (other,) = lines("e", at=9.0, stream="b")
    # Of the same millisecond as the line, but an event of its own.
    beginnings = [
        LogLine(5.0, "shop-prod-one", "a", start(ONE), "s1"),
        LogLine(7.0, "shop-prod-one", "a", start(TWO), "s2"),
    ]
    found = begun_before([early, same, late, other], beginnings)
    assert found == {early.id: "", same.id: ONE, late.id: TWO, other.id: ""}


# --- what is asked for again and again ---


def event(at_ms: int, event_id: str | None = None, ingested_ms: int | None = None) -> dict[str, Any]:
    return {"timestamp": at_ms, "eventId": event_id or str(at_ms), "ingestionTime": ingested_ms or at_ms}


def asked(log: Sequence[dict[str, Any]], window: Window) -> Iterator[str]:
    """One round: what is there from the window's start on, in the order of time."""
    found = [one for one in sorted(log, key=lambda one: one["timestamp"]) if one["timestamp"] >= window.start_ms]
    yield from (one["eventId"] for one in found if window.is_new(one))
    window.slide()


def test_a_line_that_comes_late_is_given_and_none_is_given_twice():
    log, window = [event(1_000), event(9_000)], Window(0, 5_000, 100)
    assert list(asked(log, window)) == ["1000", "9000"]
    log.append(event(6_000))
    assert list(asked(log, window)) == ["6000"]
    assert list(asked(log, window)) == []
    assert window.start_ms == 4_000


def test_a_line_of_the_future_does_not_hide_those_that_come():
    log, window = [event(90_000_000, ingested_ms=9_000)], Window(0, 5_000, 100)
    assert list(asked(log, window)) == ["90000000"]
    log.append(event(10_000))
    assert list(asked(log, window)) == ["10000"]


@given(
    rounds=st.lists(st.lists(st.integers(0, 3_000), max_size=30), max_size=8),
    seen_max=st.integers(1, 40),
)
def test_every_line_that_is_not_late_is_given_once_and_few_are_remembered(rounds: list[list[int]], seen_max: int):
    """Each round's lines are later than all before, in times of their own."""
    log: list[dict[str, Any]] = []
    given_ids: list[str] = []
    window, now_ms = Window(0, 1_000, seen_max), 0
    for gaps in rounds:
        for gap in gaps:
            now_ms += 1 + gap
            log.append(event(now_ms))
        given_ids += asked(log, window)
        assert len(window._seen) <= seen_max + 1  # pyright: ignore[reportPrivateUsage]
    assert given_ids == [one["eventId"] for one in log]


def test_of_lines_of_one_millisecond_the_order_of_the_log_tells_whose_each_is():
    """On a warm worker the next attempt begins in the millisecond in which the line before was printed."""
    texts = (start(ONE), "handling e-1", start(TWO), "handling e-2")
    found = [LogLine(1.0, "f", "a", text, f"{number:056}") for number, text in enumerate(texts)]
    assert begun_before([found[1], found[3]], [found[0], found[2]]) == {found[1].id: ONE, found[3].id: TWO}


def test_a_report_that_a_function_printed_itself_is_not_the_last_word():
    (attempt,) = attempts_of(lines(start(ONE), report(ONE, "Status: timeout"), report(ONE)), 100.0)
    assert (attempt.outcome, attempt.duration_ms) == ("ok", 12.5)
