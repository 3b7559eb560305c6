"""Queue policies as AddPermission and RemovePermission edit them. Pure; stored, never enforced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from busway.errors import InvalidQueueRequest


def with_permission(policy: str, queue_arn: str, label: str, accounts: Sequence[str], actions: Sequence[str]) -> str:
    """The policy with one more statement, named `label`. Raises `InvalidQueueRequest` if that name is there."""
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
        statements = document.get("Statement", [])
        return {**document, "Statement": statements if isinstance(statements, list) else [statements]}
    return {"Version": "2008-10-17", "Id": f"{queue_arn}/SQSDefaultPolicy", "Statement": []}


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
