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
    for name in _order(by_id):
        query = by_id[name]
        if isinstance(query.asks, Expression):
            period_s = _period(query, by_id)
            known[name] = query.asks.evaluate(Known(known, series, period_s, starts_of(period_s)))
    return known


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


def _period(query: Query, queries: Mapping[str, Query]) -> int:
    """Of an expression that refers to no metric by its id, the longest of all."""
    periods = _periods(query, queries) or [one.period_s for one in queries.values()]
    return query.period_s or max(periods) or MINUTE_S


def _periods(query: Query, queries: Mapping[str, Query]) -> list[int]:
    if isinstance(query.asks, Stat):
        return [query.asks.period_s]
    return [period_s for name in query.asks.refers for period_s in _periods(queries[name], queries)]
