"""What functions do on AWS, read from the lines of their logs: whose each line is, steps, attempts. Pure.

Nothing in a line that Python prints says which invocation printed it. A stream is of one execution environment, which
runs one invocation at a time, so a line is of the one that began last in its stream; Node.js's lines and Lambda's own
name theirs. Read is Lambda's text format of logs.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from busway.function.attempt_lines import BEGIN, END, INIT_REPORT, REPORT, duration_ms, error_in, split_runs

GROUPS = "/aws/lambda/"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
TIMEOUT_S_MAX = 900
# Ours: of how many streams, and of how many invocations that failed, is remembered what was said last.
REMEMBERED_MAX = 1_000
# Ours: how many lines of an attempt are told, the first ones and the last ones.
LINES_FIRST, LINES_LAST = 100, 400

OK, FAILED, RUNNING, INTERRUPTED = "ok", "failed", "running", "interrupted"
# What a `step` is.
ATTEMPT, PRINTED, ENDED = "attempt", "printed", "ended"

_INIT_START = "INIT_START "
_ID = r"(?P<id>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
# Lambda's own lines, Node.js's and "Task timed out", Python's logging.
_NAMES_REQUEST = re.compile(
    rf"(?:(?:(?:START|END|REPORT) )?RequestId: |\d{{4}}-\S+Z[\t ]|\[[A-Z]+\]\t\d{{4}}-\S+Z\t){_ID}"
)

V = TypeVar("V")


class LogLine(msgspec.Struct, frozen=True):
    """One event of a log. `at` is Unix seconds; `id` CloudWatch's; `text` may be several lines."""

    at: float
    function: str
    stream: str
    text: str
    id: str = ""


def log_line(group: str, event: Mapping[str, Any]) -> LogLine:
    """What FilterLogEvents gives."""
    text = "\n".join(str(event["message"]).rstrip().splitlines())
    function = group.removeprefix(GROUPS)
    return LogLine(event["timestamp"] / 1000, function, event["logStreamName"], text, event["eventId"])


def request_in(text: str) -> str:
    """The invocation that a line itself names, "" for none."""
    found = _NAMES_REQUEST.match(text)
    return found["id"] if found else ""


class Requests:
    """Whose each line is, of lines in the order of time."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], str] = OrderedDict()

    def of(self, line: LogLine) -> str:
        """The invocation's id; "" where the beginning of it was not seen."""
        place = line.function, line.stream
        named = request_in(line.text)
        if line.text.startswith(BEGIN):
            _remember(self._last, place, named)
        return named or self._last.get(place, "")


class Steps:
    """What happened, step by step, of lines in the order of time."""

    def __init__(self) -> None:
        self._requests = Requests()
        self._errors: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def of(self, line: LogLine) -> dict[str, Any] | None:
        """`kind` ("attempt" begins, "printed", "ended", "failed"), `at`, `function`, `request_id`; None for none.

        What ended has `duration_ms`, what failed `error_code` and `error_message` besides, what is printed `line`.
        """
        request_id = self._requests.of(line)
        step = {"kind": PRINTED, "at": line.at, "function": line.function, "request_id": request_id}
        if line.text.startswith((END, _INIT_START)):
            return None
        if line.text.startswith(BEGIN):
            return {**step, "kind": ATTEMPT}
        error = error_in(line.text)
        if line.text.startswith(REPORT):
            # What the runtime printed says more than the report.
            error = self._errors.pop(request_id, None) or error
            told = {**step, "kind": FAILED if error else ENDED, "duration_ms": duration_ms(line.text)}
            return {**told, "error_code": error[0], "error_message": error[1]} if error else told
        if error and request_id:
            _remember(self._errors, request_id, error)
        return {**step, "line": line.text}


