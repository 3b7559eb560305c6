"""The attempts behind a dead letter: when each began, how it failed, what was printed. Pure.

The log of an invocation outlives a restart and tells when an attempt began and what it printed; the trail has the
error in full, as long as it remembers; the letter itself has the last one for good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from busway.delivery.dead_letter import Source
from busway.function.attempt_lines import error_in, split_runs
from busway.function.logs import Line
from busway.trail import Step

# Ours: of what one attempt printed, the last so many lines are told.
LINES_MAX = 500


class Attempt(msgspec.Struct):
    """One attempt. `at` is Unix seconds, None where nothing tells; `number` counts from 1 after each redrive."""

    number: int
    at: float | None
    request_id: str = ""
    error_code: str = ""
    error_message: str = ""
    logs: list[dict[str, Any]] = msgspec.field(default_factory=list[dict[str, Any]])


def attempts_of(source: Source, lines: Sequence[Line], steps: Sequence[Step]) -> list[Attempt]:
    """Oldest first. `lines` are of the letter's requests, `steps` of its event; both oldest first.

    The last one has the letter's own error. Those that nothing remembers are left out, but the last.
    """
    failed = [step for step in steps if step.kind == "attempt" and _is_of(step.facts, source)]
    found = [_logged(run, failed) for run in split_runs(lines, lambda line: line.line)]
    if not found:
        found = [_noted(step.at, step.facts) for step in failed if step.facts.get("error_message")]
    if not found and source.attempts:
        found = [Attempt(source.attempts, source.failed_at, source.request_id)]
    if found:
        found[-1].error_code = source.error_code or found[-1].error_code
        found[-1].error_message = source.error_message or found[-1].error_message
    return found


def _is_of(facts: Mapping[str, Any], source: Source) -> bool:
    """Whether a step of the event was an attempt of the handler that failed; of a queue, of any that reads it."""
    if source.kind == "queue":
        return facts.get("source") == source.target_arn
    handler = source.function_arn or source.target_arn
    where = facts.get("function") or facts.get("target") or ""
    return where == handler or handler.startswith(f"{where}:")


def _logged(group: Sequence[Line], failed: Sequence[Step]) -> Attempt:
    first, last = group[0], group[-1]
    attempt = Attempt(max(1, first.attempt), first.at, first.request_id)
    attempt.logs = [{"at": line.at, "line": line.line} for line in group[-LINES_MAX:]]
    attempt.error_code, attempt.error_message = next(filter(None, (error_in(one.line) for one in group)), ("", ""))
    for step in failed:
        of_this = step.facts.get("request_id") == first.request_id and step.facts.get("attempt") == first.attempt
        if of_this and step.facts.get("error_message") and first.at <= step.at and step.at - last.at < _SAME_S:
            attempt.error_code = str(step.facts.get("error_code") or attempt.error_code)
            attempt.error_message = str(step.facts["error_message"])
    return attempt


# Ours: an attempt's step is noted right after its last line; a redrive of it comes later than that.
_SAME_S = 1.0


def _noted(at: float, facts: Mapping[str, Any]) -> Attempt:
    return Attempt(
        int(facts.get("attempt") or 1), at, str(facts.get("request_id") or ""),
        str(facts.get("error_code") or ""), str(facts.get("error_message") or ""),
    )  # fmt: skip
