"""Questions about metrics, each a metric's statistic or an expression over others, and what answers them. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from busway.errors import InvalidExpression
from busway.metrics.expression import Expression
from busway.metrics.points import MINUTE_S, Metric, Point
from busway.metrics.statistics import Statistics, merged, value
from busway.metrics.values import Known, Series, Value


@dataclass(frozen=True, slots=True)
class Stat:
    """A statistic of a metric, by periods; `unit` "" takes what came with any."""

    metric: Metric
    period_s: int
    statistic: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked by an id. `period_s` of an expression is the longest of what it refers to, unless given."""

    id: str
    asks: Stat | Expression
    period_s: int = 0


def stats_in(queries: Sequence[Query]) -> list[Stat]:
    """What has to be read for them."""
    return [query.asks for query in queries if isinstance(query.asks, Stat)]


def series_of(points: Sequence[Point], statistic: str) -> Series:
    """A value by the start of its period, of all units together; none where it is not known."""
    periods: dict[int, list[Statistics]] = {}
    for one in points:
        periods.setdefault(one.at, []).append(one.seen)
    found = ((at, seen) for at, parts in sorted(periods.items()) if (seen := merged(parts)) is not None)
    return {at: number for at, seen in found if (number := value(seen, statistic)) is not None}


def answers(
    queries: Sequence[Query], found: Mapping[Stat, Series], starts_of: Callable[[int], Sequence[int]]
) -> dict[str, Value]:
    """By id. `starts_of` gives the starts of the periods of so many seconds that are asked about.

    Raises InvalidExpression for ids that are missing or refer to each other in a circle.
    """
    by_id = {query.id: query for query in queries}
    series = {query.id: found[query.asks] for query in queries if isinstance(query.asks, Stat)}
    known: dict[str, Value] = dict(series)
    if len(series) == len(queries):
        return known
    for name, period_s in periods_of(queries).items():
        asks = by_id[name].asks
        if isinstance(asks, Expression):
            try:
                known[name] = asks.evaluate(Known(known, series, period_s, starts_of(period_s)))
            except (ArithmeticError, ValueError) as error:
                raise InvalidExpression(f"query {name!r}: {error}") from error
    return known


def periods_of(queries: Sequence[Query]) -> dict[str, int]:
    """The period of each, by id, in an order in which each comes after what it refers to. Raises InvalidExpression.

    Of an expression that refers to no metric by its id, the longest of all.
    """
    by_id, found = {query.id: query for query in queries}, dict[str, int]()
    of_all = max((query.asks.period_s for query in queries if isinstance(query.asks, Stat)), default=0)
    longest = dict[str, int]()
    for name in _order(by_id):
        query = by_id[name]
        refers = query.asks.refers if isinstance(query.asks, Expression) else frozenset[str]()
        of_those = max((longest[one] for one in refers), default=0)
        longest[name] = query.asks.period_s if isinstance(query.asks, Stat) else of_those
        found[name] = query.period_s or longest[name] or of_all or MINUTE_S
    return found


def starts_between(start: float, end: float, period_s: int) -> list[int]:
    """Of periods of the epoch."""
    return [at for at in range(int(start) - int(start) % period_s, int(end), period_s) if start <= at < end]


def _order(queries: Mapping[str, Query]) -> list[str]:
    refers = {
        name: query.asks.refers if isinstance(query.asks, Expression) else frozenset[str]()
        for name, query in queries.items()
    }
    missing = sorted({one for each in refers.values() for one in each} - set(queries))
    if missing:
        raise InvalidExpression(f"there is no query {missing[0]!r}")
    try:
        return list(TopologicalSorter(refers).static_order())
    except CycleError as error:
        raise InvalidExpression(f"queries refer to each other in a circle: {' -> '.join(error.args[1])}") from error
