"""Filter patterns for messages that are JSON objects: `{ $.user.id = 1 && $.path != "/health*" }`. Pure.

    any        = all { "||" all }
    all        = one { "&&" one }
    one        = "(" any ")" | selector compare value | selector "IS" ("NULL" | "TRUE" | "FALSE")
               | selector "NOT" "EXISTS"
    selector   = "$" { "." name | "[" number "]" | "['" text "']" }
    compare    = "=" | "!=" | "<" | ">" | "<=" | ">="
    value      = number | word | quoted text; a word and a text may begin and end with *

A selector that leads to nothing, an object or an array makes a comparison false, `!=` too. Ours, where AWS's page is
silent: numbers compare with numbers, every other equality compares texts as JSON writes them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from busway.errors import InvalidLogFilter

# Ours: parentheses inside parentheses.
DEPTH_MAX = 50
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<selector>\$(?:\.[\w-]+|\.?\[\s*(?:\d+|'[^']*'|"[^"]*")\s*\])+)
    | (?P<mark>&&|\|\||<=|>=|!=|=|<|>|\(|\))
    | "(?P<text>(?:[^"\\]|\\.)*)"
    | (?P<word>[^\s"()=!<>&|{}%]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_STEP = re.compile(r"""\.?\[\s*(?:(?P<index>\d+)|'(?P<one>[^']*)'|"(?P<two>[^"]*)")\s*\]|\.(?P<name>[\w-]+)""")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_KINDS: dict[str, Any] = {"NULL": None, "TRUE": True, "FALSE": False}

# What a step leads into: a number into a list, a name into an object.
_INSIDE: dict[type, type] = {int: list, str: dict}
Step = str | int
Test = Callable[[Any], bool]
"""Whether a document is one that is looked for."""


class _Nothing:
    """Where a selector leads to nothing, which `null` is not."""


NOTHING = _Nothing()


def parse_json_filter(text: str) -> Callable[[str], bool]:
    """The filter of a pattern in braces. Raises `InvalidLogFilter`."""
    if not text.endswith("}"):
        raise InvalidLogFilter("Invalid filter pattern: it begins with { and does not end with }")
    test = _Parser(text[1:-1]).whole()

    def finds(message: str) -> bool:
        if not message.lstrip().startswith("{"):
            return False
        try:
            document = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False
        return test(document)

    return finds


def at(document: Any, steps: tuple[Step, ...]) -> Any:
    """What a selector leads to in a document, `NOTHING` where it leads nowhere."""
    found: Any = document
    for step in steps:
        if type(found) is not _INSIDE[type(step)]:
            return NOTHING
        try:
            found = found[step]
        except LookupError:
            return NOTHING
    return found


class _Parser:
    """By recursive descent, over the tokens of one pattern."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            token = _TOKEN.match(text, place)
            if token is None or token.lastgroup is None:
                rest = text[place:].split(maxsplit=1)[0]
                if rest.startswith("%"):
                    raise InvalidLogFilter("Invalid filter pattern: regular expressions, %…%, are not built")
                raise InvalidLogFilter(f"Invalid character(s) in term '{rest}'")
            self._tokens.append((token.lastgroup, token[token.lastgroup]))
            place = token.end()
        self._place = self._depth = 0

    def whole(self) -> Test:
        test = self._any()
        if self._place < len(self._tokens):
            self._wrong("&& or ||")
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._take("mark", "||"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda document: any(test(document) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._take("mark", "&&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda document: all(test(document) for test in tests)

    def _one(self) -> Test:
        if self._take("mark", "("):
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise InvalidLogFilter(f"Invalid filter pattern: parentheses deeper than {DEPTH_MAX}")
            test = self._any()
            if not self._take("mark", ")"):
                self._wrong(")")
            self._depth -= 1
            return test
        kind, selector = self._next("a selector like $.field")
        if kind != "selector":
            self._place -= 1
            self._wrong("a selector like $.field")
        steps = _steps(selector)
        kind, word = self._next("a comparison")
        if kind == "word" and word.upper() == "IS":
            return self._is(steps)
        if kind == "word" and word.upper() == "NOT":
            if self._next("EXISTS")[1].upper() != "EXISTS":
                self._place -= 1
                self._wrong("EXISTS")
            return lambda document: at(document, steps) is NOTHING
        if kind != "mark" or word in ("(", ")", "&&", "||"):
            self._place -= 1
            self._wrong("=, !=, <, >, <=, >=, IS or NOT EXISTS")
        kind, value = self._next("a value")
        if kind not in ("word", "text"):
            self._place -= 1
            self._wrong("a value")
        return _comparison(steps, word, value, quoted=kind == "text")

    def _is(self, steps: tuple[Step, ...]) -> Test:
        _, word = self._next("NULL, TRUE or FALSE")
        if word.upper() not in _KINDS:
            self._place -= 1
            self._wrong("NULL, TRUE or FALSE")
        wanted = _KINDS[word.upper()]
        return lambda document: at(document, steps) is wanted

    def _take(self, kind: str, text: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place] == (kind, text):
            self._place += 1
            return True
        return False

    def _next(self, wanted: str) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            self._wrong(wanted)
        self._place += 1
        return self._tokens[self._place - 1]

    def _wrong(self, wanted: str) -> NoReturn:
        found = repr(self._tokens[self._place][1]) if self._place < len(self._tokens) else "its end"
        raise InvalidLogFilter(f"Invalid filter pattern: found {found}; wanted {wanted}")


def _steps(selector: str) -> tuple[Step, ...]:
    found: list[Step] = []
    for step in _STEP.finditer(selector):
        if step["index"] is not None:
            found.append(int(step["index"]))
        else:
            found.append(next(name for name in (step["one"], step["two"], step["name"]) if name is not None))
    return tuple(found)


def _comparison(steps: tuple[Step, ...], compare: str, value: str, *, quoted: bool) -> Test:
    number = float(value) if not quoted and _NUMBER.fullmatch(value) else None
    if compare in _ORDER:
        if number is None:
            raise InvalidLogFilter(f"Invalid filter pattern: found {value!r} after {compare}; wanted a number")
        order = _ORDER[compare]
        return lambda document: is_number(found := at(document, steps)) and order(found, number)
    equal = _equal(re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) if quoted else value, number)
    if compare == "=":
        return lambda document: is_value(found := at(document, steps)) and equal(found)
    return lambda document: is_value(found := at(document, steps)) and not equal(found)


def _equal(text: str, number: float | None) -> Test:
    if number is not None:
        return lambda found: found == number if is_number(found) else written(found) == text
    before, after = text.startswith("*"), text.endswith("*") and len(text) > 1
    core = text[before : len(text) - after]

    def equal(found: Any) -> bool:
        said = written(found)
        if before and after:
            return core in said
        if before:
            return said.endswith(core)
        return said.startswith(core) if after else said == core

    return equal


def is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def is_value(found: Any) -> bool:
    """Whether it is something to compare: a text, a number, true or false."""
    return isinstance(found, str | int | float)


def written(found: str | float) -> str:
    """A value as text: itself, or as JSON writes it."""
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()
