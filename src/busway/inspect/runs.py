"""The runs of one invocation, read from its log: when each began, how long it took, how it ended. Pure.

The log outlives a restart and the end of the delivery, so it is what is left to tell of attempts that are over. It is
also bounded: the oldest attempts may be gone from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from busway.inspect.work import ENDED_BY_SERVER, EXCEPTION
from busway.tracing import span_id

# Ours: how many attempts are told, the newest; and how many lines of each, the first ones and the last ones.
ATTEMPTS_MAX = 10
LINES_FIRST, LINES_LAST = 10, 10

BEGIN, END, REPORT, INIT_REPORT = "START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_REPORT "
_DURATION = re.compile(r"\tDuration: ([0-9.]+) ms\t")
# As our client for Node.js reports what a handler threw, in AWS's words.
NODE_EXCEPTION = "\tERROR\tInvoke Error\t"

OK, FAILED, RUNNING, INTERRUPTED = "ok", "failed", "running", "interrupted"


# As `work.shown` gives it: `at`, `attempt`, `line`.
Shown = Mapping[str, Any]
T = TypeVar("T")


def runs_of(request_id: str, lines: Sequence[Shown], *, delivered: bool, running: bool) -> list[dict[str, Any]]:
    """The newest attempts, oldest first. `delivered` and `running` are of the last one, where its log says nothing.

    `lines_left_out` counts those between `lines_first` and `lines_last`. `span` is what events have as their parent
    which the attempt published.
    """
    runs = list(split_runs(lines, lambda line: str(line["line"])))
    return [
        _attempt(request_id, run, last=number == len(runs), delivered=delivered, running=running)
        for number, run in enumerate(runs, 1)
    ][-ATTEMPTS_MAX:]


def split_runs(lines: Sequence[T], text: Callable[[T], str]) -> Iterator[list[T]]:
    """The lines of each attempt; what stands before the first begins none."""
    run: list[T] = []
    for line in lines:
        if text(line).startswith(BEGIN) and not _failed_to_start(run, text):
            if run:
                yield run
            run = [line]
        elif run:
            run.append(line)
    if run:
        yield run


def _failed_to_start(run: Sequence[T], text: Callable[[T], str]) -> bool:
    """Of such a run there are two lines that begin it, and how the start ended between them."""
    if not run or not text(run[-1]).startswith(INIT_REPORT):
        return False
    return not any(text(line).startswith(REPORT) for line in run)


def _report(run: Sequence[Shown]) -> str | None:
    return next((line["line"] for line in run if line["line"].startswith(REPORT)), None)


def _attempt(request_id: str, run: Sequence[Shown], *, last: bool, delivered: bool, running: bool) -> dict[str, Any]:
    begun = run[0]
    report = _report(run)
    printed = [line["line"] for line in run if not line["line"].startswith((BEGIN, END, REPORT, INIT_REPORT))]
    found = None if report is None else _DURATION.search(report)
    if report is None:
        outcome = RUNNING if last and running else INTERRUPTED
    elif ENDED_BY_SERVER in report or any(map(_is_error, printed)):
        outcome = FAILED
    else:
        # A runtime of the function's own need not print its errors; but what went well is not tried again.
        outcome = OK if last and delivered else FAILED
    first, rest = printed[:LINES_FIRST], printed[LINES_FIRST:]
    shown_last = rest[-LINES_LAST:]
    return {
        "attempt": begun["attempt"],
        "request_id": request_id,
        "span": span_id(request_id, begun["attempt"]),
        "began_at": begun["at"],
        "duration_ms": None if found is None else float(found[1]),
        "outcome": outcome,
        "lines_first": first,
        "lines_left_out": len(rest) - len(shown_last),
        "lines_last": shown_last,
    }


def _is_error(text: str) -> bool:
    return text.startswith(EXCEPTION) or NODE_EXCEPTION in text
