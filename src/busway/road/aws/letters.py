"""Dead letters of a handler or a rule, the alarms, and who is told. Pure."""

from __future__ import annotations

from typing import Any

from busway.road.alarms import error_rate_judged, letters_judged
from busway.road.aws.names import Ids, Names
from busway.road.aws.roles import queue_policy
from busway.road.manifest import DEAD_LETTER_RETENTION_S

Resources = dict[str, dict[str, Any]]
# Somebody may need them when the handler is gone; a handler of the same name takes them over again, as the change
# set imports what is there.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


def dead_letters(names: Names, ids: Ids, entry: str, rule: Any) -> Resources:
    """One queue for both: what the bus cannot hand over, and what the function gives up. `rule`: its ARN."""
    queue = f"{ids.entries[entry]}DeadLetters"
    settings = {"QueueName": names.dead_letters(entry), "MessageRetentionPeriod": DEAD_LETTER_RETENTION_S}
    return {
        queue: {"Type": "AWS::SQS::Queue", **KEPT, "Properties": settings},
        f"{queue}Policy": queue_policy(queue, [rule]),
    }


def letters_alarm(names: Names, ids: Ids, entry: str, alert: str | None) -> Resources:
    """Rings when the entry has a dead letter."""
    logical = ids.entries[entry]
    queue = names.dead_letters(entry)
    judged = {
        "AlarmName": queue,
        "AlarmDescription": f"Dead letters of {names.of(entry)} wait in the queue {queue}",
        **letters_judged({"Fn::GetAtt": [f"{logical}DeadLetters", "QueueName"]}),
        # SQS tells nothing of a queue that nobody touched for six hours, also if something is in it: then the
        # alarm stays what it was, instead of telling that all is well.
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-monitoring-using-cloudwatch.html
        "TreatMissingData": "ignore",
    }
    return {f"{logical}Alarm": _alarm(ids, alert, judged)}


def error_rate_alarm(names: Names, ids: Ids, handler: str, alert: str | None) -> Resources:
    """Rings when many invocations of a handler fail."""
    logical = ids.entries[handler]
    judged = {
        "AlarmName": names.error_rate(handler),
        "AlarmDescription": f"Many invocations of {names.of(handler)} fail: its log group says why",
        **error_rate_judged({"Ref": f"{logical}Function"}),
    }
    return {f"{logical}ErrorRate": _alarm(ids, alert, judged)}


def _alarm(ids: Ids, alert: str | None, judged: dict[str, Any]) -> dict[str, Any]:
    actions = [{"Ref": ids.topic(alert)}] if alert else []
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {**judged, "AlarmActions": actions, "OKActions": actions},
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
