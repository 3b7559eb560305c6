"""Which steps of handlers completed: the rows behind `busway.once`, and behind events that are handled once.

A row is a record `once/<2 digits>/<function ARN>/<30 digits>`, the digits being the key's hash, so that a sweep of
what is past its time reads a 256th of all rows at once. A claim is taken by compare-and-set and ends by itself.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import sha256
from typing import Any, Literal

import msgspec

from busway.clock import Clock
from busway.engine import Records
from busway.errors import BuswayError, VersionConflict

# Ours, all of them; the first two are said in `busway.idempotent`, which runs without this room.
RESULT_BYTES_MAX = 65_536
KEEP_S = 86_400
KEEP_S_MAX = 31_622_400
KEY_BYTES_MAX = 4_096
SWEEP_EVERY_S = 14.0
DELETED_AT_ONCE = 100

_ROOT = "once/"
NOTHING = msgspec.Raw(b"null")

log = logging.getLogger(__name__)


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """A claim (`by` names the run that has it) or, without `by`, a completion. Void after `until`, Unix seconds."""

    until: float
    by: str = ""
    result: msgspec.Raw = NOTHING


class Claimed(msgspec.Struct, frozen=True, tag_field="state", tag="claimed"):
    """The step is the caller's to run. Who says when it ends what is `held` spares a look at the row.

    `held` is the row's version, and until when the claim holds (Unix seconds).
    """

    held: tuple[int, float]


class Running(msgspec.Struct, frozen=True, tag_field="state", tag="running"):
    """Another run has the claim, until then at most (Unix seconds)."""

    until: float


class Done(msgspec.Struct, frozen=True, tag_field="state", tag="done"):
    """The step completed, and gave this."""

    result: msgspec.Raw = NOTHING


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker asks. `by` names one run of the step; `result` is JSON."""

    do: Literal["claim", "complete", "release"]
    key: str
    by: str
    result: msgspec.Raw = NOTHING
    keep_s: int = KEEP_S
    held: tuple[int, float] | None = None


