"""Metric math: `100 * errors / calls`, parsed once and evaluated over what the ids in it stand for. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from busway.errors import InvalidExpression
from busway.metrics.functions import FUNCTIONS, WORDS
from busway.metrics.values import Known, Node, Value, each, pairwise

# Ours: an expression nests as deeply at most.
DEPTH_MAX = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|"
    r"(?P<sign><=|>=|==|!=|&&|\|\||[-+*/^(),<>\[\]])|(?P<text>\"[^\"]*\"|'[^']*'))"
)
_BINARY: dict[str, tuple[int, Callable[[float, float], float]]] = {
    "OR": (1, lambda a, b: float(bool(a) or bool(b))), "||": (1, lambda a, b: float(bool(a) or bool(b))),
    "AND": (2, lambda a, b: float(bool(a) and bool(b))), "&&": (2, lambda a, b: float(bool(a) and bool(b))),
    "==": (3, lambda a, b: float(a == b)), "!=": (3, lambda a, b: float(a != b)),
    "<": (3, lambda a, b: float(a < b)), "<=": (3, lambda a, b: float(a <= b)),
    ">": (3, lambda a, b: float(a > b)), ">=": (3, lambda a, b: float(a >= b)),
    "+": (4, operator.add), "-": (4, operator.sub), "*": (5, operator.mul), "/": (5, lambda a, b: a / b),
    "^": (7, math.pow),
}  # fmt: skip
_UNARY_BINDS = 6


@dataclass(frozen=True, slots=True)
class Expression:
    """`refers` are the ids in it."""

    evaluate: Node
    refers: frozenset[str]


def parse(text: str) -> Expression:
    """Raises InvalidExpression with what was found, and where."""
    parser = _Parser(text)
    node = parser.expression(0)
    if parser.kind != "end":
        raise parser.unexpected()
    return Expression(node, frozenset(parser.refers))


class _Parser:
    """Precedence climbing."""

    def __init__(self, text: str) -> None:
        self._text, self._place, self._depth = text, 0, 0
        self.refers = set[str]()
        self.kind = self.token = ""
        self._next()

    def _next(self) -> None:
        rest = self._text[self._place :]
        found = _TOKEN.match(rest)
        if found is None:
            if rest.strip():
                raise InvalidExpression(f"Error in expression at character {self._place + 1}: {rest.strip()[:20]!r}")
            self.kind, self.token = "end", ""
            return
        self._place += found.end()
        self.kind, self.token = str(found.lastgroup), found[str(found.lastgroup)]

    def unexpected(self) -> InvalidExpression:
        shown = self.token or "its end"
        return InvalidExpression(f"Error in expression at character {self._place}: {shown!r} is not expected there")

    def _take(self, token: str) -> None:
        if self.token != token or self.kind == "text":
            raise self.unexpected()
        self._next()

    def expression(self, binds: int) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise InvalidExpression(f"the expression nests deeper than {DEPTH_MAX}")
        left = self._operand()
        while self.kind in ("sign", "name") and self.token in _BINARY and _BINARY[self.token][0] > binds:
            strength, function = _BINARY[self.token]
            self._next()
            left = _binary(left, self.expression(strength), function)
        self._depth -= 1
        return left

    def _operand(self) -> Node:
        kind, token = self.kind, self.token
        if token in ("-", "+") and kind == "sign":
            self._next()
            operand, sign = self.expression(_UNARY_BINDS), -1.0 if token == "-" else 1.0
            return lambda known: each(operand(known), lambda number: sign * number)
        self._next()
        if kind == "number":
            number = float(token)
            return lambda known: number
        if token == "(" and kind == "sign":
            inner = self.expression(0)
            self._take(")")
            return inner
        if token == "[" and kind == "sign":
            return self._array()
        if kind == "name" and self.token == "(" and self.kind == "sign":
            return self._call(token)
        if kind == "name":
            return self._reference(token)
        self.kind, self.token = kind, token
        raise self.unexpected()

    def _array(self) -> Node:
        nodes = [self.expression(0)]
        while self.token == ",":
            self._next()
            nodes.append(self.expression(0))
        self._take("]")

        def evaluate(known: Known) -> Value:
            found = [node(known) for node in nodes]
            if any(not isinstance(one, Mapping) for one in found):
                raise InvalidExpression("an array is of series")
            return [one for one in found if isinstance(one, Mapping)]

        return evaluate

    def _reference(self, name: str) -> Node:
        self.refers.add(name)
        return lambda known: known.series[name]

    def _call(self, name: str) -> Node:
        self._take("(")
        arguments: list[Node | str] = []
        while not (self.token == ")" and self.kind == "sign"):
            if self.kind == "text" or (self.kind == "name" and self.token in WORDS):
                arguments.append(self.token.strip("\"'"))
                self._next()
            else:
                arguments.append(self.expression(0))
            if self.token != ",":
                break
            self._next()
        self._take(")")
        if name not in FUNCTIONS:
            raise InvalidExpression(f"the function {name} is not built; there are {', '.join(sorted(FUNCTIONS))}")
        return FUNCTIONS[name](name, arguments)


def _binary(left: Node, right: Node, function: Callable[[float, float], float]) -> Node:
    return lambda known: pairwise(left(known), right(known), function)
