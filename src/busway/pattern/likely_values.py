"""Values that a condition accepts, short and such as people would write; and values beside those it accepts.

Both are guesses that whoever asks checks with `accepts`: the best guess stands first, and there may be none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from msgspec import Raw

from busway.pattern.address import AddressIs, InNetwork
from busway.pattern.anything_but import NotLike, NotStrings
from busway.pattern.conditions import Condition
from busway.pattern.event_tree import Scalar
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.ignore_case import IgnoreCase, forms
from busway.pattern.numbers import EXACT_INTEGER_MAX, NumberBetween, NumberIs
from busway.pattern.presence import Absent
from busway.pattern.text import Prefix, Suffix
from busway.pattern.value_sets import acceptance, accepting
from busway.pattern.wildcard import Wildcard

WORDS = ("example", "other", "another", "1", "a", "z", "A", "")
PLAIN: tuple[Scalar, ...] = (*WORDS[:3], 1, 2, 3, 0, True, False, None)
# How many values of one condition are tried; the first are the readable ones.
LIKELY_MAX = 40


def likely(conditions: Sequence[Condition]) -> list[Scalar]:
    """Values that the list accepts, each once: the best of each condition first, then the second best …"""
    each = [[*filter(acceptance(condition), _of(condition))] for condition in conditions]
    turns = itertools.zip_longest(*each, fillvalue=_NOTHING)
    return distinct(value for turn in turns for value in turn if value is not _NOTHING)


def unlikely(conditions: Sequence[Condition]) -> list[Scalar]:
    """Values that no condition of the list accepts, each once; the nearest to what is wanted first."""
    near = [value for condition in conditions for value in _beside(condition)]
    accepts = accepting(conditions)
    return distinct(value for value in (*near, *PLAIN) if not accepts(value))


def distinct(values: Iterator[Scalar]) -> list[Scalar]:
    """Each value once. 1 and true are two values."""
    return list(
        {(type(value), bytes(value) if isinstance(value, Raw) else value): value for value in values}.values()
    )


_NOTHING = Raw(b"")


def _of(condition: Condition) -> list[Scalar]:
    if isinstance(condition, Absent):
        return []
    if isinstance(condition, StringIs | AddressIs):
        return [condition.text]
    if isinstance(condition, LiteralIs):
        return [condition.literal]
    if isinstance(condition, NumberIs):
        return [number(condition.key)]
    if isinstance(condition, NumberBetween):
        return within(condition)
    if isinstance(condition, InNetwork):
        return list(_addresses(condition))
    if isinstance(condition, NotStrings | NotLike):
        return _apart_from(condition)
    text = list(_texts(condition))
    return list(text or PLAIN)


def number(key: float | str) -> Scalar:
    """A number as JSON has it: whole where it can be, and as its text where a double does not hold it."""
    if isinstance(key, str):
        return int(key) if key.lstrip("-").isdigit() and len(key) < 100 else Raw(key.encode())
    if float(key).is_integer() and abs(key) <= EXACT_INTEGER_MAX:
        return int(key)
    return Raw(repr(key).encode())


def double(value: Scalar) -> float | None:
    """A number that a double holds, None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | Raw):
        return None
    return float(value) if isinstance(value, int) else float(bytes(value))


def within(condition: NumberBetween) -> list[Scalar]:
    """Numbers in a range, the roundest first: a whole one near the lower bound, else as many digits as it takes."""
    low, high = max(condition.low, -math.nextafter(math.inf, 0)), min(condition.high, math.nextafter(math.inf, 0))
    guesses: list[float] = []
    if condition.low != -math.inf:
        guesses += [low if condition.low_included else low + 1, math.floor(low) + 1.0, low, low + 10]
    else:
        guesses += [high if condition.high_included else high - 1, math.ceil(high) - 1.0]
    if math.isfinite(condition.low) and math.isfinite(condition.high):
        middle = low / 2 + high / 2
        guesses += [float(f"{middle:.{digits}g}") for digits in (1, 2, 3, 6, 15)] + [middle]
    if condition.high != math.inf:
        guesses += [high, *(high - step for step in (1, 10, 100))]
    guesses += [0.0, 1.0, 10.0, *(low + step for step in (1, 2, 3, 100, 1000))]
    guesses += [math.nextafter(low, math.inf), math.nextafter(high, -math.inf)]
    return [number(guess) for guess in guesses if math.isfinite(guess) and condition.holds(guess)]


