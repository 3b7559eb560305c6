"""Whether the compiled matcher says what the reference says, of any patterns and events: raised where they differ.

What hypothesis draws, what a fuzzer makes up and what was found before are judged here alike.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from typing import Any
from unittest.mock import patch

from busway.errors import InvalidEvent, InvalidPattern
from busway.pattern import Matcher, Pattern, array_consistency, explain, parse
from busway.pattern.element_search import ElementSearch

# A pattern that looks at no event's members, which must be checked all the same.
ELSEWHERE = parse('{"nowhere.to.be.found":["x"]}')
# Ours: of a text of many lines, as many are taken; each is asked with all the others.
LINES_MAX = 6


@dataclass
class Tally:
    """What was compared: pairs of a pattern and an event, of which so many matched, or had no event to speak of."""

    pairs: int = 0
    matched: int = 0
    refused: int = 0
    # Left out as one of the two known differences.
    excused: int = 0

    def __str__(self) -> str:
        return (
            f"{self.pairs:,} pairs of a pattern and an event: {self.matched:,} matched, {self.refused:,} refused, "
            f"{self.excused:,} left out as known to differ"
        )


TALLY = Tally()


@cache
def installed() -> bool:
    return find_spec("busway_matcher") is not None


def compiled() -> Any:
    return import_module("busway_matcher")


def reference(patterns: Mapping[str, Pattern], event: bytes) -> set[str] | str:
    TALLY.pairs += len(patterns)
    try:
        matched = {key for key, pattern in patterns.items() if pattern.matches(event)}
    except InvalidEvent:
        TALLY.refused += len(patterns)
        return "InvalidEvent"
    TALLY.matched += len(matched)
    return matched


def asked(matcher: Any, event: bytes) -> set[str] | str:
    try:
        found = matcher.match(event)
    except compiled().InvalidEvent:
        return "InvalidEvent"
    assert len(found) == len(set(found))
    return set(found)


def agree(texts: Sequence[str], events: Iterable[bytes]) -> Any:
    """As `agree_on`, of patterns that the reference takes."""
    return agree_on([parse(text) for text in texts], events)


def agree_on(parsed: Sequence[Pattern], events: Iterable[bytes]) -> Any:
    """All patterns at once, and each by itself: which of its fields a rule waits under depends on the others.

    Gives the compiled matcher of all, in which each has the id `rule-` with its number.
    """
    patterns = {f"rule-{number}": pattern for number, pattern in enumerate(parsed)}
    ours, together, alone = Matcher(), compiled().Matcher(), {key: compiled().Matcher() for key in patterns}
    for key, pattern in patterns.items():
        ours.add(key, pattern)
        together.add(key, pattern.text)
        alone[key].add(key, pattern.text)
    for event in events:
        wanted = reference(patterns, event)
        assert isinstance(wanted, str) or set(ours.match(event)) == wanted, event
        _same(asked(together, event), wanted, patterns, event)
        for key, matcher in alone.items():
            only = wanted if isinstance(wanted, str) else wanted & {key}
            _same(asked(matcher, event), only, patterns, event)
    return together


def _same(found: set[str] | str, wanted: set[str] | str, patterns: Mapping[str, Pattern], event: bytes) -> None:
    if found == wanted:
        return
    assert not isinstance(found, str) and not isinstance(wanted, str), (found, wanted, event)
    differing = [patterns[key] for key in found ^ wanted]
    unexcused = [pattern.text for pattern in differing if not _known_to_differ(pattern, event)]
    assert not unexcused, (unexcused, event)
    TALLY.excused += len(differing)


def compiles(text: str) -> bool:
    """Whether the reference takes a pattern; the compiled parser must say the same."""
    try:
        parse(text)
        ours = True
    except InvalidPattern:
        ours = False
    assert _compiled_takes(text) == ours, text
    return ours


def _compiled_takes(text: str | bytes) -> bool:
    try:
        compiled().Matcher().add("rule", text)
    except compiled().InvalidPattern:
        return False
    return True


def hold(data: bytes) -> None:
    """Each line as a pattern, and each as an event: what is asked of whatever a fuzzer makes up.

    Without the compiled matcher, the reference's ways of asking are compared only with each other.
    """
    events = data.split(b"\n")[:LINES_MAX]
    patterns = [pattern for line in events if (pattern := _pattern(line)) is not None]
    for event in events:
        reference_agrees_with_itself(patterns, event)
    if installed():
        agree_on([*patterns, ELSEWHERE], events)


def _pattern(line: bytes) -> Pattern | None:
    """The pattern that a line is; None where it is none, and then to both."""
    try:
        pattern = parse(line.decode())
    except (UnicodeDecodeError, InvalidPattern):
        pattern = None
    assert not installed() or _compiled_takes(line) == (pattern is not None), line
    return pattern


def reference_agrees_with_itself(patterns: Sequence[Pattern], event: bytes) -> None:
    """One pattern, many at once and the explanation say the same."""
    matcher = Matcher()
    for number, pattern in enumerate(patterns):
        matcher.add(str(number), pattern)
    try:
        verdicts = [pattern.matches(event) for pattern in patterns]
        found = matcher.match(event)
    except InvalidEvent:
        return
    assert sorted(found) == [str(number) for number, matched in enumerate(verdicts) if matched], event
    for pattern, matched in zip(patterns, verdicts, strict=True):
        assert explain(pattern, event).matched == matched, (pattern.text, event)


def _known_to_differ(pattern: Pattern, event: bytes) -> bool:
    """The two in CONTRIBUTING.md: letters that only one of them folds, and combinations beyond the limit."""
    return _gives_up(pattern, event) or any(_folds_differ(one, two) for one, two in _letters(pattern.text, event))


def _gives_up(pattern: Pattern, event: bytes) -> bool:
    """Whether repeated names multiply arrays beyond what the reference tries."""
    gave_up: list[ElementSearch] = []

    class Watched(ElementSearch):
        def finds(self) -> bool:
            found = super().finds()
            if not found and self.steps_left <= 0:
                gave_up.append(self)
            return found

    with patch.object(array_consistency, "ElementSearch", Watched):
        pattern.matches(event)
    return bool(gave_up)


def _letters(pattern: str, event: bytes) -> Iterable[tuple[str, str]]:
    return product(_beyond_ascii(pattern), _beyond_ascii(event.decode()))


def _beyond_ascii(text: str) -> set[str]:
    unescaped = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), text)
    # Two halves of a character that were escaped by themselves become it.
    joined = unescaped.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return {char for char in joined if not char.isascii()}


def _folds_differ(one: str, two: str) -> bool:
    """Whether one letter is another's in any case to only one of them: their Unicode versions differ."""
    pattern = json.dumps({"a": [{"equals-ignore-case": one}]})
    event = json.dumps({"a": two}).encode()
    matcher = compiled().Matcher()
    matcher.add("rule", pattern)
    return parse(pattern).matches(event) != bool(matcher.match(event))