def _remember(known: OrderedDict[Any, V], key: Any, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > REMEMBERED_MAX:
        known.popitem(last=False)


class AwsAttempt(msgspec.Struct):
    """One attempt. `lines` are {at, line}; `lines_left_out` counts those between the first 100 and the last 400."""

    number: int
    began_at: float
    duration_ms: float | None
    outcome: str
    error_code: str
    error_message: str
    lines: list[dict[str, Any]]
    lines_left_out: int


def lines_of(request_id: str, lines: Iterable[LogLine]) -> list[LogLine]:
    """Of lines in the order of time those of one invocation."""
    requests = Requests()
    return [line for line in lines if requests.of(line) == request_id]


def begun_before(lines: Sequence[LogLine], beginnings: Sequence[LogLine]) -> dict[str, str]:
    """By the id of each line the invocation that it names, or that began last in its stream; "" where none did."""
    unique = {one.id: one for one in (*beginnings, *lines)}
    # Within a millisecond CloudWatch's ids, numbers of one length, tell which came first.
    merged = sorted(unique.values(), key=lambda one: (one.at, len(one.id), one.id))
    requests = Requests()
    whose = {one.id: requests.of(one) for one in merged}
    return {one.id: whose[one.id] for one in lines}


def attempts_of(lines: Sequence[LogLine], now: float) -> list[AwsAttempt]:
    """Of one invocation's lines, oldest first."""
    runs = list(split_runs(sorted(lines, key=lambda line: line.at), lambda line: line.text))
    # One that another follows does not go on.
    may_run = [number == len(runs) and now - run[0].at < TIMEOUT_S_MAX for number, run in enumerate(runs, 1)]
    return [_attempt(number, run, may_run[number - 1]) for number, run in enumerate(runs, 1)]


def _attempt(number: int, run: Sequence[LogLine], may_run: bool) -> AwsAttempt:
    # The last one: before it a function may print what it likes.
    report = next((line.text for line in reversed(run) if line.text.startswith(REPORT)), None)
    printed = [line for line in run if not line.text.startswith((BEGIN, END, REPORT, INIT_REPORT, _INIT_START))]
    texts = [*(line.text for line in printed), report or ""]
    error = next(filter(None, map(error_in, texts)), None)
    if report is None and error is None:
        outcome = RUNNING if may_run else INTERRUPTED
    else:
        outcome = FAILED if error else OK
    last = printed[LINES_FIRST:][-LINES_LAST:]
    shown = [*printed[:LINES_FIRST], *last]
    code, message = error or ("", "")
    return AwsAttempt(
        number, run[0].at, duration_ms(report) if report else None, outcome, code, message,
        [{"at": line.at, "line": line.text} for line in shown], len(printed) - len(shown),
    )  # fmt: skip


class Window:
    """What was seen of a log that is asked again and again: lines come late, and are given once.

    Asked is from `start_ms` on, which stays `overlap_ms` behind the newest line. At most `seen_max` lines are known
    by their ids; of a log that has more in that time, those that come late are not given.
    """

    def __init__(self, start_ms: int, overlap_ms: int, seen_max: int) -> None:
        self.start_ms = start_ms
        self._newest_ms, self._overlap_ms, self._seen_max = start_ms, overlap_ms, seen_max
        self._seen: dict[str, int] = {}

    def is_new(self, event: Mapping[str, Any]) -> bool:
        """Of an event as FilterLogEvents gives it."""
        at_ms, event_id = int(event["timestamp"]), str(event["eventId"])
        if event_id in self._seen or at_ms < self.start_ms:
            return False
        self._seen[event_id] = at_ms
        # Who puts lines ahead of time moves nothing.
        self._newest_ms = max(self._newest_ms, min(at_ms, int(event.get("ingestionTime", at_ms))))
        if len(self._seen) > self._seen_max:
            self.slide()
        return True

    def slide(self) -> None:
        """Forget what is too old to be asked for again."""
        start_ms = max(self.start_ms, self._newest_ms - self._overlap_ms)
        seen = {event_id: at_ms for event_id, at_ms in self._seen.items() if at_ms >= start_ms}
        if len(seen) > self._seen_max:
            # The older half: were it one line, the next would have all looked through again.
            start_ms = sorted(seen.values())[len(seen) // 2] + 1
            seen = {event_id: at_ms for event_id, at_ms in seen.items() if at_ms >= start_ms}
        self.start_ms, self._seen = start_ms, seen
