"""What a mapping's ledger is told of a stream's batch. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from busway.function.invocation.letters import error_message, error_type
from busway.function.mapping.ledger import (
    BISECTED,
    DELIVERED,
    FAILED,
    GIVEN_UP,
    MESSAGE_CHARS_MAX,
    Note,
    offsets_of,
)
from busway.function.mapping.letters import words_of
from busway.function.mapping.record import MappingRecord
from busway.function.mapping.retry import GivenUp, Step
from busway.function.mapping.runner import Result


def notes_of(step: Step, result: Result, attempt: int, now: float) -> Iterator[Note]:
    """Of a batch that the function was run with; what is given up is told by `note_of_loss`."""
    request_id = result.request_id
    if step.done:
        yield Note(DELIVERED, now, offsets_of(step.done), request_id=request_id, attempt=attempt)
    if step.again:
        entries = [entry for segment in step.again for entry in segment.entries]
        outcome = BISECTED if len(step.again) > 1 else FAILED
        code, message = error_of(result)
        yield Note(
            outcome, now, offsets_of(entries), request_id=request_id, attempt=attempt, code=code, message=message
        )


def note_of_loss(
    lost: GivenUp, result: Result | None, request_id: str, record: MappingRecord, told: bool, now: float
) -> Note:
    """`told`: the mapping's on-failure queue has the letter."""
    code, message = words_of(lost, result)
    queue = record.on_failure or "" if told else ""
    return Note(
        GIVEN_UP, now, offsets_of(lost.entries), request_id=request_id, attempt=lost.invocations, code=code,
        message=message[:MESSAGE_CHARS_MAX], queue=queue,
    )  # fmt: skip


def error_of(result: Result) -> tuple[str, str]:
    """(code, message) of an answer that was no success."""
    if result.function_error is None:
        return "ReportBatchItemFailures", "the handler reported failures (batchItemFailures)"
    return error_type(result.payload), error_message(result.payload)[:MESSAGE_CHARS_MAX]
