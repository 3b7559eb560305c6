"""The values of metric math: a number, a series (a value by the start of its period), or an array of series. Pure.

Between two series a point is made where both have one. Where something is not defined (a division by zero) there is
no point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from busway.errors import InvalidExpression

Series: TypeAlias = Mapping[int, float]
Value: TypeAlias = "float | Series | list[Series]"
Node: TypeAlias = Callable[["Known"], Value]


@dataclass(frozen=True, slots=True)
class Known:
    """What an expression may refer to: series by id; all of METRICS() in order; the period; the starts of periods."""

    series: Mapping[str, Value]
    metrics: Mapping[str, Series]
    period_s: int
    starts: Sequence[int]


def each(value: Value, function: Callable[[float], float]) -> Value:
    """A function of every number in a value; where it is not defined there is no point."""
    if isinstance(value, list):
        return [_mapped(one, function) for one in value]
    if isinstance(value, Mapping):
        return _mapped(value, function)
    return function(value)


def _mapped(series: Series, function: Callable[[float], float]) -> Series:
    return dict(_defined((at, partial(function, number)) for at, number in series.items()))


def _defined(made: Iterator[tuple[int, Callable[[], float]]]) -> Iterator[tuple[int, float]]:
    for at, compute in made:
        try:
            found = compute()
        except (ArithmeticError, ValueError):
            continue
        if math.isfinite(found):
            yield at, float(found)


def pairwise(a: Value, b: Value, function: Callable[[float, float], float]) -> Value:
    """A function of two values, period by period. Raises InvalidExpression for two arrays of different lengths."""
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            raise InvalidExpression(f"arrays of {len(a)} and {len(b)} series cannot be put together")
        return [_of_two(one, other, function) for one, other in zip(a, b, strict=True)]
    if isinstance(a, list):
        return [] if isinstance(b, list) else [_of_two(one, b, function) for one in a]
    if isinstance(b, list):
        return [_of_two(a, one, function) for one in b]
    return _together(a, b, function)


def _of_two(a: float | Series, b: float | Series, function: Callable[[float, float], float]) -> Series:
    """Where one of them is a series."""
    found = _together(a, b, function)
    return found if isinstance(found, Mapping) else {}


def _together(a: float | Series, b: float | Series, function: Callable[[float, float], float]) -> float | Series:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return dict(_defined((at, partial(function, a[at], b[at])) for at in a if at in b))
    if isinstance(b, Mapping):
        return b if isinstance(a, Mapping) else _mapped(b, partial(function, a))
    if isinstance(a, Mapping):
        return _mapped(a, lambda one: function(one, b))
    try:
        return function(a, b)
    except (ArithmeticError, ValueError) as error:
        raise InvalidExpression(f"{a:g} and {b:g}: {error}") from error