def _addresses(condition: InNetwork) -> Iterator[str]:
    bits = condition.network.bits - condition.mask_bits
    first = condition.network.number >> bits << bits
    for host in (1, 2, 3, 0):
        if host < 1 << bits:
            yield str(IPv4Address(first + host) if condition.network.bits == 32 else IPv6Address(first + host))


def _apart_from(condition: NotStrings | NotLike) -> list[Scalar]:
    """Of numbers that are refused another number, of strings another string; null when nothing else is left."""
    if isinstance(condition, NotLike) and any(isinstance(refused, NumberIs) for refused in condition.refused):
        return [*range(1, len(condition.refused) + 4), *PLAIN]
    refused = condition.texts if isinstance(condition, NotStrings) else condition.refused
    return [*WORDS, *(f"example-{number}" for number in range(1, min(len(refused), LIKELY_MAX) + 1)), *PLAIN]


def _texts(condition: Condition) -> Iterator[str]:
    """Strings for the operators on text; nothing for `exists`, which takes whatever is likely."""
    if isinstance(condition, Prefix):
        yield from _beginning(condition.text)
    elif isinstance(condition, Suffix):
        yield from _ending(condition.text)
    elif isinstance(condition, Wildcard):
        yield from _filled(condition.literals)
    elif isinstance(condition, IgnoreCase):
        spelled = [next(iter(sorted(forms(char), key=lambda form: form != char)), None) for char in condition.text]
        if None in spelled:
            return  # a character that stands for nothing
        text = "".join(form for form in spelled if form)
        grow = {"whole": _alone, "prefix": _beginning, "suffix": _ending}[condition.where]
        for form in (text, text.lower(), text.upper()):
            yield from grow(form)


def _alone(text: str) -> Iterator[str]:
    yield text


def _beginning(text: str) -> Iterator[str]:
    """A beginning that reads as a whole word is left as it is."""
    if text[-1:].isalnum():
        yield text
    yield from (text + word for word in WORDS)


def _ending(text: str) -> Iterator[str]:
    if text[:1].isalnum():
        yield text
    yield from (word + text for word in WORDS)


def _filled(literals: Sequence[str]) -> Iterator[str]:
    """Each asterisk filled with a word where it stands alone, with nothing between letters; then all alike."""
    text = literals[0]
    for literal in literals[1:]:
        text += ("" if text[-1:].isalnum() or literal[:1].isalnum() else WORDS[0]) + literal
    starred = len(literals) > 1
    if not starred or text:
        yield text
    if starred:
        yield from (word.join(literals) for word in WORDS)


def _beside(condition: Condition) -> list[Scalar]:
    """Values next to those that a condition accepts, of the same kind where there are any."""
    if isinstance(condition, NotStrings):
        return [*sorted(condition.texts)]
    if isinstance(condition, NotLike):
        return likely(condition.refused)
    if isinstance(condition, LiteralIs):
        return [not condition.literal] if condition.literal is not None else []
    if isinstance(condition, NumberIs) and isinstance(condition.key, float):
        return [number(condition.key + 1), number(condition.key - 1), 0]
    if isinstance(condition, NumberBetween):
        return list(_outside(condition))
    if isinstance(condition, InNetwork):
        other = "192.0.2.1" if condition.network.bits == 32 else "2001:db8::1"
        return [other, "198.51.100.1", "fd00::1", "127.0.0.1"]
    if isinstance(condition, AddressIs):
        return ["192.0.2.1", "198.51.100.1"]
    return [*WORDS[:3]]


def _outside(condition: NumberBetween) -> Iterator[Scalar]:
    for bound, included, step in (
        (condition.low, condition.low_included, -1),
        (condition.high, condition.high_included, 1),
    ):
        if math.isfinite(bound):
            guesses = (bound + step, math.nextafter(bound, step * math.inf)) if included else (bound,)
            yield from (number(guess) for guess in guesses if math.isfinite(guess))
