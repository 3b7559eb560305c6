"""The alarms that every handler and rule has unless the project wants none: what they judge. Pure.

Dead letters: one is too many. Error rate of a handler: retries hide it until they run out, so it is seen before.
"""

from __future__ import annotations

from typing import Any

from busway.arn import Scope
from busway.road.calls import Call
from busway.road.function_plan import MISSING
from busway.road.manifest import alarm_name, dead_letter_queue, route_arn

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
ALARM_PERIOD_S = 60
# Ours: more than one in ten of at least ten invocations in five minutes, so that one event that is tried three times
# raises no alarm of its own beside that on its dead letter.
ERROR_RATE_PERIOD_S = 300
ERROR_RATE_PERCENT = 10
ERROR_RATE_OF_AT_LEAST = 10


def error_rate_name(function: str) -> str:
    return f"{function}-error-rate"


def alarm_calls(wanted: bool, alert: str | None, name: str, deployed: str, scope: Scope, *, rule: bool) -> list[Call]:
    """Of a handler or, fewer, of a rule, which is called `deployed` on the server. Their end if none are wanted."""
    if not wanted:
        return end_alarm_calls(deployed)
    actions = [route_arn(scope, alert)] if alert else []
    told = {"AlarmActions": actions, "OKActions": actions}
    see = f"busway dlq {'' if rule else name}".strip()
    letters = {
        "AlarmName": alarm_name(deployed),
        "AlarmDescription": f"Dead letters of {deployed}: see them with `{see}`",
        **letters_judged(dead_letter_queue(deployed)),
        "TreatMissingData": "notBreaching",
        **told,
    }
    rate = {
        "AlarmName": error_rate_name(deployed),
        "AlarmDescription": f"Many invocations of {deployed} fail: see why with `busway logs {name}`",
        **error_rate_judged(deployed),
        **told,
    }
    return [Call("cloudwatch", "PutMetricAlarm", alarm) for alarm in ([letters] if rule else [letters, rate])]


def end_alarm_calls(deployed: str) -> list[Call]:
    return [
        Call("cloudwatch", "DeleteAlarms", {"AlarmNames": [name]}, exists=MISSING)
        for name in (alarm_name(deployed), error_rate_name(deployed))
    ]


def letters_judged(queue: Any) -> dict[str, Any]:
    """`queue`: its name, or what is one in a template."""
    return {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": queue}],
        "Statistic": "Maximum",
        "Period": ALARM_PERIOD_S,
        "EvaluationPeriods": 1,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }


def error_rate_judged(function: Any) -> dict[str, Any]:
    """`function`: its name, or what is one in a template."""
    rate = f"IF(calls >= {ERROR_RATE_OF_AT_LEAST}, 100 * errors / calls, 0)"
    return {
        "Metrics": [
            {"Id": "rate", "Expression": rate, "Label": "Errors in per cent", "ReturnData": True},
            _of_function("calls", "Invocations", function),
            _of_function("errors", "Errors", function),
        ],
        "EvaluationPeriods": 1,
        "Threshold": float(ERROR_RATE_PERCENT),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def _of_function(id: str, metric: str, function: Any) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": function}]
    named = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}
    return {
        "Id": id,
        "MetricStat": {"Metric": named, "Period": ERROR_RATE_PERIOD_S, "Stat": "Sum"},
        "ReturnData": False,
    }
