"""CloudWatch's metrics: data in, statistics and expressions out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.aws.services.cloudwatch_wire import described, dimensions, page_of
from busway.clock import Clock
from busway.errors import ConflictingMetric, InvalidExpression, InvalidMetric
from busway.metrics.expression import Expression, parse
from busway.metrics.points import DAY_S, HOUR_S, MINUTE_S, Metric, Point, metric_of
from busway.metrics.queries import Query, Stat, answers, periods_of, series_of, starts_between, stats_in
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import SIMPLE, Statistics, is_statistic, of_set, of_values, value
from busway.metrics.values import Value

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
DATA_MAX, VALUES_MAX, DIMENSIONS_MAX = 1_000, 150, 30
VALUE_MAX = 2.0**360
PAST_S, AHEAD_S = 14 * DAY_S, 2 * HOUR_S
RESERVED = "AWS/"
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html, _GetMetricData.html
DATAPOINTS_MAX, QUERIES_MAX, DATA_POINTS_MAX = 1_440, 500, 100_800
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
PAGE = 500
RECENT_S = 3 * HOUR_S
NO_UNIT = "None"
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


class CloudWatchMetrics:
    """The metric part of CloudWatch."""

    def __init__(self, series: TimeSeries, clock: Clock) -> None:
        self._series, self._clock = series, clock
        self.operations: Mapping[str, Operation] = {
            "PutMetricData": self.put_metric_data,
            "GetMetricData": self.get_metric_data,
            "GetMetricStatistics": self.get_metric_statistics,
            "ListMetrics": self.list_metrics,
        }

    async def put_metric_data(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        namespace = request["Namespace"]
        if namespace.startswith(RESERVED):
            raise InvalidMetric(f"The value {namespace} for parameter Namespace is invalid.")
        data = list(request.get("MetricData", ()))
        for entity in request.get("EntityMetricData", ()):
            data += entity.get("MetricData", ())
        if not data:
            raise AwsError("MissingParameter", "The parameter MetricData is required.", 400)
        if len(data) > DATA_MAX:
            raise InvalidMetric(f"The collection MetricData must not have a size greater than {DATA_MAX}.")
        now = self._clock.now()
        points = [_point(namespace, datum, f"MetricData.member.{n}", now) for n, datum in enumerate(data, start=1)]
        await self._series.put(caller.scope, points)
        return {}

    async def get_metric_statistics(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        start, end, period_s = request["StartTime"], request["EndTime"], request["Period"]
        wanted, extended = request.get("Statistics", []), request.get("ExtendedStatistics", [])
        if not (wanted or extended):
            raise AwsError("MissingParameter", "One of Statistics and ExtendedStatistics is required.", 400)
        if wanted and extended:
            # AWS's page says "but not both"; the words are ours.
            raise ConflictingMetric("Statistics and ExtendedStatistics may not be given together.")
        _check_span(start, end)
        _check_period(period_s)
        for name in (*wanted, *extended):
            _check_statistic(name)
        count = math.ceil((end - start) / period_s)
        if count > DATAPOINTS_MAX:
            # Worded as AWS does.
            raise ConflictingMetric(
                f"You have requested up to {count} datapoints, which exceeds the limit of {DATAPOINTS_MAX}. You may "
                "reduce the datapoints requested by increasing Period, or decreasing the time range."
            )
        metric = metric_of(request["Namespace"], request["MetricName"], dimensions(request))
        read = await self._series.read(caller.scope, [metric], start, end, period_s, _unit(request))
        points = [_datapoint(one, wanted, extended) for one in read[metric]]
        return {"Label": request["MetricName"], "Datapoints": [point for point in points if len(point) > 2]}

    async def get_metric_data(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        start, end, asked = request["StartTime"], request["EndTime"], request["MetricDataQueries"]
        if request.get("NextToken"):
            raise AwsError("InvalidNextToken", "The next token specified is invalid.", 400)
        _check_span(start, end)
        queries = [_query(one) for one in _distinct(asked)]
        try:
            _check_expressions(queries, end - start)
            read = await self._read(caller, queries, start, end)
            series = {stat: series_of(points, stat.statistic) for stat, points in read.items()}
            found = answers(queries, series, partial(starts_between, start, end))
        except InvalidExpression as error:
            raise InvalidMetric(str(error)) from error
        shown = [one for one in asked if one.get("ReturnData", True)]
        descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = [result for one in shown for result in _results(one, found[one["Id"]], descending=descending)]
        limit = request.get("MaxDatapoints", DATA_POINTS_MAX)
        if sum(len(result["Values"]) for result in results) > limit:
            raise InvalidMetric(f"The answer has more than {limit} datapoints: ask for less, or longer periods.")
        return {"MetricDataResults": results, "Messages": []}

    async def _read(
        self, caller: Caller, queries: Sequence[Query], start: float, end: float
    ) -> dict[Stat, Sequence[Point]]:
        """What the queries are about. Metrics of one period and unit are read together."""
        stats = stats_in(queries)
        groups: dict[tuple[int, str], set[Metric]] = {}
        for stat in stats:
            groups.setdefault((stat.period_s, stat.unit), set()).add(stat.metric)
        read = {
            (period_s, unit): await self._series.read(caller.scope, sorted(metrics), start, end, period_s, unit)
            for (period_s, unit), metrics in groups.items()
        }
        return {stat: read[stat.period_s, stat.unit][stat.metric] for stat in stats}

    async def list_metrics(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        wanted = [(one["Name"], one.get("Value")) for one in request.get("Dimensions", ())]
        # When a metric was seen is known to a day.
        since = self._clock.now() - RECENT_S - DAY_S if "RecentlyActive" in request else 0.0
        found = [
            metric
            for metric, at in self._series.metrics(caller.scope)
            if at >= since
            and request.get("Namespace", metric.namespace) == metric.namespace
            and request.get("MetricName", metric.name) == metric.name
            and all(_has(metric, name, number) for name, number in wanted)
        ]
        page, more = page_of(sorted(found, key=_named), _named, request.get("NextToken"), PAGE)
        return {"Metrics": [_described(metric) for metric in page], **more}


def _point(namespace: str, datum: Mapping[str, Any], where: str, now: float) -> Point:
    """One datum. Raises InvalidMetric, ConflictingMetric, worded as AWS does where that is known."""
    if len(datum.get("Dimensions", ())) > DIMENSIONS_MAX:
        raise InvalidMetric(f"The collection {where}.Dimensions must not have a size greater than {DIMENSIONS_MAX}.")
    at = datum.get("Timestamp", now)
    if not now - PAST_S <= at <= now + AHEAD_S:
        raise InvalidMetric(
            f"The parameter {where}.Timestamp must be at most two weeks in the past and two hours in the future."
        )
    metric = metric_of(namespace, datum["MetricName"], dimensions(datum))
    minute = int(at) - int(at) % MINUTE_S
    return Point(metric, minute, datum.get("Unit", NO_UNIT), _seen(datum, where))


def _seen(datum: Mapping[str, Any], where: str) -> Statistics:
    ways = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if not ways:
        raise AwsError("MissingParameter", f"One of {where}.Value, Values and StatisticValues is required.", 400)
    if len(ways) > 1:
        raise ConflictingMetric(
            f"The parameters {where}.{ways[0]} and {where}.{ways[1]} are mutually exclusive and you have specified "
            "both."
        )
    match ways[0]:
        case "Value":
            return of_values({_number(datum["Value"], f"{where}.Value"): 1.0})
        case "Values":
            return of_values(_counts(datum, where))
        case _:
            told = datum["StatisticValues"]
            numbers = [
                _number(told[name], f"{where}.{name}") for name in ("SampleCount", "Sum", "Minimum", "Maximum")
            ]
            if numbers[0] <= 0 or numbers[2] > numbers[3]:
                raise InvalidMetric(f"{where}.StatisticValues has no samples, or a Minimum above its Maximum.")
            return of_set(*numbers)


def _counts(datum: Mapping[str, Any], where: str) -> dict[float, float]:
    values, counts = datum["Values"], datum.get("Counts") or [1.0] * len(datum["Values"])
    if len(values) != len(counts):
        raise InvalidMetric(f"The parameters {where}.Values and {where}.Counts must be of the same size.")
    if not 1 <= len(values) <= VALUES_MAX:
        raise InvalidMetric(f"The collection {where}.Values must have a size of 1 to {VALUES_MAX}.")
    found: dict[float, float] = {}
    for number, count in zip(values, counts, strict=True):
        if _number(count, f"{where}.Counts") <= 0:
            raise InvalidMetric(f"The value {count} for parameter {where}.Counts is not above zero.")
        found[number] = found.get(_number(number, f"{where}.Values"), 0.0) + count
    return found


def _number(number: float, where: str) -> float:
    if not math.isfinite(number) or abs(number) > VALUE_MAX:
        raise InvalidMetric(f"The value {number} for parameter {where} is invalid.")
    return number


def _unit(request: Mapping[str, Any]) -> str:
    return str(request.get("Unit") or "")


def _check_expressions(queries: Sequence[Query], span_s: float) -> None:
    """An expression may have a value in every period of the span. Raises InvalidExpression, InvalidMetric."""
    periods = periods_of(queries)
    count = sum(span_s // periods[query.id] for query in queries if isinstance(query.asks, Expression))
    if count > DATA_POINTS_MAX:
        raise InvalidMetric(
            f"The expressions have up to {count:.0f} datapoints, more than {DATA_POINTS_MAX}: ask for less time, "
            "or longer periods."
        )


def _check_span(start: float, end: float) -> None:
    if start >= end:
        raise InvalidMetric("The parameter StartTime must be less than the parameter EndTime.")


def _check_period(period_s: int) -> None:
    if period_s <= 0 or (period_s % MINUTE_S and period_s not in (1, 5, 10, 20, 30)):
        raise InvalidMetric(f"The parameter Period is {period_s}; wanted a multiple of 60.")
    if period_s % MINUTE_S:
        raise InvalidMetric(f"The parameter Period is {period_s}: points are kept by the minute here.")


def _check_statistic(name: str) -> None:
    if not is_statistic(name):
        raise InvalidMetric(f"The statistic {name!r} is not built; there are {', '.join(SIMPLE)} and pNN.NN.")


def _datapoint(point: Point, wanted: Sequence[str], extended: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"Timestamp": point.at, "Unit": point.unit}
    told |= {name: number for name in wanted if (number := value(point.seen, name)) is not None}
    percentiles = {name: number for name in extended if (number := value(point.seen, name)) is not None}
    return {**told, "ExtendedStatistics": percentiles} if percentiles else told


def _distinct(asked: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(asked) > QUERIES_MAX:
        raise InvalidMetric(f"The collection MetricDataQueries must not have a size greater than {QUERIES_MAX}.")
    ids = [one["Id"] for one in asked]
    for name in ids:
        if not _ID.fullmatch(name):
            raise InvalidMetric(
                f"The Id {name!r} does not begin with a small letter and go on with letters, digits, _."
            )
        if ids.count(name) > 1:
            raise InvalidMetric(f"The Id {name!r} is given to two queries.")
    return asked


def _query(asked: Mapping[str, Any]) -> Query:
    if ("MetricStat" in asked) == ("Expression" in asked):
        raise ConflictingMetric(f"Query {asked['Id']!r} is to have either MetricStat or Expression.")
    if "Expression" in asked:
        return Query(asked["Id"], parse(asked["Expression"]), asked.get("Period", 0))
    told = asked["MetricStat"]
    _check_period(told["Period"])
    _check_statistic(told["Stat"])
    named = told["Metric"]
    metric = metric_of(named.get("Namespace", ""), named.get("MetricName", ""), dimensions(named))
    return Query(asked["Id"], Stat(metric, told["Period"], told["Stat"], _unit(told)), told["Period"])


def _results(asked: Mapping[str, Any], found: Value, *, descending: bool) -> Iterator[dict[str, Any]]:
    """An array of series is several results. Raises InvalidMetric for a number."""
    if not isinstance(found, list | Mapping):
        raise InvalidMetric(f"The expression {asked['Id']!r} gives a number; wanted a time series.")
    many = isinstance(found, list)
    for number, series in enumerate(found if isinstance(found, list) else [found], start=1):
        ordered = sorted(series.items(), reverse=descending)
        label = asked.get("Label") or _label(asked)
        yield {
            "Id": asked["Id"],
            "Label": f"{label} {number}" if many else label,
            "Timestamps": [at for at, _ in ordered],
            "Values": [one for _, one in ordered],
            "StatusCode": "Complete",
        }


def _label(asked: Mapping[str, Any]) -> str:
    return asked["Id"] if "Expression" in asked else asked["MetricStat"]["Metric"].get("MetricName", "")


def _has(metric: Metric, name: str, wanted: str | None) -> bool:
    found = dict(metric.dimensions)
    return name in found and wanted in (None, found[name])


def _named(metric: Metric) -> str:
    """Tells it from every other, and brings it into an order."""
    return msgspec.json.encode(metric).decode()


def _described(metric: Metric) -> dict[str, Any]:
    return {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": described(metric.dimensions),
    }
