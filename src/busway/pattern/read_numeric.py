"""The argument of `numeric`: one comparison, or a lower and an upper one in this order."""

from __future__ import annotations

import math

from busway.pattern.conditions import Condition
from busway.pattern.numbers import NumberBetween, NumberIs, canonical_text
from busway.pattern.pattern_tokens import PatternTokens

_OPERATORS = ("=", "<", "<=", ">", ">=")
_TOO_MANY = "Too many elements in numeric expression"


def comparable(tokens: PatternTokens, text: str) -> float:
    """The number that `text` is. Fails, where the tokens are, if it says more than a double holds."""
    number = canonical_text(text)
    if isinstance(number, str):
        tokens.fail(f"Cannot compare number : {number}")
    return number


def read_numeric(tokens: PatternTokens) -> Condition:
    """Read the list that is current, to the operator's closing brace.

    As AWS does it, the list is read to its end before its numbers are compared.
    """
    if tokens.kind != "[":
        tokens.fail("Value of numeric must be an array.")
    if tokens.next() != "string":
        tokens.fail(f"Invalid member in numeric match: {tokens.text()}")
    operator = tokens.text()
    tokens.next()
    if operator not in _OPERATORS:
        tokens.fail(f"Unrecognized numeric range operator: {operator}")
    text = _bound(tokens, operator)
    if operator in (">", ">="):
        condition = _read_upper(tokens, text, operator == ">=")
    else:
        _expect_close(tokens, _TOO_MANY)
        number = comparable(tokens, text)
        condition = _equal_or_below(operator, number, text)
    tokens.expect_end(_TOO_MANY)
    return condition


def _equal_or_below(operator: str, number: float, text: str) -> Condition:
    return NumberIs(number, text) if operator == "=" else NumberBetween(-math.inf, True, number, operator == "<=")


def _read_upper(tokens: PatternTokens, bottom: str, low_included: bool) -> Condition:
    if tokens.next() == "]":
        return NumberBetween(comparable(tokens, bottom), low_included, math.inf, True)
    if tokens.kind != "string":
        tokens.fail(f"Bad value in numeric range: {tokens.text()}")
    operator = tokens.text()
    if operator not in ("<", "<="):
        tokens.fail(f"Bad numeric range operator: {operator}")
    tokens.next()
    top = _bound(tokens, operator)
    _expect_close(tokens, "Too many terms in numeric range expression")
    low, high = comparable(tokens, bottom), comparable(tokens, top)
    if low >= high:
        tokens.fail("Bottom must be less than top")
    return NumberBetween(low, low_included, high, operator == "<=")


def _bound(tokens: PatternTokens, operator: str) -> str:
    """The text of the number that is current."""
    if tokens.kind != "number":
        tokens.fail(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    return tokens.text()


def _expect_close(tokens: PatternTokens, reason: str) -> None:
    if tokens.next() != "]":
        tokens.fail(reason)
