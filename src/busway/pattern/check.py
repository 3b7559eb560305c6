"""Cases of a pattern and an event, a JSON line each, and what becomes of them: for tests of many rules at once.

    {"id": "r1-1", "pattern": {"source": ["shop"]}, "event": {"source": "shop"}}   ->   {"id": "r1-1", "match": true}

Pattern and event are objects, or strings that hold the JSON text itself, where its spelling matters. Each line is
answered alone; nothing is kept but the patterns that were read last.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from busway.errors import InvalidCase, InvalidEvent, InvalidPattern
from busway.pattern.event_matcher import new_matcher
from busway.pattern.parse import parse

# Ours: rule sets are checked rule by rule, so the same pattern comes many times in a row.
PATTERNS_KEPT = 64
PATTERN_KEPT_CHARS_MAX = 4_096

# Whether a pattern's text matches an event. Raises `InvalidPattern`, `InvalidEvent`.
Verdict = Callable[[str, bytes], bool]


# A member that is not there, and one that is null: both say nothing.
_SILENT = (Raw(), Raw(b"null"))


class Case(msgspec.Struct, frozen=True):
    """A line. `match`, `error` and `reason` are what somebody expects of it, where they are there; of any type."""

    id: Raw
    pattern: Raw
    event: Raw
    match: Raw = Raw()
    error: Raw = Raw()
    reason: Raw = Raw()


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a case. `error` is "InvalidEventPatternException" or "InvalidEvent"."""

    id: Raw
    match: bool | UnsetType = UNSET
    error: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


_WANTED = "wanted a JSON object with id, pattern and event"
_decode = msgspec.json.Decoder(Case).decode


def read_case(line: bytes) -> Case:
    """Raises `InvalidCase`."""
    try:
        text = line.decode()  # here, because nobody looks into what stays `Raw`
    except UnicodeDecodeError as wrong:
        raise InvalidCase(f"{_WANTED}: not UTF-8 (byte {wrong.start + 1})") from wrong
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        case = _as_python_writes(text)
        if case is None:
            raise InvalidCase(f"{_WANTED}: {wrong}") from wrong
        return case


def _as_python_writes(line: str) -> Case | None:
    """Python's json writes NaN and Infinity, which are no JSON: such a pattern is refused, but by its own reason."""
    try:
        found = json.loads(line)
        name = Raw(json.dumps(found["id"], allow_nan=False).encode())
        known = ("pattern", "event", *(word for word in ("match", "error", "reason") if word in found))
        return Case(name, **{word: Raw(json.dumps(found[word]).encode()) for word in known})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def outcome_of(case: Case, matches: Verdict) -> Outcome:
    """What the engine says; its pattern comes first, so of two faults it is the one that is told."""
    try:
        return Outcome(case.id, match=matches(_text(case.pattern), _bytes(case.event)))
    except InvalidPattern as wrong:
        return Outcome(case.id, error="InvalidEventPatternException", reason=_printable(wrong.reason))
    except InvalidEvent as wrong:
        return Outcome(case.id, error="InvalidEvent", reason=_printable(str(wrong)))


def unexpected(case: Case, outcome: Outcome) -> str:
    """How an outcome differs from what its line expects, in words; "" if it does not.

    A line that expects neither a match nor an error would be green whatever came of it, so that is a difference too.
    """
    if case.match in _SILENT and case.error in _SILENT:
        return "nothing is expected: it has neither match nor error"
    for name, got in (("match", outcome.match), ("error", outcome.error)):
        given = getattr(case, name)
        if given not in _SILENT and _as_shown(given) != _shown(got):
            return f"wanted {name} {_as_shown(given)}, got {_shown_outcome(outcome)}"
    # Of an invalid event the words are each engine's own.
    if outcome.error != "InvalidEventPatternException" or case.reason in _SILENT:
        return ""
    wanted, got = _as_shown(case.reason), _shown(outcome.reason)
    return f"wanted the reason {wanted}, got {got}" if wanted != got else ""


def _shown(value: Any) -> str:
    """JSON, so that 1 is not true; of what is not there a word that is no JSON."""
    return "none" if value is UNSET else json.dumps(value)


def _as_shown(given: Raw) -> str:
    """A member as `_shown` writes it. Only strings can be written in several ways and still be what is expected."""
    text = bytes(given).decode()
    return json.dumps(json.loads(text)) if text.startswith('"') else text


def _shown_outcome(outcome: Outcome) -> str:
    if outcome.error is UNSET:
        return f"match {_shown(outcome.match)}"
    return f"error {_shown(outcome.error)}: {outcome.reason}"


def reference() -> Verdict:
    """The implementation in Python, one pattern at a time."""
    kept = lru_cache(PATTERNS_KEPT)(parse)

    def matches(pattern: str, event: bytes) -> bool:
        read = kept if len(pattern) <= PATTERN_KEPT_CHARS_MAX else parse
        return read(pattern).matches(event)

    return matches


def compiled() -> Verdict:
    """The compiled matcher; patterns are read by the reference. Raises `EngineNotInstalled`."""
    matcher = new_matcher("compiled")
    added: list[str] = []

    def matches(pattern: str, event: bytes) -> bool:
        if added != [pattern]:
            matcher.add("", parse(pattern))
            added[:] = [pattern]
        return bool(matcher.match(event))

    return matches


ENGINES: dict[str, Callable[[], Verdict]] = {"reference": reference, "compiled": compiled}


def _text(given: Raw) -> str:
    """The JSON text that a value is, or that a string holds."""
    text = bytes(given).decode()
    return json.loads(text) if text.startswith('"') else text


def _bytes(given: Raw) -> bytes:
    return _text(given).encode("utf-8", "surrogatepass")


def _printable(text: str) -> str:
    """What a message quotes may hold halves of characters, which no JSON line can."""
    return text.encode("utf-8", "backslashreplace").decode()
