"""What alarms look at, as series by Datadog's metrics intake v2: names, tags, points, bodies under its limit. Pure.

https://docs.datadoghq.com/api/latest/metrics/submit-metrics/
https://docs.datadoghq.com/metrics/custom_metrics/

Ours is which names: `busway.NAMESPACE.METRIC`, where Datadog's own AWS integration has `aws.` before the same words
(`busway.lambda.errors`), and its tags (`functionname`). A name depends on the metric and the statistic alone, so that
what two alarms look at is one series. A statistic that is not the metric's natural one is one more word: a name is
always a count or always a gauge.
https://docs.datadoghq.com/serverless/aws_lambda/metrics/
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from busway.alarm.record import AlarmRecord, stats_of
from busway.alarm.state import ALARM, INSUFFICIENT_DATA, OK
from busway.alert.datadog import TAG_LENGTH_MAX, Keyed, keyed
from busway.alert.routes import Route, series_url
from busway.arn import Scope
from busway.metrics.feed import MILLISECONDS, unit_of
from busway.metrics.points import MINUTE_S, Metric, Point
from busway.metrics.queries import series_of

# Datadog's are 512,000 bytes, and 200 characters.
BODY_BYTES_MAX = 500_000
NAME_LENGTH_MAX = 200
# How a metric is to be read: https://docs.datadoghq.com/metrics/types/
COUNT, GAUGE = 1, 3
STATE_METRIC = "busway.alarm.state"
STATES: Mapping[str, int] = {OK: 0, ALARM: 1, INSUFFICIENT_DATA: 2}
# 401, 403, 404: a key or an address that a person can put right while the points are still young enough.
RETRIED = frozenset({401, 403, 404})

_OWN_NAMESPACES = re.compile(r"^(?:AWS|Busway)/")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")
# Of others a digest is kept: two names that differ only in them stay two.
_PLAIN = re.compile(r"[A-Za-z0-9 _./:#-]*")
# https://docs.datadoghq.com/getting_started/tagging/#define-tags: it writes others as an underscore.
_NO_TAG = re.compile(r"[^\w:./-]|_+")
_HEAD, _TAIL = b'{"series":[', b"]}"


@dataclass(frozen=True, slots=True, order=True)
class Looked:
    """What an alarm looks at: a metric's statistic, of what came with `unit` ("" for all)."""

    metric: Metric
    statistic: str
    unit: str = ""


@dataclass(slots=True)
class Wanted:
    """What a route is sent of one account and Region."""

    looked: set[Looked] = field(default_factory=set[Looked])
    alarms: list[AlarmRecord] = field(default_factory=list[AlarmRecord])

    @property
    def metrics(self) -> set[Metric]:
        return {one.metric for one in self.looked}


def wanted_of(alarms: Iterable[AlarmRecord], route_arn: str) -> dict[Scope, Wanted]:
    """Of the alarms that have the route among their actions, whether these are switched on or not."""
    found: dict[Scope, Wanted] = {}
    for alarm in alarms:
        settings = alarm.settings
        if route_arn in settings.alarm_actions + settings.ok_actions + settings.insufficient_data_actions:
            wanted = found.setdefault(alarm.scope, Wanted())
            wanted.alarms.append(alarm)
            wanted.looked |= {Looked(stat.metric, stat.statistic, stat.unit) for stat in stats_of(settings)}
    return found


def series_count(wanted: Mapping[Scope, Wanted]) -> int:
    return sum(len(each.looked) + len(each.alarms) for each in wanted.values())


def encoded_series(
    scope: Scope, wanted: Wanted, points: Mapping[Metric, Sequence[Point]], start: int, end: int
) -> list[bytes]:
    """One JSON object a series, in order, with its minutes from `start` up to `end`; none where nothing was seen.

    Of two series that Datadog could not tell apart the first is sent: it would keep one point of both.
    """
    found: dict[tuple[str, tuple[str, ...]], bytes] = {}
    for one in sorted(wanted.looked):
        of_unit = [point for point in points.get(one.metric, ()) if one.unit in ("", point.unit)]
        values = {at: value for at, value in series_of(of_unit, one.statistic).items() if math.isfinite(value)}
        place = (name_of(one.metric, one.statistic), _tags(scope, one))
        if values and place not in found:
            found[place] = _encoded(*place, type_of(one.statistic), values)
    minutes = range(start, end, MINUTE_S)
    for alarm in wanted.alarms:
        states = {at: STATES[state_before(alarm, at + MINUTE_S)] for at in minutes}
        place = (STATE_METRIC, state_tags(scope, alarm.settings.name))
        if states and place not in found:
            found[place] = _encoded(*place, GAUGE, states)
    return list(found.values())


