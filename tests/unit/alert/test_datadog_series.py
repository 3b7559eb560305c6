"""What Datadog is sent as series: names, tags, points, and bodies that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from tests.alert_providers import DATADOG_KEY, datadog_series_faults, series_kept

from busway.alarm.record import AlarmQuery, AlarmRecord, AlarmSettings
from busway.alarm.state import ALARM, INSUFFICIENT_DATA, OK, Decision
from busway.alert import datadog_series
from busway.alert.datadog_series import (
    BODY_BYTES_MAX,
    COUNT,
    GAUGE,
    STATE_METRIC,
    Looked,
    Wanted,
    bodies,
    complaints,
    encoded_series,
    name_of,
    state_before,
    tag,
    tried_body,
    type_of,
    wanted_of,
)
from busway.alert.request import AlertRequest, Unready
from busway.alert.routes import RouteSettings, made_route, route_arn
from busway.arn import Scope
from busway.metrics.points import Metric, Point, metric_of
from busway.metrics.statistics import of_values

SCOPE = Scope("123456789012", "eu-central-1")
ROUTE = route_arn(SCOPE, "datadog")
MINUTE_S = 60
NOW = 1_700_000_040
ERRORS = metric_of("AWS/Lambda", "Errors", {"FunctionName": "mail"})
# Whatever CloudWatch takes: up to 255 characters, and dimensions of 1,024.
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=255)
VALUES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=1_024)
STATISTICS = st.sampled_from(["Sum", "SampleCount", "Average", "Minimum", "Maximum", "p99", "p99.9"])
METRICS = st.builds(metric_of, WORDS, WORDS, st.dictionaries(WORDS, VALUES, max_size=5))


def alarm(name: str = "errors", **settings: Any) -> AlarmRecord:
    given: dict[str, Any] = {
        "namespace": "AWS/Lambda", "metric_name": "Errors", "dimensions": {"FunctionName": "mail"},
        "statistic": "Sum", "alarm_actions": (ROUTE,), **settings,
    }  # fmt: skip
    made = AlarmSettings(name=name, comparison="GreaterThanThreshold", threshold=0, **given)
    return AlarmRecord(arn=SCOPE.arn("cloudwatch", f"alarm:{name}"), settings=made, generation="g", updated_at=0)


def point(at: int, *values: float, metric: Metric = ERRORS, unit: str = "Count") -> Point:
    return Point(metric, at, unit, of_values(dict.fromkeys(values, 1.0)))


def rendered(alarms: Sequence[AlarmRecord], points: Sequence[Point], minutes: int = 1) -> list[Any]:
    """The series of those alarms, decoded; `minutes` before NOW."""
    wanted = wanted_of(alarms, ROUTE).get(SCOPE, Wanted())
    of_metric = {metric: [one for one in points if one.metric == metric] for metric in wanted.metrics}
    found = encoded_series(SCOPE, wanted, of_metric, NOW - minutes * MINUTE_S, NOW)
    return [msgspec.json.decode(one) for one in found]


# --- names ---


@pytest.mark.parametrize(
    ("namespace", "metric", "statistic", "name", "kind"),
    [
        ("AWS/Lambda", "Errors", "Sum", "busway.lambda.errors", COUNT),
        ("AWS/Lambda", "Errors", "SampleCount", "busway.lambda.errors.sample_count", COUNT),
        ("AWS/Lambda", "Duration", "Average", "busway.lambda.duration", GAUGE),
        ("AWS/Lambda", "Duration", "p99.9", "busway.lambda.duration.p99_9", GAUGE),
        ("AWS/Lambda", "Duration", "Sum", "busway.lambda.duration.sum", COUNT),
        (
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            "Maximum",
            "busway.sqs.approximate_number_of_messages_visible",
            GAUGE,
        ),
        ("AWS/SQS", "NumberOfMessagesSent", "Sum", "busway.sqs.number_of_messages_sent", COUNT),
        ("Busway/Alarms", "StateChanges", "Sum", "busway.alarms.state_changes", COUNT),
        ("Shop", "SQSDepth", "Maximum", "busway.shop.sqs_depth.maximum", GAUGE),
        ("Shop/Oslo", "Orders.Open", "Sum", "busway.shop_oslo.orders_open", COUNT),
    ],
)
def test_a_name_is_cloudwatchs_in_datadogs_characters(
    namespace: str, metric: str, statistic: str, name: str, kind: int
):
    assert name_of(metric_of(namespace, metric, {}), statistic) == name
    assert type_of(statistic) == kind


@given(METRICS, STATISTICS)
def test_every_metric_has_a_name_and_tags_that_datadog_takes(metric: Metric, statistic: str):
    wanted = Wanted({Looked(metric, statistic, "Count")})
    found = encoded_series(SCOPE, wanted, {metric: [point(NOW - 60, 1.0, 2.0, metric=metric)]}, NOW - 60, NOW)
    assert len(found) == 1
    assert datadog_series_faults(msgspec.json.decode(bodies(found)[0]), NOW) == []


@given(METRICS, STATISTICS, STATISTICS)
def test_a_name_is_always_a_count_or_always_a_gauge(metric: Metric, one: str, other: str):
    assert (name_of(metric, one) == name_of(metric, other)) == (one == other)


def test_names_that_differ_only_in_what_datadog_does_not_take_stay_two():
    assert len({name_of(metric_of("Shop", name, {}), "Sum") for name in ("注文", "返品", "Größe", "Große", "…")}) == 5


def test_names_that_are_too_long_stay_two():
    names = {name_of(metric_of("Shop", "x" * 250 + end, {}), "Sum") for end in ("a", "b")}
    assert len(names) == 2
    assert {len(name) for name in names} == {200}


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("FunctionName", "Notify-Customer", "functionname:notify-customer"),
        ("QueueName", "a b__c!", "queuename:a_b_c"),
        ("7", "x", "dimension_7:x"),
        ("Shop", "Ærø", "shop:ærø"),
        ("Url", "https://x/y", "url:https://x/y"),
    ],
)
def test_a_dimension_is_a_tag_as_datadog_keeps_it(key: str, value: str, wanted: str):
    assert tag(key, value) == wanted


# --- points ---


def test_an_alarm_is_its_metric_and_its_state():
    assert rendered([alarm()], [point(NOW - 60, 2.0, 3.0)]) == [
        {
            "metric": "busway.lambda.errors", "type": COUNT, "interval": 60,
            "points": [{"timestamp": NOW - 60, "value": 5.0}],
            "tags": ["account:123456789012", "functionname:mail", "region:eu-central-1", "source:busway"],
        },
        {
            "metric": STATE_METRIC, "type": GAUGE, "interval": 60,
            "points": [{"timestamp": NOW - 60, "value": 2}],
            "tags": ["account:123456789012", "alarm:errors", "region:eu-central-1", "source:busway"],
        },
    ]  # fmt: skip


def test_what_two_alarms_look_at_is_sent_once():
    found = rendered([alarm("a"), alarm("b")], [point(NOW - 60, 1.0)])
    assert [one["metric"] for one in found] == ["busway.lambda.errors", STATE_METRIC, STATE_METRIC]


def test_an_alarm_with_an_expression_is_each_of_its_metrics():
    of_mail = {"namespace": "AWS/Lambda", "dimensions": {"FunctionName": "mail"}, "statistic": "Sum", "period_s": 300}
    queries = (
        AlarmQuery(id="rate", expression="errors / calls"),
        AlarmQuery(id="errors", metric_name="Errors", returns=False, **of_mail),
        AlarmQuery(id="calls", metric_name="Invocations", returns=False, **of_mail),
    )
    calls = metric_of("AWS/Lambda", "Invocations", {"FunctionName": "mail"})
    found = rendered([alarm(queries=queries)], [point(NOW - 60, 1.0), point(NOW - 60, 4.0, metric=calls)])
    assert [one["metric"] for one in found] == ["busway.lambda.errors", "busway.lambda.invocations", STATE_METRIC]


def test_only_alarms_that_have_the_route_are_sent_with_it_wherever_it_stands():
    other = route_arn(SCOPE, "other")
    alarms = [
        alarm("a"),
        alarm("b", alarm_actions=(other,)),
        alarm("c", alarm_actions=(), ok_actions=(other, ROUTE)),
        alarm("d", alarm_actions=(), insufficient_data_actions=(ROUTE,), actions_enabled=False),
    ]
    assert [one.settings.name for one in wanted_of(alarms, ROUTE)[SCOPE].alarms] == ["a", "c", "d"]


def test_a_minute_without_samples_has_no_point_but_the_state():
    found = rendered([alarm()], [point(NOW - 180, 1.0), point(NOW - 60, 2.0)], minutes=3)
    assert [[one["timestamp"] for one in series["points"]] for series in found] == [
        [NOW - 180, NOW - 60],
        [NOW - 180, NOW - 120, NOW - 60],
    ]
    assert [one["metric"] for one in rendered([alarm()], [])] == [STATE_METRIC]


def test_an_alarm_that_asks_for_a_unit_is_sent_what_came_with_it():
    points = [point(NOW - 60, 1.0), point(NOW - 60, 8.0, unit="Bytes")]
    by_unit, of_all = rendered([alarm("a", unit="Bytes"), alarm("b")], points)[1::-1]
    assert (by_unit["points"][0]["value"], of_all["points"][0]["value"]) == (8.0, 9.0)
    assert "unit:bytes" in by_unit["tags"]


def test_of_two_metrics_that_datadog_could_not_tell_apart_one_is_sent():
    upper = metric_of("AWS/Lambda", "Errors", {"FunctionName": "MAIL"})
    alarms = [alarm("a"), alarm("b", dimensions={"FunctionName": "MAIL"})]
    found = rendered(alarms, [point(NOW - 60, 1.0), point(NOW - 60, 7.0, metric=upper)])
    assert [one["points"][0]["value"] for one in found if one["metric"] != STATE_METRIC] == [7.0]


def test_the_state_of_a_past_minute_is_what_it_was_then():
    moved = alarm()
    for at, state in ((90.0, ALARM), (150.0, OK)):
        moved = moved.moved(Decision(state, "a test"), at)
    assert [state_before(moved, end) for end in (60, 120, 180, 240)] == [INSUFFICIENT_DATA, ALARM, OK, OK]


# --- bodies ---


@given(st.lists(st.integers(1, 400), max_size=60), st.integers(420, 2_000))
def test_bodies_are_below_the_limit_and_together_all_series_in_order(sizes: list[int], bytes_max: int):
    series = [msgspec.json.encode(f"{number:04d}".ljust(size, "x")) for number, size in enumerate(sizes)]
    made = bodies(series, bytes_max)
    assert all(len(body) <= bytes_max for body in made)
    decoded = [one for body in made for one in msgspec.json.decode(body)["series"]]
    assert decoded == [msgspec.json.decode(one) for one in series]
    # No two that follow each other would have fitted into one.
    assert all(len(one) + len(other) - 12 > bytes_max for one, other in pairwise(made))


def test_thousands_of_alarms_for_an_hour_are_bodies_that_datadog_takes():
    alarms = [alarm(f"alarm-{number}", dimensions={"FunctionName": f"f-{number}"}) for number in range(1_000)]
    metrics = [metric_of("AWS/Lambda", "Errors", {"FunctionName": f"f-{number}"}) for number in range(1_000)]
    wanted = wanted_of(alarms, ROUTE)[SCOPE]
    minutes = range(NOW - 50 * MINUTE_S, NOW, MINUTE_S)
    points = {metric: [point(at, 1.0, metric=metric) for at in minutes] for metric in metrics}
    made = bodies(encoded_series(SCOPE, wanted, points, minutes.start, NOW))
    assert max(len(body) for body in made) <= BODY_BYTES_MAX
    decoded = [msgspec.json.decode(body) for body in made]
    assert all(datadog_series_faults(body, NOW) == [] for body in decoded)
    assert sum(len(points) for points in series_kept(decoded).values()) == 2 * 1_000 * 50


# --- requests ---


def test_series_go_to_the_site_of_the_route_with_its_key():
    settings = RouteSettings(kind="datadog", url="https://api.us5.datadoghq.com", series=True)
    route = made_route(SCOPE, "dd", settings, 0.0)
    body = tried_body(SCOPE, "dd", NOW + 0.5)
    request = datadog_series.render(route, DATADOG_KEY, body)
    assert isinstance(request, AlertRequest)
    assert request.url == "https://api.us5.datadoghq.com/api/v2/series"
    assert request.headers["dd-api-key"] == DATADOG_KEY
    assert request.hidden == (DATADOG_KEY,)
    assert datadog_series_faults(msgspec.json.decode(request.body), NOW) == []
    assert isinstance(datadog_series.render(route, "", body), Unready)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('202 {"errors":[]}', ""),
        ('202 {"errors":["a","b"]}', "a; b"),
        ("202", ""),
        ("202 {}", ""),
        ("202 <html>", ""),
    ],
)
def test_what_datadog_finds_in_points_that_it_took_is_read(answer: str, said: str):
    assert complaints(answer) == said
