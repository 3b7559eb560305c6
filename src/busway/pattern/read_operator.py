"""From `{"op": argument}` in a value list to a condition, with AWS's messages for whatever does not fit.

Each reader starts with the argument as the current token and leaves the operator's closing brace current.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from busway.errors import InvalidPattern
from busway.pattern.address import parse_cidr
from busway.pattern.conditions import Condition
from busway.pattern.exact import StringIs
from busway.pattern.ignore_case import IgnoreCase, Where
from busway.pattern.pattern_tokens import PatternTokens
from busway.pattern.presence import ABSENT, Present
from busway.pattern.read_anything_but import read_anything_but
from busway.pattern.read_numeric import read_numeric
from busway.pattern.text import Prefix, Suffix
from busway.pattern.wildcard import parse_wildcard

_ONE_KEY = "Only one key allowed in match expression"


def read_operator(tokens: PatternTokens) -> Condition:
    """Read the operator object whose opening brace is current."""
    if tokens.next() != "name":
        tokens.fail("Match expression name not found")
    name = tokens.text()
    read = _READERS.get(name)
    if read is None:
        tokens.fail(f"Unrecognized match type {name}")
    tokens.next()
    return read(tokens)


def _string(tokens: PatternTokens, operator: str) -> str:
    if tokens.kind != "string":
        tokens.fail(f"{operator} match pattern must be a string")
    return tokens.text()


def _only_string(tokens: PatternTokens, operator: str) -> str:
    text = _string(tokens, operator)
    tokens.expect_end(_ONE_KEY)
    return text


def _read_exactly(tokens: PatternTokens) -> Condition:
    # AWS's message has the word of its own constant.
    return StringIs(_only_string(tokens, "exact"))


def _read_ignore_case(tokens: PatternTokens) -> Condition:
    return IgnoreCase(_only_string(tokens, "equals-ignore-case"))


def _read_prefix(tokens: PatternTokens) -> Condition:
    if tokens.kind == "{":
        return _read_edge_ignoring_case(tokens, "prefix")
    return Prefix(_only_string(tokens, "prefix"))


def _read_suffix(tokens: PatternTokens) -> Condition:
    if tokens.kind == "{":
        return _read_edge_ignoring_case(tokens, "suffix")
    return Suffix(_only_string(tokens, "suffix"))


def _read_edge_ignoring_case(tokens: PatternTokens, where: Where) -> Condition:
    """Read `{"equals-ignore-case": "x"}` under prefix or suffix."""
    if tokens.next() != "name":
        tokens.fail(f"{where.capitalize()} expression name not found")
    if tokens.text() != "equals-ignore-case":
        tokens.fail(f"Unsupported {where} pattern: {tokens.text()}")
    tokens.next()
    text = _only_string(tokens, "equals-ignore-case")
    tokens.expect_end(_ONE_KEY)
    return IgnoreCase(text, where)


def _read_wildcard(tokens: PatternTokens) -> Condition:
    text = _string(tokens, "wildcard")
    try:
        condition = parse_wildcard(text)
    except InvalidPattern as wrong:
        tokens.fail(wrong.reason)
    tokens.expect_end(_ONE_KEY)
    return condition


def _read_exists(tokens: PatternTokens) -> Condition:
    if tokens.kind not in ("true", "false"):
        tokens.fail("exists match pattern must be either true or false.")
    condition = Present() if tokens.kind == "true" else ABSENT
    tokens.expect_end(_ONE_KEY)
    return condition


def _read_cidr(tokens: PatternTokens) -> Condition:
    # The operator's name in this message is AWS's slip.
    text = _string(tokens, "prefix")
    condition = parse_cidr(text)
    tokens.expect_end(_ONE_KEY)
    return condition


_READERS: Mapping[str, Callable[[PatternTokens], Condition]] = {
    "exactly": _read_exactly,
    "prefix": _read_prefix,
    "suffix": _read_suffix,
    "equals-ignore-case": _read_ignore_case,
    "wildcard": _read_wildcard,
    "anything-but": read_anything_but,
    "numeric": read_numeric,
    "exists": _read_exists,
    "cidr": _read_cidr,
}
OPERATORS = frozenset(_READERS)
