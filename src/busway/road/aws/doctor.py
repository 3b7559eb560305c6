"""The facts about a deployed project that `findings` judges, asked of AWS; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from busway.errors import AwsRefused
from busway.road.aws.access import NOT_THERE, Aws
from busway.road.aws.findings import AlarmFacts, Facts, FunctionFacts, QueueFacts, TargetFacts
from busway.road.aws.letter_queues import LetterQueue, letter_queues
from busway.road.aws.names import Names

# What AWS takes where nothing is set.
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
TARGET_AGE_S = 86_400
# https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
FUNCTION_AGE_S = 21_600
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
RETENTION_S = 345_600


def gather(aws: Aws, names: Names, buses: Sequence[str], handlers: Sequence[str]) -> Facts:
    """Of the rules on `buses`, the queues and alarms that begin as the project's do, and what they lead to.

    `handlers` and rules that the project has are looked for by name, whether or not they are there. Raises
    AwsUnusable, AwsRefused.
    """
    prefix = f"{names.project}-{names.environment}-"
    targets = tuple(target for bus in buses for target in _targets(aws, bus, prefix))
    functions = {names.of(name) for name in handlers}
    functions |= {target.arn.split(":")[6] for target in targets if target.arn.split(":")[2] == "lambda"}
    found = (_function(aws, name) for name in sorted(functions))
    queues = {queue.name: queue for queue in letter_queues(aws, names)}
    # A target may name another queue than the stack made.
    for target in targets:
        name = (target.dead_letter_arn or "").rsplit(":", 1)[-1]
        if name and name not in queues and (url := aws.queue_url(name)):
            queues[name] = LetterQueue(name, url, "", "")
    return Facts(
        handlers=tuple(names.of(name) for name in handlers),
        targets=targets,
        queues=tuple(_queue(aws, queue) for queue in queues.values()),
        functions=tuple(one for one in found if one is not None),
        alarms=tuple(_alarms(aws, prefix)),
    )


def _targets(aws: Aws, bus: str, prefix: str) -> Iterator[TargetFacts]:
    for rule in aws.paged("events", "ListRules", "Rules", EventBusName=bus, NamePrefix=prefix):
        for target in aws.paged("events", "ListTargetsByRule", "Targets", EventBusName=bus, Rule=rule["Name"]):
            yield TargetFacts(
                rule=rule["Name"],
                rule_arn=rule["Arn"],
                id=target["Id"],
                arn=target["Arn"],
                dead_letter_arn=target.get("DeadLetterConfig", {}).get("Arn"),
                max_age_s=target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds", TARGET_AGE_S),
                role_arn=target.get("RoleArn"),
            )


def _function(aws: Aws, name: str) -> FunctionFacts | None:
    found = _asked(aws, "GetFunctionConfiguration", name)
    if found is None:
        return None
    policy = _asked(aws, "GetPolicy", name) or {}
    invoke = _asked(aws, "GetFunctionEventInvokeConfig", name) or {}
    on_failure = invoke.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    kept = (found.get("DeadLetterConfig", {}).get("TargetArn"), on_failure)
    return FunctionFacts(
        name=name,
        arn=found["FunctionArn"],
        policy=_document(policy.get("Policy")),
        failures_to=tuple(arn for arn in kept if arn),
        max_age_s=invoke.get("MaximumEventAgeInSeconds", FUNCTION_AGE_S),
    )


def _asked(aws: Aws, operation: str, name: str) -> dict[str, Any] | None:
    """None for what is not there."""
    try:
        return aws.call("lambda", operation, FunctionName=name)
    except AwsRefused as refusal:
        if refusal.code not in NOT_THERE:
            raise
        return None


def _queue(aws: Aws, queue: LetterQueue) -> QueueFacts:
    wanted = ["QueueArn", "Policy", "MessageRetentionPeriod"]
    found = aws.call("sqs", "GetQueueAttributes", QueueUrl=queue.url, AttributeNames=wanted)["Attributes"]
    return QueueFacts(
        name=queue.name,
        arn=found["QueueArn"],
        retention_s=int(found.get("MessageRetentionPeriod", RETENTION_S)),
        policy=_document(found.get("Policy")),
    )


def _alarms(aws: Aws, prefix: str) -> Iterator[AlarmFacts]:
    for alarm in aws.paged("cloudwatch", "DescribeAlarms", "MetricAlarms", AlarmNamePrefix=prefix):
        dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])}
        of_queue = alarm.get("Namespace") == "AWS/SQS"
        yield AlarmFacts(
            name=alarm["AlarmName"],
            queue=dimensions.get("QueueName", "") if of_queue else "",
            actions=len(alarm.get("AlarmActions", [])),
            enabled=bool(alarm.get("ActionsEnabled", True)),
        )


def _document(text: str | None) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else {}
