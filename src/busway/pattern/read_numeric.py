"""The argument of `numeric`: one comparison, or a lower and an upper one in this order."""

from __future__ import annotations

import math

from busway.pattern.conditions import Condition
from busway.pattern.numbers import NumberBetween, NumberIs, canonical_text
from busway.pattern.pattern_tokens import PatternTokens

_OPERATORS = ("=", "<", "<=", ">", ">=")
_TOO_MANY = "Too many elements in numeric expression"


def comparable(tokens: PatternTokens) -> float:
    """The number that is current. Fails if it says more than a double holds."""
    number = canonical_text(tokens.text())
    if isinstance(number, str):
        tokens.fail(f"Cannot compare number : {number}")
    return number


def read_numeric(tokens: PatternTokens) -> Condition:
    """Read the list that is current, to the operator's closing brace."""
    if tokens.kind != "[":
        tokens.fail("Value of numeric must be an array.")
    if tokens.next() != "string":
        tokens.fail(f"Invalid member in numeric match: {tokens.text()}")
    operator = tokens.text()
    if operator not in _OPERATORS:
        tokens.fail(f"Unrecognized numeric range operator: {operator}")
    number = _bound(tokens, operator)
    if operator == "=":
        condition: Condition = NumberIs(number, tokens.text())
        _expect_close(tokens, _TOO_MANY)
    elif operator in ("<", "<="):
        condition = NumberBetween(-math.inf, True, number, operator == "<=")
        _expect_close(tokens, _TOO_MANY)
    else:
        condition = _read_upper(tokens, number, operator == ">=")
    tokens.expect_end(_TOO_MANY)
    return condition


def _read_upper(tokens: PatternTokens, low: float, low_included: bool) -> Condition:
    if tokens.next() == "]":
        return NumberBetween(low, low_included, math.inf, True)
    if tokens.kind != "string":
        tokens.fail(f"Bad value in numeric range: {tokens.text()}")
    operator = tokens.text()
    if operator not in ("<", "<="):
        tokens.fail(f"Bad numeric range operator: {operator}")
    high = _bound(tokens, operator)
    _expect_close(tokens, "Too many terms in numeric range expression")
    if low >= high:
        tokens.fail("Bottom must be less than top")
    return NumberBetween(low, low_included, high, operator == "<=")


def _bound(tokens: PatternTokens, operator: str) -> float:
    if tokens.next() != "number":
        tokens.fail(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    return comparable(tokens)


def _expect_close(tokens: PatternTokens, reason: str) -> None:
    if tokens.next() != "]":
        tokens.fail(reason)