class OnceStore:
    """The rows of all functions. Everything is durable before return."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock

    async def completed(self, function_arn: str, key: str) -> bool:
        row, _ = await self._row(_place(function_arn, key))
        return row is not None and not row.by

    async def claim(self, function_arn: str, key: str, by: str, run_s: float) -> Claimed | Running | Done:
        """Take the step for `run_s` seconds, unless it completed or another run has it. May be asked again."""
        place, version = _place(function_arn, key), 0
        while True:
            wanted = Row(self._clock.now() + run_s, by)
            try:
                # At first as if there were no row, which is nearly always so.
                version = await self._records.put(place, msgspec.json.encode(wanted), version)
                return Claimed((version, wanted.until))
            except VersionConflict:
                row, version = await self._row(place)
            if row is not None and not row.by:
                return Done(row.result)
            if row is not None and row.by != by:
                return Running(row.until)

    async def record(self, function_arn: str, key: str) -> None:
        """`complete` for a caller who knows that nobody has it."""
        done = Row(self._clock.now() + KEEP_S)
        await self._records.put(_place(function_arn, key), msgspec.json.encode(done))

    async def complete(
        self,
        function_arn: str,
        key: str,
        result: msgspec.Raw = NOTHING,
        keep_s: int = KEEP_S,
        held: tuple[int, float] | None = None,
    ) -> None:
        """Record that the step completed. Of two runs (the claim of one had ended) the first one's result stays."""
        place, now = _place(function_arn, key), self._clock.now()
        # As long as a claim holds, its row is nobody else's.
        version = held[0] if held is not None and now < held[1] else None
        while True:
            if version is None:
                row, version = await self._row(place)
                if row is not None and not row.by:
                    return
            done = Row(self._clock.now() + keep_s, result=result)
            try:
                await self._records.put(place, msgspec.json.encode(done), version)
            except VersionConflict:
                version = None
                continue
            return

    async def release(self, function_arn: str, key: str, by: str) -> None:
        """Give a claim up, so that the step can run again. Nothing when it is another's by now."""
        place = _place(function_arn, key)
        row, version = await self._row(place)
        if row is not None and row.by == by:
            try:
                await self._records.delete(place, version)
            except VersionConflict:
                # It ended in this moment, and somebody took it.
                return

    async def _row(self, place: str) -> tuple[Row | None, int]:
        """What stands there, None when it is void, and its version."""
        value = await self._records.get(place)
        if value is None:
            return None, 0
        row = msgspec.json.decode(value.data, type=Row)
        return (row if row.until > self._clock.now() else None), value.version

    # --- for workers ---

    async def answer(self, function_arn: str, run_s: float, body: bytes) -> bytes:
        """The answer to a worker of this function, whose invocations last `run_s` seconds at most. Does not raise."""
        try:
            question = msgspec.json.decode(body, type=Question)
            return msgspec.json.encode(await self._answer(function_arn, run_s, question))
        except (msgspec.DecodeError, UnicodeDecodeError, _Refused) as error:
            return _refusal("InvalidRequest", str(error))
        except BuswayError as error:
            return _refusal(type(error).__name__, str(error))
        except Exception:
            log.exception("%s asked about a step; a fault of ours", function_arn, extra={"function": function_arn})
            return _refusal("InternalError", "a fault of the server; its log says more")

    async def _answer(self, function_arn: str, run_s: float, question: Question) -> Any:
        if not 1 <= len(question.key.encode()) <= KEY_BYTES_MAX:
            raise _Refused(f"the key has {len(question.key.encode())} bytes; wanted 1 to {KEY_BYTES_MAX}")
        if not question.by:
            raise _Refused("`by` is empty; wanted a name of this run")
        match question.do:
            case "claim":
                return await self.claim(function_arn, question.key, question.by, run_s)
            case "complete":
                if len(bytes(question.result)) > RESULT_BYTES_MAX or not 1 <= question.keep_s <= KEEP_S_MAX:
                    wanted = f"at most {RESULT_BYTES_MAX} bytes, kept for 1 to {KEEP_S_MAX} s"
                    found = f"{len(bytes(question.result))} bytes for {question.keep_s} s"
                    raise _Refused(f"the result has {found}; wanted {wanted}")
                await self.complete(function_arn, question.key, question.result, question.keep_s, question.held)
                return Done()
            case "release":
                await self.release(function_arn, question.key, question.by)
                return {"state": "released"}

    # --- what is past its time ---

    async def run(self) -> None:
        """Sweep for ever: every row is looked at about once an hour."""
        while True:
            for digits in range(256):
                await self._clock.sleep(SWEEP_EVERY_S)
                await self.sweep(f"{digits:02x}")

    async def sweep(self, digits: str) -> int:
        """Delete the void rows whose hash begins with these two digits; return how many."""
        now, void = self._clock.now(), list[tuple[str, int]]()
        for value in await self._records.list(f"{_ROOT}{digits}/"):
            if msgspec.json.decode(value.data, type=Row).until <= now:
                void.append((value.key, value.version))
        for i in range(0, len(void), DELETED_AT_ONCE):
            await asyncio.gather(*(self._delete(*row) for row in void[i : i + DELETED_AT_ONCE]))
        return len(void)

    async def _delete(self, place: str, version: int) -> None:
        try:
            await self._records.delete(place, version)
        except VersionConflict:
            # Claimed in this moment: it is no longer void.
            return


class _Refused(Exception):
    """What a worker asked makes no sense; the text says why."""


def _place(function_arn: str, key: str) -> str:
    digest = sha256(key.encode()).hexdigest()
    return f"{_ROOT}{digest[:2]}/{function_arn}/{digest[2:32]}"


def _refusal(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"errorType": kind, "errorMessage": message})
