"""Log groups at CloudWatch Logs' door: how a request names them, lists by pages, and how they are told. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from busway.arn import Scope, parse_arn
from busway.errors import InvalidLogRequest, LogGroupNotFound
from busway.logs.page import LogEvent
from busway.logs.record import Seen, group_arn, milliseconds
from busway.logs.registry import GroupView

T = TypeVar("T")
_GROUP = "log-group:"


def group_named(request: Mapping[str, Any], scope: Scope) -> str:
    """The group that a request is about. Raises `InvalidLogRequest`, `LogGroupNotFound`."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise InvalidLogRequest("Exactly one of logGroupName and logGroupIdentifier is required.")
    return name if name is not None else group_identified(str(identifier), scope)


def group_identified(identifier: str, scope: Scope) -> str:
    """The name of a group in a name or an ARN. One of another account or Region is not there for the caller."""
    if not identifier.startswith("arn:"):
        return identifier
    arn = parse_arn(identifier)
    if arn is None or arn.service != "logs" or not arn.resource.startswith(_GROUP):
        raise InvalidLogRequest(f"{identifier} is not the ARN of a log group.")
    name = arn.resource.removeprefix(_GROUP).removesuffix(":*")
    if arn.scope != scope:
        raise LogGroupNotFound(name)
    return name


def group_tagged(arn: str, scope: Scope) -> str:
    """The name of the group that a `resourceArn` is about, which is no name alone. Raises as `group_identified`."""
    if not arn.startswith("arn:"):
        raise InvalidLogRequest(f"{arn} is not the ARN of a log group.")
    return group_identified(arn, scope)


def page_of(
    items: Sequence[T], key: Callable[[T], str], token: str | None, limit: int
) -> tuple[Sequence[T], dict[str, str]]:
    """At most `limit` items from the one that `token` names on, and the member that leads to the next page."""
    start = 0
    if token is not None:
        wanted = _read(token)
        # One that is gone meanwhile: what stood after it is not known, so the list begins anew at the end.
        start = next((place for place, item in enumerate(items) if key(item) == wanted), len(items))
    page, rest = items[start : start + limit], items[start + limit :]
    return page, {"nextToken": base64.urlsafe_b64encode(key(rest[0]).encode()).decode()} if rest else {}


def _read(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidLogRequest("The specified nextToken is invalid.") from error


def described_group(view: GroupView) -> dict[str, Any]:
    record = view.record
    return {
        "logGroupName": record.name,
        "creationTime": milliseconds(record.created_at),
        "retentionInDays": record.retention_days,
        "metricFilterCount": 0,
        # As on AWS: this one ends with a star, the other does not.
        "arn": f"{record.arn}:*",
        "logGroupArn": record.arn,
        "storedBytes": view.size,
        "logGroupClass": record.kind,
        "deletionProtectionEnabled": False,
    }


def described_stream(scope: Scope, group: str, name: str, created_at: float, seen: Seen) -> dict[str, Any]:
    return {
        "logStreamName": name,
        "creationTime": milliseconds(created_at),
        "firstEventTimestamp": seen.first_ms,
        "lastEventTimestamp": seen.last_ms,
        "lastIngestionTime": seen.ingested_ms,
        "arn": f"{group_arn(scope, group)}:log-stream:{name}",
        # As on AWS since 2019.
        "storedBytes": 0,
    }


def described_event(event: LogEvent) -> dict[str, Any]:
    return {"timestamp": event.at_ms, "message": event.message, "ingestionTime": event.ingested_ms}


def found_event(event: LogEvent) -> dict[str, Any]:
    """As FilterLogEvents tells it."""
    return {**described_event(event), "logStreamName": event.stream, "eventId": event.id}
