"""How often an event already went through each function: carried in the trace header, so that loops end. Pure.

AWS carries the same under the same name; the form of its value, and how many functions it tells of, are ours.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

from __future__ import annotations

import functools
import hashlib

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html: about sixteen times
PASSES_MAX = 16
# Ours: a trace header has at most 500 characters. Of more functions those of the fewest passes are forgotten.
FUNCTIONS_MAX = 16

_FIELD = "Lineage="


@functools.lru_cache(maxsize=4_096)
def _mark(function_arn: str) -> str:
    return hashlib.sha256(function_arn.encode()).hexdigest()[:8]


def _counts(trace_header: str) -> dict[str, int]:
    for part in trace_header.split(";"):
        if part.strip().startswith(_FIELD):
            pairs = (pair.partition(":") for pair in part.strip().removeprefix(_FIELD).split(","))
            return {mark: int(count) for mark, _, count in pairs if count.isdecimal() and len(count) < 6}
    return {}


def passes(trace_header: str, function_arn: str) -> int:
    """How often this function already ran on the way here."""
    return _counts(trace_header).get(_mark(function_arn), 0) if _FIELD in trace_header else 0


def passed(trace_header: str, function_arn: str) -> str:
    """The header that leaves the function: with one pass more. A header without a root has none to add to."""
    counts = _counts(trace_header)
    mark = _mark(function_arn)
    counts[mark] = counts.get(mark, 0) + 1
    kept = sorted(counts.items(), key=lambda pair: (pair[0] != mark, -pair[1]))[:FUNCTIONS_MAX]
    return f"{without(trace_header)};{_FIELD}{','.join(f'{name}:{count}' for name, count in kept)}"


def without(trace_header: str) -> str:
    """The header of an event that somebody sends anew on purpose: its way so far does not count."""
    if _FIELD not in trace_header:
        return trace_header
    return ";".join(part for part in trace_header.split(";") if not part.strip().startswith(_FIELD))
