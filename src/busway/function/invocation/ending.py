"""The end of an asynchronous invocation: the record for a destination, and the dead letter.

The caller ends the row in the queue afterwards, so that a crash in between repeats, and loses nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from busway.arn import Scope, parse_arn
from busway.delivery.dead_letter import Source
from busway.engine import Item
from busway.errors import BuswayError, EngineStopped, FunctionNotFound, RecursiveInvocation
from busway.function.invocation.desk import NAMESPACE, Desk
from busway.function.invocation.letters import (
    SUCCESS,
    Work,
    dead_letter_attributes,
    destination_record,
    error_message,
    error_type,
)
from busway.function.mapping.redriven import letter_again
from busway.function.record import LATEST, qualified
from busway.tracing import begun_by, sent_from, span_id

# Ours: how long until a dead letter that could not be stored is tried again, at first and at most.
PUT_AGAIN_S = (1.0, 60.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lost:
    """An invocation that is given up: why, and after how many errors. `error` is the error object, b"" for none."""

    work: Work
    condition: str
    error: bytes


class Ending:
    """Tells what became of one function's invocations to those who are to know."""

    def __init__(self, function_arn: str, desk: Desk) -> None:
        self._arn, self._desk = function_arn, desk

    async def succeeded(self, item: Item, work: Work, result: bytes, version: str) -> None:
        """Send the record of a success, if there is a destination for it. `version` is the one that ran."""
        desk, config = self._desk, self._desk.event_invoke(self._arn, work.qualifier)
        if work.letters_to or config is None or config.on_success is None:
            # What a function's destination is told of is asynchronous invocations, not a mapping's records.
            return
        letter = destination_record(
            work, self._arn, item.body, result, condition=SUCCESS, attempts=work.errors + 1, at=desk.clock.now(),
            version=version,
        )  # fmt: skip
        await self._send(config.on_success, letter, work, work.errors + 1, success=True)

    async def given_up(self, item: Item, lost: Lost) -> None:
        """Return when the event is put aside for good: a failure's record sent, or a dead letter stored, or both."""
        desk, work = self._desk, lost.work
        if work.letters_to:
            await self._insist(lambda: self._put_letter_again(item, lost))
            return
        record, config = desk.record_of(self._arn, work.qualifier), desk.event_invoke(self._arn, work.qualifier)
        queue_arn = None if record is None else record.dead_letter_arn
        told = False
        if config is not None and config.on_failure is not None:
            letter = destination_record(
                work, self._arn, item.body, lost.error or None, condition=lost.condition, attempts=work.errors,
                at=desk.clock.now(), version=work.qualifier or LATEST if record is None else record.version,
            )  # fmt: skip
            # What is in a queue of its own as well is a dead letter once.
            source = self._source(item, lost) if queue_arn is None else None
            told = await self._send(config.on_failure, letter, work, work.errors, success=False, source=source)
        if queue_arn is not None or not told:
            await self._insist(lambda: self._put_dead_letter(item, lost, queue_arn))

    async def _put_dead_letter(self, item: Item, lost: Lost, queue_arn: str | None) -> None:
        desk, work, source = self._desk, lost.work, self._source(item, lost)
        attributes = dead_letter_attributes(work, lost.error or source.error_message.encode())
        put = desk.dead_letters.put(
            queue_arn, work.bus_arn or None, _scope_of(self._arn), item.body, attributes, source, source.failed_at
        )
        await desk.engine.queues.put([put], accepted=True)

    def _source(self, item: Item, lost: Lost) -> Source:
        """What a dead letter of it is kept with."""
        work, (code, message) = lost.work, words(lost)
        return Source(
            kind="function", payload=item.body, rule_arn=work.rule_arn,
            function_arn=qualified(self._arn, work.qualifier),
            event_id=work.event_id, request_id=work.request_id, bus_arn=work.bus_arn, error_code=code,
            error_message=message, attempts=work.errors, first_at=work.first_at, failed_at=self._desk.clock.now(),
            trace_header=work.trace_header or None, edited=work.edited,
        )  # fmt: skip

    async def _put_letter_again(self, item: Item, lost: Lost) -> None:
        """A record of a mapping goes back to the queue in which its letter lay."""
        desk, work, now = self._desk, lost.work, self._desk.clock.now()
        version = work.qualifier or LATEST
        letter, source = letter_again(work, self._arn, item.body, words(lost), now, version)
        scope = _scope_of(self._arn)
        put = desk.dead_letters.put(work.letters_to, None, scope, letter, {}, source, now)
        await desk.engine.queues.put([put], accepted=True)

    async def _send(
        self,
        destination: str,
        record: bytes,
        work: Work,
        attempt: int,
        *,
        success: bool,
        source: Source | None = None,
    ) -> bool:
        """Send a record to a destination, as what came of this attempt; with a `source` it is a dead letter.

        False when it can't be.
        """
        desk, trace = self._desk, work.trace_header or begun_by(work.event_id or work.request_id)
        try:
            if desk.destinations is None:
                raise FunctionNotFound(destination)
            await desk.destinations.send(
                destination, record, function_arn=qualified(self._arn, work.qualifier or LATEST), success=success,
                trace_header=sent_from(trace, span_id(work.request_id, attempt)), now=desk.clock.now(), source=source,
            )  # fmt: skip
        except EngineStopped:
            raise
        except BuswayError as error:
            facts = {"function": self._arn}
            log.warning("destination %s of %s did not take a record: %s", destination, self._arn, error, extra=facts)
            name = self._arn.rsplit(":", 1)[1]
            desk.metrics.count(NAMESPACE, "DestinationDeliveryFailures", of=self._arn, FunctionName=name)
            return False
        return True

    async def _insist(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do it, again and again until it works: an event that can't be put aside is not given up."""
        wait_s = PUT_AGAIN_S[0]
        while True:
            try:
                return await act()
            except EngineStopped:
                raise
            except BuswayError:
                log.exception(
                    "the dead letter of an event for %s could not be stored; trying again", self._arn,
                    extra={"function": self._arn},
                )  # fmt: skip
            await self._desk.clock.sleep(wait_s)
            wait_s = min(2 * wait_s, PUT_AGAIN_S[1])


def words(lost: Lost) -> tuple[str, str]:
    """(code, message) of why an event was given up: the function's last error, or the condition alone."""
    if not lost.error:
        return lost.condition, f"{lost.condition}: the event was never tried"
    return error_type(lost.error) or lost.condition, error_message(lost.error)


def no_function(arn: str) -> bytes:
    return msgspec.json.encode(
        {"errorType": "ResourceNotFoundException", "errorMessage": f"Function not found: {arn}"}
    )


def recursive(error: RecursiveInvocation) -> bytes:
    return msgspec.json.encode({"errorType": "RecursiveInvocationException", "errorMessage": str(error)})


def interrupted(attempts: int) -> bytes:
    text = f"The server ended {attempts - 1} times while this event was under way"
    return msgspec.json.encode({"errorType": "Busway.Interrupted", "errorMessage": text})


def _scope_of(arn: str) -> Scope:
    parsed = parse_arn(arn)
    return Scope() if parsed is None else parsed.scope
