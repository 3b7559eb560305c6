"""Which strings the operators on text accept, seen as sets: whether one lies within another, or apart from it.

A text with asterisks lies within another one exactly when the other accepts it with a character that occurs nowhere
in place of each asterisk: only an asterisk can take that character, and an asterisk takes whatever stands there. The
same character stands for a letter in any case.
"""

from __future__ import annotations

from collections.abc import Sequence

from busway.pattern.address import Address, AddressIs, InNetwork
from busway.pattern.conditions import Condition
from busway.pattern.exact import StringIs
from busway.pattern.ignore_case import IgnoreCase, forms
from busway.pattern.text import Prefix, Suffix
from busway.pattern.wildcard import Wildcard

# A code point that Unicode keeps free of characters; a pattern that has it all the same is not decided about.
ANY = "\U0010ffff"
# All that addresses are written with.
_ADDRESS_CHARS = frozenset("0123456789abcdefABCDEF:.")
ANY_STRING = Prefix("")


def text_within(part: Condition, whole: Condition) -> bool:
    """Whether `whole` accepts every string that `part` accepts; both are operators on text. False: not known."""
    if isinstance(whole, InNetwork):
        return isinstance(part, AddressIs | InNetwork) and _in_network(part, whole)
    if isinstance(whole, AddressIs):
        return isinstance(part, AddressIs) and part.address == whole.address
    if isinstance(whole, IgnoreCase):
        return _within_ignoring(part, whole)
    literals = literals_of(whole)
    return literals is not None and not any(ANY in literal for literal in literals) and whole.accepts(_word(part))


def text_apart(one: Condition, other: Condition) -> bool:
    """Whether no string is accepted by both; both are operators on text. False: not known."""
    addresses = [each for each in (one, other) if isinstance(each, AddressIs | InNetwork)]
    if len(addresses) == 2:
        return _addresses_apart(addresses[0], addresses[1])
    if addresses:
        return _never_in_address(other if one is addresses[0] else one)
    if any(_clash(_edge(one, end), _edge(other, end)) for end in (False, True)):
        return True
    return _whole_apart(one, other) or _whole_apart(other, one)


def literals_of(condition: Condition) -> tuple[str, ...] | None:
    """The text between asterisks, as of a wildcard; None for what is no such text."""
    if isinstance(condition, StringIs):
        return (condition.text,)
    if isinstance(condition, Prefix):
        return (condition.text, "")
    if isinstance(condition, Suffix):
        return ("", condition.text)
    return condition.literals if isinstance(condition, Wildcard) else None


def impossible_text(condition: IgnoreCase) -> bool:
    """A letter that has case beyond the basic plane stands for nothing, so nothing is accepted."""
    return any(not forms(char) for char in condition.text)


def _word(condition: Condition) -> str:
    literals = literals_of(condition)
    if literals is not None:
        return ANY.join(literals)
    if not isinstance(condition, IgnoreCase):
        return ANY
    text = "".join(found[0] if len(found := forms(char)) == 1 else ANY for char in condition.text)
    return {"whole": text, "prefix": text + ANY, "suffix": ANY + text}[condition.where]


def _within_ignoring(part: Condition, whole: IgnoreCase) -> bool:
    literals = literals_of(part)
    if literals is not None:
        if len(literals) == 1 or whole.where == "whole":
            return len(literals) == 1 and whole.accepts(literals[0])
        return whole.accepts(literals[0] if whole.where == "prefix" else literals[-1])
    if not isinstance(part, IgnoreCase) or part.where not in ("whole", whole.where):
        return False
    here, there = [forms(char) for char in part.text], [forms(char) for char in whole.text]
    if whole.where == "suffix":
        here, there = here[::-1], there[::-1]
    if len(here) < len(there) or (whole.where == "whole" and len(here) > len(there)):
        return False
    return all(set(few) <= set(many) for few, many in zip(here, there, strict=False))


def _in_network(part: AddressIs | InNetwork, whole: InNetwork) -> bool:
    inner, bits = _network(part)
    return (
        bits >= whole.mask_bits and inner.bits == whole.network.bits and _same_network(part, whole, whole.mask_bits)
    )


def _addresses_apart(one: AddressIs | InNetwork, other: AddressIs | InNetwork) -> bool:
    (here, bits), (there, other_bits) = _network(one), _network(other)
    return here.bits != there.bits or not _same_network(one, other, min(bits, other_bits))


def _network(condition: AddressIs | InNetwork) -> tuple[Address, int]:
    if isinstance(condition, AddressIs):
        return condition.address, condition.address.bits
    return condition.network, condition.mask_bits


def _same_network(one: AddressIs | InNetwork, other: AddressIs | InNetwork, bits: int) -> bool:
    (here, _), (there, _) = _network(one), _network(other)
    return here.number >> (here.bits - bits) == there.number >> (there.bits - bits)


def _never_in_address(condition: Condition) -> bool:
    literals = literals_of(condition)
    if literals is not None:
        return any(char not in _ADDRESS_CHARS for literal in literals for char in literal)
    if not isinstance(condition, IgnoreCase):
        return False
    return any(not any(set(form) <= _ADDRESS_CHARS for form in forms(char)) for char in condition.text)


def _edge(condition: Condition, end: bool) -> list[set[str]]:
    """The characters that accepted strings can begin with (or end with, the last first), as far as is known."""
    literals = literals_of(condition)
    if literals is not None:
        text = literals[-1][::-1] if end else literals[0]
        return [{char} for char in text]
    if not isinstance(condition, IgnoreCase) or condition.where == ("prefix" if end else "suffix"):
        return []
    known: list[set[str]] = []
    for char in condition.text[::-1] if end else condition.text:
        if any(len(form) != 1 for form in forms(char)):
            break
        known.append(set(forms(char)))
    return known


def _clash(one: Sequence[set[str]], other: Sequence[set[str]]) -> bool:
    return any(not here & there for here, there in zip(one, other, strict=False))


def _whole_apart(whole: Condition, other: Condition) -> bool:
    """For a whole text in any case: nothing that it accepts, in lower case, can be like the other in lower case."""
    if not isinstance(whole, IgnoreCase) or whole.where != "whole" or not whole.text.isascii():
        return False
    if isinstance(other, IgnoreCase):
        return other.where == "whole" and other.text.isascii() and other.text.lower() != whole.text.lower()
    literals = literals_of(other)
    if literals is None:
        return False
    if not all(literal.isascii() for literal in literals):
        return True
    return not Wildcard("", tuple(literal.lower() for literal in literals)).accepts(whole.text.lower())
