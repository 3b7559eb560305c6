"""Dead letters of a handler or a rule, the alarm on them, and who is told. Pure."""

from __future__ import annotations

from typing import Any

from busway.road.aws.names import Ids, Names
from busway.road.aws.roles import queue_policy
from busway.road.manifest import DEAD_LETTER_RETENTION_S
from busway.road.plan import ALARM_PERIOD_S

Resources = dict[str, dict[str, Any]]
# Somebody may need them when the handler is gone; a handler of the same name takes them over again, as the change
# set imports what is there.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


def dead_letters(names: Names, ids: Ids, entry: str, rule: Any, alert: str | None) -> Resources:
    """One queue for both: what the bus cannot hand over, and what the function gives up. `rule`: its ARN."""
    logical = ids.entries[entry]
    queue = f"{logical}DeadLetters"
    settings = {"QueueName": names.dead_letters(entry), "MessageRetentionPeriod": DEAD_LETTER_RETENTION_S}
    return {
        queue: {"Type": "AWS::SQS::Queue", **KEPT, "Properties": settings},
        f"{queue}Policy": queue_policy(queue, [rule]),
        f"{logical}Alarm": _alarm(names, entry, queue, ids.topic(alert) if alert else ""),
    }


def _alarm(names: Names, entry: str, queue: str, topic: str) -> dict[str, Any]:
    actions = [{"Ref": topic}] if topic else []
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": names.dead_letters(entry),
            "AlarmDescription": f"Dead letters of {names.of(entry)} wait in the queue {names.dead_letters(entry)}",
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}],
            "Statistic": "Maximum",
            "Period": ALARM_PERIOD_S,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            # SQS tells nothing of a queue that nobody touched for six hours, also if something is in it: then the
            # alarm stays what it was, instead of telling that all is well.
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-monitoring-using-cloudwatch.html
            "TreatMissingData": "ignore",
            "AlarmActions": actions,
            "OKActions": actions,
        },
    }


def topics(names: Names, ids: Ids) -> Resources:
    """A topic for each route, subscribed by HTTPS where the stack was told an address.

    PagerDuty's CloudWatch integration and Datadog's SNS integration both take SNS's own messages and confirm the
    subscription by themselves; an alarm that ends resolves PagerDuty's incident.
    https://support.pagerduty.com/main/docs/amazon-cloudwatch-integration-guide
    https://docs.datadoghq.com/integrations/amazon_sns/
    """
    found: Resources = {}
    for route in ids.routes:
        topic, address = ids.topic(route), ids.address(route)
        found[topic] = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": names.topic(route)}}
        found[f"Alert{ids.routes[route]}Subscription"] = {
            "Type": "AWS::SNS::Subscription",
            "Condition": known(address),
            "Properties": {"TopicArn": {"Ref": topic}, "Protocol": "https", "Endpoint": {"Ref": address}},
        }
    return found


def known(address: str) -> str:
    """The condition that a parameter with an address is given."""
    return f"Has{address}"
