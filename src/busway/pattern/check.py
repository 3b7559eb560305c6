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


class Case(msgspec.Struct, frozen=True):
    """A line. `match`, `error` and `reason` are what somebody expects of it, where they are there."""

    id: Raw
    pattern: Raw
    event: Raw
    match: bool | UnsetType = UNSET
    error: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a case. `error` is "InvalidEventPatternException" or "InvalidEvent"."""

    id: Raw
    match: bool | UnsetType = UNSET
    error: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


_decode = msgspec.json.Decoder(Case).decode


def read_case(line: bytes) -> Case:
    """Raises `InvalidCase`."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        case = _as_python_writes(line)
        if case is None:
            raise InvalidCase(f"wanted a JSON object with id, pattern and event: {wrong}") from wrong
        return case


def _as_python_writes(line: bytes) -> Case | None:
    """Python's json writes NaN and Infinity, which are no JSON: such a pattern is refused, but by its own reason."""
    try:
        found = json.loads(line)
        given = {name: Raw(json.dumps(found[name]).encode()) for name in ("pattern", "event")}
        name = Raw(json.dumps(found["id"], allow_nan=False).encode())
        expected = {word: found[word] for word in ("match", "error", "reason") if word in found}
        return msgspec.convert({"id": name, **given, **expected}, Case)
    except (ValueError, TypeError, KeyError, RecursionError, msgspec.ValidationError):
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
    """How an outcome differs from what its line expects, in words; "" if it does not, or nothing is expected."""
    for name in ("match", "error"):
        wanted, got = getattr(case, name), getattr(outcome, name)
        if wanted is not UNSET and wanted != got:
            return f"wanted {name} {_shown(wanted)}, got {_shown_outcome(outcome)}"
    # Of an invalid event the words are each engine's own.
    if case.error == "InvalidEventPatternException" and case.reason not in (UNSET, outcome.reason):
        return f"wanted the reason {_shown(case.reason)}, got {_shown(outcome.reason)}"
    return ""


def _shown(value: Any) -> str:
    return json.dumps(value)


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