def bodies(series: Sequence[bytes], bytes_max: int = BODY_BYTES_MAX) -> list[bytes]:
    """All series in order, in as few bodies as follow from that; each is below the limit if each series is."""
    groups: list[list[bytes]] = []
    room = 0
    for one in series:
        if len(one) + 1 > room:
            groups.append([])
            # The first has no comma before it.
            room = bytes_max - len(_HEAD) - len(_TAIL) + 1
        groups[-1].append(one)
        room -= len(one) + 1
    return [_HEAD + b",".join(group) + _TAIL for group in groups]


def tried_body(scope: Scope, route_name: str, now: float) -> bytes:
    """One point, the state of an alarm that is none: a route is tried with it."""
    tags = state_tags(scope, f"busway-alert-test-{route_name}")
    return bodies([_encoded(STATE_METRIC, tags, GAUGE, {int(now): STATES[OK]})])[0]


def render(route: Route, secret: str, body: bytes) -> Keyed:
    """`secret` is the API key, "" when there is none."""
    return keyed(route, secret, series_url(route), body, RETRIED)


def complaints(answer: str) -> str:
    """What Datadog found wrong in points that it took all the same, from `202 {"errors": […]}`; "" for nothing."""
    try:
        return "; ".join(msgspec.json.decode(answer.partition(" ")[2], type=_Answer).errors)
    except msgspec.MsgspecError:
        return ""


class _Answer(msgspec.Struct):
    errors: list[str] = []


# --- names ---


@lru_cache(maxsize=20_000)
def name_of(metric: Metric, statistic: str) -> str:
    """A letter first, then small letters, digits, `_` and `.`, at most 200."""
    words = ["busway", _word(_OWN_NAMESPACES.sub("", metric.namespace)), _word(metric.name)]
    if statistic != natural(metric):
        words.append(_word(statistic))
    name = ".".join(words)
    return _cut(name, NAME_LENGTH_MAX)


def natural(metric: Metric) -> str:
    """The statistic that the metric's bare name stands for: of a depth the highest, of a time the average."""
    if metric.namespace == "AWS/SQS" and metric.name.startswith("Approximate"):
        return "Maximum"
    return "Average" if unit_of(metric.name) == MILLISECONDS else "Sum"


def type_of(statistic: str) -> int:
    return COUNT if statistic in ("Sum", "SampleCount") else GAUGE


def state_tags(scope: Scope, alarm_name: str) -> tuple[str, ...]:
    return _sorted([tag("alarm", alarm_name), *_of_scope(scope)])


def tag(key: str, value: str) -> str:
    """As Datadog keeps it: small letters, what it does not take is one `_`, at most 200 characters."""
    text = _NO_TAG.sub("_", f"{key}:{value}".lower())
    text = re.sub("_+", "_", text).rstrip("_:")
    if not text[:1].isalpha():
        text = f"dimension_{text}"
    return _cut(text, TAG_LENGTH_MAX)


def _tags(scope: Scope, one: Looked) -> tuple[str, ...]:
    unit = [tag("unit", one.unit)] if one.unit else []
    return _sorted([*(tag(*dimension) for dimension in one.metric.dimensions), *unit, *_of_scope(scope)])


def _of_scope(scope: Scope) -> list[str]:
    return [tag("account", scope.account), tag("region", scope.region), "source:busway"]


def _sorted(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))


def _word(text: str) -> str:
    """`ApproximateNumberOfMessages` is `approximate_number_of_messages`; without full stops, which part the words."""
    word = _NO_WORD.sub("_", _WORDS.sub("_", text).lower()).strip("_")
    if _PLAIN.fullmatch(text) and word:
        return word
    return "_".join(filter(None, (word, _digest(text))))


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else f"{text[: length_max - 9].rstrip('_')}_{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


# --- points ---


def state_before(alarm: AlarmRecord, end: float) -> str:
    """The alarm's state in the last moment before `end`, as far back as its history goes."""
    if not alarm.history:
        return alarm.state
    before = [change.state for change in alarm.history if change.at < end]
    return before[-1] if before else alarm.history[0].before


def _encoded(name: str, tags: Sequence[str], kind: int, values: Mapping[int, float]) -> bytes:
    points = [{"timestamp": at, "value": value} for at, value in sorted(values.items())]
    return msgspec.json.encode(
        {"metric": name, "type": kind, "interval": MINUTE_S, "points": points, "tags": list(tags)}
    )
