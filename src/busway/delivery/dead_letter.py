"""Dead letters: what is on the wire (AWS's attributes), and what is kept beside it (where it came from). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from busway.arn import Scope
from busway.engine import Put

# Message attributes: name → (data type, value).
Attributes = Mapping[str, tuple[str, str]]


class Source(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a dead letter came from: kept in its meta, off the wire, so that `redrive` finds the failed handler.

    `kind` is "rule-target" (the delivery to a target failed) or "function" (an asynchronous invocation failed); it
    chooses who puts it back. `payload` is what the handler would have got. Times are Unix seconds; `attempts` is 0
    for what was never tried (no such target, no valid payload).
    """

    kind: str
    payload: bytes
    rule_arn: str = ""
    target_id: str = ""
    target_arn: str = ""
    function_arn: str = ""
    event_id: str = ""
    request_id: str = ""
    bus_arn: str = ""
    error_code: str = ""
    error_message: str = ""
    attempts: int = 0
    first_at: float = 0.0
    failed_at: float = 0.0
    trace_header: str | None = None
    message_group_id: str | None = None


class DeadLetters(Protocol):
    """Who turns a dead letter into queued work; the queue room does."""

    def put(
        self,
        queue_arn: str | None,
        bus_arn: str | None,
        scope: Scope,
        body: bytes,
        attributes: Attributes,
        source: Source,
        now: float,
    ) -> Put:
        """The put of one dead letter, without an origin.

        Goes to `queue_arn`; where that is None or no longer exists, to the undeliverable queue of the bus (ours:
        AWS would drop it).
        """
        ...


def encode_source(source: Source) -> bytes:
    return msgspec.json.encode(source)


def decode_source(data: bytes) -> Source:
    return msgspec.json.decode(data, type=Source)
