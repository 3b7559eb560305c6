"""The argument of `anything-but`: a value, a list of one kind of values, or a nested operator with either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from busway.errors import InvalidPattern
from busway.pattern.anything_but import NotLike, NotStrings
from busway.pattern.conditions import Condition
from busway.pattern.ignore_case import IgnoreCase
from busway.pattern.numbers import NumberIs, canonical_text
from busway.pattern.pattern_tokens import PatternTokens
from busway.pattern.read_numeric import comparable
from busway.pattern.text import Prefix, Suffix
from busway.pattern.wildcard import parse_wildcard

Read = TypeVar("Read")

# AWS reuses this text for stray members after anything-but.
_TOO_MANY = "Too many elements in numeric expression"
_BAD_ARGUMENT = "Value of anything-but must be an array or single string/number value."
_BAD_ELEMENT = "Inside anything but list, start|null|boolean is not supported."
_MIXED = "Inside anything but list, either all values are number or string, mixed type is not supported"
_NOT_STRING: Mapping[str, str] = {
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "wildcard": "wildcard match pattern must be a string",
    "equals-ignore-case": (
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
    ),
}  # fmt: skip
_MAKE: Mapping[str, Callable[[str], Condition]] = {
    "prefix": Prefix,
    "suffix": Suffix,
    "wildcard": parse_wildcard,
    "equals-ignore-case": IgnoreCase,
}


def read_anything_but(tokens: PatternTokens) -> Condition:
    """Read the argument that is current, to the operator's closing brace."""
    if tokens.kind == "{":
        condition = _read_nested(tokens)
    elif tokens.kind == "[":
        condition = _in_list(tokens, _read_values)
    elif tokens.kind == "string":
        condition = NotStrings(frozenset((tokens.text(),)))
    elif tokens.kind == "number":
        key = canonical_text(tokens.text())
        if isinstance(key, str):
            raise InvalidPattern(f"Cannot compare number : {key}")
        condition = NotLike((NumberIs(key, tokens.text()),))
    else:
        tokens.fail(_BAD_ARGUMENT)
    tokens.expect_end(_TOO_MANY)
    return condition


def _in_list(tokens: PatternTokens, read: Callable[[PatternTokens], Read]) -> Read:
    """Read a list. AWS catches the error of an element and throws it again, so its location comes twice."""
    try:
        return read(tokens)
    except InvalidPattern as wrong:
        raise InvalidPattern(wrong.reason, wrong.location + tokens.here) from wrong


def _read_values(tokens: PatternTokens) -> Condition:
    texts: set[str] = set()
    numbers: list[Condition] = []
    while tokens.next() != "]":
        if tokens.kind == "string":
            texts.add(tokens.text())
        elif tokens.kind == "number":
            numbers.append(NumberIs(comparable(tokens, tokens.text()), tokens.text()))
        else:
            tokens.fail(_BAD_ELEMENT)
    if bool(texts) == bool(numbers):
        tokens.fail(_MIXED)
    return NotStrings(frozenset(texts)) if texts else NotLike(tuple(numbers))


def _read_nested(tokens: PatternTokens) -> Condition:
    if tokens.next() != "name":
        tokens.fail("Anything-But expression name not found")
    operator = tokens.text()
    if operator not in _MAKE:
        tokens.fail(f"Unsupported anything-but pattern: {operator}")
    if tokens.next() == "[":
        texts: list[str] = []
        _in_list(tokens, lambda inside: _read_nested_list(inside, operator, texts))
    elif tokens.kind in ("string", "number"):
        texts = [_read_nested_text(tokens, operator)]
    else:
        tokens.fail(_BAD_ARGUMENT)
    try:  # wildcards are looked at only when the list is read
        condition = NotLike(tuple(_MAKE[operator](text) for text in texts))
    except InvalidPattern as wrong:
        tokens.fail(wrong.reason)
    tokens.expect_end(_TOO_MANY)
    return condition


def _read_nested_list(tokens: PatternTokens, operator: str, texts: list[str]) -> None:
    while tokens.next() != "]":
        texts.append(_read_nested_text(tokens, operator))
    if not texts:  # AWS compiles this and fails when it matches; ours
        tokens.fail("Empty arrays are not allowed")


def _read_nested_text(tokens: PatternTokens, operator: str) -> str:
    if tokens.kind != "string":
        tokens.fail(_NOT_STRING[operator])
    text = tokens.text()
    if not text and operator in ("prefix", "suffix"):
        tokens.fail("Null prefix/suffix not allowed")
    return text
