"""The event as it is stored and delivered: AWS's members, in AWS's order, compact. Pure.

The text of Detail is the sender's own: whitespace between tokens goes, everything else stays, so that numbers keep
their digits and members their order. What is known about an event but is no part of it (trace header, hops) stands
before it in the journal; see `frame`.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

import msgspec

from busway.errors import CorruptRecord, MalformedDetail, MalformedTime

# AWS processes 1,000 levels. Ours is half of that: what nests deeper can't be read back safely by Python's parsers.
DETAIL_DEPTH_MAX = 500
# Four-digit years: what the envelope's time can say.
TIME_MIN, TIME_MAX = -62_135_596_800, 253_402_300_799

# Kinds of journal entries, by their first byte. A change of a rule has its own file.
KIND_EVENT = b"{"
KIND_NOTED = b"+"
KIND_RULE = b"!"

ID_AT = slice(21, 57)

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


class Envelope(msgspec.Struct, frozen=True):
    """The members in the order in which AWS writes them."""

    version: str
    id: str
    detail_type: str = msgspec.field(name="detail-type")
    source: str
    account: str
    time: str
    region: str
    resources: list[str]
    detail: msgspec.Raw


MEMBERS = tuple(member.encode_name for member in msgspec.structs.fields(Envelope))


class Notes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known about an event and kept beside it.

    `hops` says how it came from another bus, in order: "account" within a Region, "region" from another one.
    """

    trace_header: str | None = None
    hops: tuple[str, ...] = ()


NO_NOTES = Notes()

_encode = msgspec.json.Encoder().encode
_decode_notes = msgspec.json.Decoder(Notes).decode


def build_envelope(
    event_id: str,
    detail_type: str,
    source: str,
    account: str,
    time: str,
    region: str,
    resources: list[str],
    detail: bytes,
) -> bytes:
    """The bytes of an event. `detail` is what `check_detail` gave; `time` what `time_text` gave."""
    return _encode(
        Envelope("0", event_id, detail_type, source, account, time, region, resources, msgspec.Raw(detail))
    )


def check_detail(text: str) -> bytes:
    """Detail as it goes into the envelope. Raises `MalformedDetail` if it is anything but a JSON object."""
    try:
        raw = text.encode()
        compact = msgspec.json.format(raw, indent=-1)
    except UnicodeEncodeError as error:
        raise MalformedDetail(f"Detail: half of a surrogate pair at {error.start}; wanted Unicode text") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedDetail(f"Detail: {error}; wanted a JSON object") from None
    if compact[:1] != b"{":
        raise MalformedDetail(f"Detail begins with {compact[:20]!r}; wanted a JSON object")
    # Neither a short text nor one with few brackets can nest so deep; most are both.
    brackets = 0 if len(compact) <= 2 * DETAIL_DEPTH_MAX else compact.count(b"{") + compact.count(b"[")
    if brackets > DETAIL_DEPTH_MAX and depth(compact) > DETAIL_DEPTH_MAX:
        raise MalformedDetail(f"Detail nests {depth(compact)} levels; wanted at most {DETAIL_DEPTH_MAX}")
    return compact


def depth(document: bytes) -> int:
    """How deeply a valid JSON text nests: 0 for a scalar, 1 for `{}`."""
    deepest = level = 0
    for token in _STRUCTURE.finditer(document):
        byte = document[token.start()]
        if byte in b"{[":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"}]":
            level -= 1
    return deepest


@functools.lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19] + "Z"


def time_text(at: float) -> str:
    """Unix seconds as AWS writes them in an event: `2026-11-23T16:30:00Z`, whole seconds, UTC.

    Raises `MalformedTime` for what lies outside the years 1 to 9999.
    """
    if not TIME_MIN <= at <= TIME_MAX:
        raise MalformedTime(f"Time is {at}; wanted Unix seconds of the years 1 to 9999")
    return _second_text(int(at // 1))


def frame(envelope: bytes, notes: Notes = NO_NOTES) -> bytes:
    """The journal entry of an event: the event as it is, or `+`, the notes, a newline and the event."""
    if notes.trace_header is None and not notes.hops:
        return envelope
    return KIND_NOTED + _encode(notes) + b"\n" + envelope


def unframe(entry: bytes) -> tuple[bytes, Notes]:
    """The event and its notes. Raises `CorruptRecord` for an entry that is no event."""
    if entry[:1] == KIND_EVENT:
        return entry, NO_NOTES
    notes, _, envelope = entry[1:].partition(b"\n")
    if entry[:1] != KIND_NOTED or envelope[:1] != KIND_EVENT:
        raise CorruptRecord(f"an entry of the journal is no event: {entry[:200]!r}")
    try:
        return envelope, _decode_notes(notes)
    except msgspec.DecodeError as error:
        raise CorruptRecord(f"the notes of an event can't be read ({error}): {notes[:200]!r}") from error


def is_event(entry: bytes) -> bool:
    return entry[:1] in (KIND_EVENT, KIND_NOTED)


def event_id(envelope: bytes) -> str:
    """The id of an event that `build_envelope` made."""
    return envelope[ID_AT].decode()


def summary(envelope: bytes) -> dict[str, str]:
    """What a person wants to see of an event: `event_id`, `detail_type`, `source`."""
    event = msgspec.json.decode(envelope, type=Envelope)
    return {"event_id": event.id, "detail_type": event.detail_type, "source": event.source}
