"""Queue policies: their form, and how AddPermission and RemovePermission edit them. Pure; stored, never enforced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from busway.errors import InvalidQueueAttribute, InvalidQueueRequest, QueueLimitExceeded

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
ACTIONS = frozenset(
    {
        "*", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl",
        "ListDeadLetterSourceQueues", "PurgeQueue", "ReceiveMessage", "SendMessage",
    }
)  # fmt: skip
ACTIONS_MAX = 7
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
STATEMENTS_MAX = 20
VERSIONS = ("2008-10-17", "2012-10-17")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT = re.compile(r"[0-9]{12}")


def check_policy(text: str) -> None:
    """Raises `InvalidQueueAttribute` for what is not of a policy's form; who and what it names is not looked up."""
    try:
        document = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidQueueAttribute("Policy") from None
    statements = _statements(document)
    if document.get("Version", VERSIONS[0]) not in VERSIONS or not 0 < len(statements) <= STATEMENTS_MAX:
        raise InvalidQueueAttribute("Policy")
    for statement in statements:
        if not isinstance(statement, dict) or not _is_statement(cast(dict[str, Any], statement)):
            raise InvalidQueueAttribute("Policy")


def _is_statement(statement: dict[str, Any]) -> bool:
    """A queue policy names who may do what; the queue itself is meant where no resource is named."""
    has = [
        any(name in statement for name in names) for names in (("Principal", "NotPrincipal"), ("Action", "NotAction"))
    ]
    return statement.get("Effect") in ("Allow", "Deny") and all(has)


def _statements(document: dict[str, Any]) -> list[Any]:
    statements = document.get("Statement", [])
    return cast(list[Any], statements) if isinstance(statements, list) else [statements]


def check_permission(label: str, accounts: Sequence[str], actions: Sequence[str]) -> None:
    """Raises `InvalidQueueRequest` in AWS's words, `QueueLimitExceeded` for too many actions."""
    if not _LABEL.fullmatch(label):
        raise InvalidQueueRequest(
            f"Value {label} for parameter Label is invalid. Reason: Can only include alphanumeric characters, "
            "hyphens, or underscores. 1 to 80 in length."
        )
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise InvalidQueueRequest(
                f"Value {account} for parameter PrincipalId is invalid. Reason: Unable to verify."
            )
    if len(actions) > ACTIONS_MAX:
        raise QueueLimitExceeded(f"{len(actions)} Actions were found, maximum allowed is {ACTIONS_MAX}.")
    for action in actions:
        if action not in ACTIONS:
            raise InvalidQueueRequest(
                f"Value SQS:{action} for parameter ActionName is invalid. Reason: Please refer to the appropriate "
                "WSDL for a list of valid actions."
            )


def with_permission(policy: str, queue_arn: str, label: str, accounts: Sequence[str], actions: Sequence[str]) -> str:
    """The policy with one more statement, named `label`.

    Raises `InvalidQueueRequest` if that name is there or something is not valid, `QueueLimitExceeded`.
    """
    check_permission(label, accounts, actions)
    document = _document(policy, queue_arn)
    if any(statement.get("Sid") == label for statement in document["Statement"]):
        raise InvalidQueueRequest(f"Value {label} for parameter Label is invalid. Reason: Already exists.")
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    document["Statement"].append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": _one_or_all(principals)},
            "Action": _one_or_all([f"SQS:{action}" for action in actions]),
            "Resource": queue_arn,
        }
    )
    return msgspec.json.encode(document).decode()


def without_permission(policy: str, queue_arn: str, label: str) -> str:
    """The policy without the statement `label`, "" when none is left. Raises `InvalidQueueRequest` if not there."""
    document = _document(policy, queue_arn)
    kept = [statement for statement in document["Statement"] if statement.get("Sid") != label]
    if len(kept) == len(document["Statement"]):
        raise InvalidQueueRequest(f"Value {label} for parameter Label is invalid. Reason: can't find label.")
    return msgspec.json.encode({**document, "Statement": kept}).decode() if kept else ""


def _document(policy: str, queue_arn: str) -> dict[str, Any]:
    if policy:
        document = msgspec.json.decode(policy, type=dict[str, Any])
        return {**document, "Statement": _statements(document)}
    return {"Version": "2008-10-17", "Id": f"{queue_arn}/SQSDefaultPolicy", "Statement": []}


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
