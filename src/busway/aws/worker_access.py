"""What a worker's own credentials may call: what handlers do, and no administration. Pure. The table is ours.

On AWS a function's role says it; roles are kept here, not read. The function's tag `busway:allow` may add to it:
services or operations as IAM names them, separated by spaces (`events sqs:CreateQueue`).
"""

from __future__ import annotations

from collections.abc import Mapping

from busway.aws.errors import AwsError

ALLOW_TAG = "busway:allow"
# Of our own paths, the one that handlers need.
OWN_PATH = b"/_busway/once"

_SENDING_AND_RECEIVING = (
    "SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch",
    "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "GetQueueUrl", "GetQueueAttributes",
)  # fmt: skip
_READING_AND_WRITING = (
    "PutRecord", "PutRecords", "GetRecords", "GetShardIterator", "ListShards", "DescribeStream",
    "DescribeStreamSummary",
)  # fmt: skip
# By the prefix of the service's actions in IAM: the actions.
WORKER_MAY: Mapping[str, frozenset[str]] = {
    "events": frozenset({"PutEvents"}),
    "sqs": frozenset(_SENDING_AND_RECEIVING),
    "kinesis": frozenset(_READING_AND_WRITING),
    "lambda": frozenset({"InvokeFunction", "InvokeAsync", "InvokeFunctionUrl"}),
    "ses": frozenset({"SendEmail", "SendBulkEmail"}),
    "cloudwatch": frozenset({"PutMetricData"}),
    # As AWS's policy AWSLambdaBasicExecutionRole.
    "logs": frozenset({"CreateLogGroup", "CreateLogStream", "PutLogEvents"}),
    "sns": frozenset({"Publish"}),
    "sts": frozenset({"GetCallerIdentity"}),
}
# Where IAM's words differ from those of the API: https://docs.aws.amazon.com/service-authorization/latest/reference/
_PREFIXES = {"sesv2": "ses"}
_ACTIONS = {("lambda", "Invoke"): "InvokeFunction", ("sns", "PublishBatch"): "Publish"}


def action_of(service: str, operation: str) -> tuple[str, str]:
    """IAM's (prefix, action) for an operation of a service's model."""
    return _PREFIXES.get(service, service), _ACTIONS.get((service, operation), operation)


def allows(granted: str, prefix: str, action: str) -> bool:
    """Whether a worker may, by the table or by its function's tag. A service alone, or with `:*`, is all of it."""
    if action in WORKER_MAY.get(prefix, ()):
        return True
    return not {prefix, f"{prefix}:*", f"{prefix}:{action}"}.isdisjoint(granted.split())


def check(function_arn: str, granted: str, service: str, operation: str) -> None:
    """Raises AwsError AccessDeniedException, 403, in AWS's words, for what a worker of the function may not."""
    prefix, action = action_of(service, operation)
    if allows(granted, prefix, action):
        return
    raise denied(function_arn, f"{prefix}:{action}", f" Its tag {ALLOW_TAG} may name it.")


def check_own_path(function_arn: str, path: bytes) -> None:
    """Raises as `check`."""
    if path != OWN_PATH and not path.startswith(OWN_PATH + b"/"):
        raise denied(function_arn, path.decode("latin-1"))


def denied(function_arn: str, action: str, hint: str = "") -> AwsError:
    parts = function_arn.split(":")
    account, name = (parts[4], parts[6]) if len(parts) > 6 else ("", function_arn)
    return AwsError(
        "AccessDeniedException",
        f"User: arn:aws:sts::{account}:assumed-role/busway-worker/{name} is not authorized to perform: {action} "
        f"because no identity-based policy allows the {action} action.{hint}",
        403,
    )
