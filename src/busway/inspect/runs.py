"""The runs of one invocation, read from its log: when each began, how long it took, how it ended. Pure.

The log outlives a restart and the end of the delivery, so it is what is left to tell of attempts that are over. It is
also bounded: the oldest attempts may be gone from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from busway.function.attempt_lines import BEGIN, END, INIT_REPORT, REPORT, duration_ms, split_runs
from busway.inspect.work import ENDED_BY_SERVER, EXCEPTION
from busway.tracing import span_id

# Ours: how many attempts are told, the newest; and how many lines of each, the first ones and the last ones.
ATTEMPTS_MAX = 10
LINES_FIRST, LINES_LAST = 10, 10

# As our client for Node.js reports what a handler threw, in AWS's words.
NODE_EXCEPTION = "\tERROR\tInvoke Error\t"

OK, FAILED, RUNNING, INTERRUPTED = "ok", "failed", "running", "interrupted"


# As `work.shown` gives it: `at`, `attempt`, `line`.
Shown = Mapping[str, Any]


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


def _report(run: Sequence[Shown]) -> str | None:
    """The last one: before it a function may print what it likes."""
    return next((line["line"] for line in reversed(run) if line["line"].startswith(REPORT)), None)


def _attempt(request_id: str, run: Sequence[Shown], *, last: bool, delivered: bool, running: bool) -> dict[str, Any]:
    begun = run[0]
    report = _report(run)
    printed = [line["line"] for line in run if not line["line"].startswith((BEGIN, END, REPORT, INIT_REPORT))]
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
        "duration_ms": None if report is None else duration_ms(report),
        "outcome": outcome,
        "lines_first": first,
        "lines_left_out": len(rest) - len(shown_last),
        "lines_last": shown_last,
    }


def _is_error(text: str) -> bool:
    return text.startswith(EXCEPTION) or NODE_EXCEPTION in text
