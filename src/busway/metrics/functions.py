"""The functions of metric math: each makes a node of its arguments, which are nodes, or words such as REPEAT. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html#metric-math-syntax-functions-list
"""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence

from busway.errors import InvalidExpression
from busway.metrics.values import Known, Node, Series, Value, each, pairwise

REPEAT, LINEAR = "REPEAT", "LINEAR"
# Words that may stand where a value does.
WORDS = (REPEAT, LINEAR)
Arguments = Sequence["Node | str"]


def _nodes(name: str, arguments: Arguments, *counts: int) -> list[Node]:
    found = [one for one in arguments if not isinstance(one, str)]
    if len(found) != len(arguments) or len(found) not in counts:
        raise InvalidExpression(f"{name} takes {' or '.join(map(str, counts))} values, not {len(arguments)}")
    return found


def _aggregate(combine: Callable[[Sequence[float]], float]) -> Callable[[str, Arguments], Node]:
    """Of an array of series one series; of one series a number."""

    def made(name: str, arguments: Arguments) -> Node:
        (argument,) = _nodes(name, arguments, 1)

        def evaluate(known: Known) -> Value:
            found = argument(known)
            if isinstance(found, list):
                starts = sorted({at for series in found for at in series})
                return {at: combine([series[at] for series in found if at in series]) for at in starts}
            if isinstance(found, Mapping):
                return combine(list(found.values())) if found else {}
            raise InvalidExpression(f"{name} takes a series, not a number")

        return evaluate

    return made


def _each(function: Callable[[float], float]) -> Callable[[str, Arguments], Node]:
    def made(name: str, arguments: Arguments) -> Node:
        (argument,) = _nodes(name, arguments, 1)
        return lambda known: each(argument(known), function)

    return made


def _of_series(function: Callable[[Series, Known], Series]) -> Callable[[str, Arguments], Node]:
    """For each series of an array, or the one."""

    def made(name: str, arguments: Arguments) -> Node:
        (argument,) = _nodes(name, arguments, 1)

        def evaluate(known: Known) -> Value:
            found = argument(known)
            if isinstance(found, list):
                return [function(series, known) for series in found]
            if isinstance(found, Mapping):
                return function(found, known)
            raise InvalidExpression(f"{name} takes a series, not a number")

        return evaluate

    return made


def _difference(series: Series, known: Known) -> Series:
    ordered = sorted(series)
    return {at: series[at] - series[before] for before, at in itertools.pairwise(ordered)}


def _rate(series: Series, known: Known) -> Series:
    """A second, between two points."""
    ordered = sorted(series)
    pairs = itertools.pairwise(ordered)
    return {at: (series[at] - series[before]) / (at - before) for before, at in pairs}


def _running_sum(series: Series, known: Known) -> Series:
    total, made = 0.0, dict[int, float]()
    for at in sorted(series):
        total += series[at]
        made[at] = total
    return made


def _metrics(name: str, arguments: Arguments) -> Node:
    """All metrics of the request, or those whose id has this text in it."""
    if len(arguments) > 1 or any(not isinstance(one, str) for one in arguments):
        raise InvalidExpression(f"{name} takes nothing, or a text in quotes")
    part = str(arguments[0]) if arguments else ""
    return lambda known: [series for label, series in known.metrics.items() if part in label]


def _metric_count(name: str, arguments: Arguments) -> Node:
    """How many series there are, a number.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html#metric-math-syntax
    """
    (argument,) = _nodes(name, arguments, 1)

    def evaluate(known: Known) -> Value:
        found = argument(known)
        if not isinstance(found, list):
            raise InvalidExpression(f"{name} takes an array of series, as METRICS() gives it")
        return float(len(found))

    return evaluate


def _period(name: str, arguments: Arguments) -> Node:
    _nodes(name, arguments, 1)
    return lambda known: float(known.period_s)


def _if(name: str, arguments: Arguments) -> Node:
    """IF(condition, then) leaves out the points where it does not hold."""
    condition, then, *otherwise = _nodes(name, arguments, 2, 3)

    def evaluate(known: Known) -> Value:
        nothing: Series = {}
        held, yes, no = condition(known), then(known), otherwise[0](known) if otherwise else nothing
        if not isinstance(held, list | Mapping):
            return yes if held else no
        if isinstance(held, list) or isinstance(yes, list) or isinstance(no, list):
            raise InvalidExpression(f"{name} takes numbers and series, not an array of series")
        made: dict[int, float] = {}
        for at, holds in held.items():
            chosen = yes if holds else no
            if not isinstance(chosen, Mapping):
                made[at] = chosen
            elif at in chosen:
                made[at] = chosen[at]
        return made

    return evaluate


def _fill(name: str, arguments: Arguments) -> Node:
    """FILL(series, number | REPEAT | LINEAR): the periods without a point get one."""
    if len(arguments) != 2 or isinstance(arguments[0], str):
        raise InvalidExpression(f"{name} takes a series and a number, {REPEAT} or {LINEAR}")
    argument, filling = arguments

    def filled(series: Series, known: Known) -> Series:
        if isinstance(filling, str):
            return _repeated(series, known.starts) if filling == REPEAT else _linear(series, known.starts)
        number = filling(known)
        if isinstance(number, list | Mapping):
            raise InvalidExpression(f"{name} fills with a number, not with a series")
        return {at: series.get(at, number) for at in known.starts}

    return _of_series(filled)(name, [argument])


def _repeated(series: Series, starts: Sequence[int]) -> Series:
    made: dict[int, float] = {}
    last: float | None = None
    for at in sorted(starts):
        last = series.get(at, last)
        if last is not None:
            made[at] = last
    return made


def _linear(series: Series, starts: Sequence[int]) -> Series:
    made, known, ordered = dict(series), sorted(series), sorted(starts)
    for before, after in itertools.pairwise(known):
        for at in ordered[bisect_right(ordered, before) : bisect_left(ordered, after)]:
            made[at] = series[before] + (series[after] - series[before]) * (at - before) / (after - before)
    return made


def _time_series(name: str, arguments: Arguments) -> Node:
    """A number in every period."""
    (argument,) = _nodes(name, arguments, 1)

    def evaluate(known: Known) -> Value:
        return pairwise(argument(known), dict.fromkeys(known.starts, 0.0), lambda a, _: a)

    return evaluate


FUNCTIONS: Mapping[str, Callable[[str, Arguments], Node]] = {
    "ABS": _each(abs),
    "AVG": _aggregate(lambda values: sum(values) / len(values)),
    "CEIL": _each(math.ceil),
    "DIFF": _of_series(_difference),
    "FILL": _fill,
    "FLOOR": _each(math.floor),
    "IF": _if,
    "LOG": _each(math.log),
    "LOG10": _each(math.log10),
    "MAX": _aggregate(max),
    "METRICS": _metrics,
    "METRIC_COUNT": _metric_count,
    "MIN": _aggregate(min),
    "PERIOD": _period,
    "RATE": _of_series(_rate),
    "RUNNING_SUM": _of_series(_running_sum),
    "STDDEV": _aggregate(statistics.pstdev),
    "SUM": _aggregate(sum),
    "TIME_SERIES": _time_series,
}
