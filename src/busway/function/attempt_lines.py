"""What the lines of a function's log say of its attempts: where one begins and ends, and how it failed. Pure.

The same words stand in a log of ours and in one of AWS's, where the log is in Lambda's text format.
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html, …/nodejs-logging.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

BEGIN, END, REPORT, INIT_REPORT = "START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_REPORT "
# A function may print such a line itself, with anything in it.
_DURATION = re.compile(r"\tDuration: (\d{1,9}(?:\.\d{1,6})?) ms\t")
# How a log says that an attempt failed: Python's runtime, Node.js's, and what Lambda ended.
_PYTHON = re.compile(r"\[ERROR\] (?P<code>[\w.]+)(?:: (?P<message>.*))?")
_NODE = re.compile(r"(?:^|\t| )ERROR\s+(?:Invoke|Unhandled\w*|Uncaught\w*) \w+\s+(?P<json>\{.*\})$")
_ENDED_SO = re.compile(
    r"(?:\S+Z \S+ |RequestId: \S+ Error: )(?P<message>Task timed out after [\d.]+ seconds|Runtime exited [^\n]*?)"
    r"(?:\s(?P<code>Runtime\.\w+|Sandbox\.\w+))?\s*$"
)
_ENDED = re.compile(r"\tStatus: (?P<status>timeout|error\tError Type: (?P<code>\S+))")
TIMED_OUT = "Sandbox.Timedout"

T = TypeVar("T")


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


def duration_ms(report: str) -> float | None:
    """What a REPORT line says of it."""
    found = _DURATION.search(report)
    return None if found is None else float(found[1])


def error_in(line: str) -> tuple[str, str] | None:
    """(code, message) of a line, or of several that were printed as one, that tells how an attempt failed."""
    if found := _PYTHON.match(line):
        return found["code"], (found["message"] or "").split("\n")[0]
    if found := _NODE.search(line):
        try:
            told = msgspec.json.decode(found["json"], type=dict[str, Any])
        except msgspec.DecodeError:
            return None
        return str(told.get("errorType", "Error")), str(told.get("errorMessage", ""))
    if found := _ENDED_SO.match(line):
        timed_out = found["message"].startswith("Task timed out")
        return found["code"] or (TIMED_OUT if timed_out else "Runtime.ExitError"), found["message"]
    if found := _ENDED.search(line):
        return (TIMED_OUT, "it was ended at its timeout") if not found["code"] else (found["code"], "")
    return None
