"""Datadog's Events API v1: one event a state change, those of an alarm under one `aggregation_key`. Pure.

https://docs.datadoghq.com/api/latest/events/post-an-event/

The numbers beside it are `datadog_series`: they have a way of their own, as they can fail by themselves.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from busway.alarm.notice import AlarmMessage
from busway.alarm.state import OK
from busway.alert.request import (
    Alert,
    AlertRequest,
    Unready,
    handler_name,
    happened_at,
    headline,
    next_commands,
    no_secret,
    secret_of,
)
from busway.alert.routes import Route
from busway.alert.summary import cut, failures

TEXT_LENGTH_MAX = 4_000
AGGREGATION_KEY_LENGTH_MAX = 100
# v1 has no limit of its own; this is v2's: https://docs.datadoghq.com/api/latest/events/post-an-event/
TITLE_LENGTH_MAX = 500
# https://docs.datadoghq.com/getting_started/tagging/#define-tags
TAG_LENGTH_MAX = 200
ALERT_TYPES = {"critical": "error", "error": "error", "warning": "warning", "info": "info"}
# Seconds until it takes more: https://docs.datadoghq.com/api/latest/rate-limits/
WAIT_HEADER = "x-ratelimit-reset"

Keyed = AlertRequest | Unready


def render(route: Route, secret: str, alert: Alert) -> Keyed:
    """`secret` is the API key, "" when there is none."""
    return keyed(route, secret, route.url, msgspec.json.encode(event(route, alert.message)))


def keyed(route: Route, secret: str, url: str, body: bytes, retried: frozenset[int] = frozenset()) -> Keyed:
    """A request with the API key `secret`, which must show nowhere."""
    if not secret:
        return no_secret(route, "Datadog's API key")
    if not secret.isascii() or not secret.isalnum():
        # It goes into a header.
        return Unready(f"{secret_of(route)} is no Datadog API key: it has other characters than letters and digits")
    headers = {"content-type": "application/json", "dd-api-key": secret}
    return AlertRequest(url, headers, body, (secret,), wait_header=WAIT_HEADER, retried=retried)


def event(route: Route, message: AlarmMessage) -> dict[str, object]:
    """The body, in Datadog's names."""
    return {
        "title": cut(f"{message.NewStateValue}: {headline(message)}", TITLE_LENGTH_MAX),
        "text": _text(message),
        "alert_type": "success" if message.NewStateValue == OK else ALERT_TYPES[route.severity],
        "aggregation_key": aggregation_key(message),
        "date_happened": int(datetime.fromisoformat(happened_at(message)).timestamp()),
        "priority": "normal",
        "tags": _tags(message),
    }


def aggregation_key(message: AlarmMessage) -> str:
    """The alarm's ARN, or its digest where that would be too long."""
    arn = message.AlarmArn
    return arn if len(arn) <= AGGREGATION_KEY_LENGTH_MAX else hashlib.sha256(arn.encode()).hexdigest()


def _text(message: AlarmMessage) -> str:
    told = [
        message.AlarmDescription or "",
        message.NewStateReason,
        *failures(message),
        "" if message.NewStateValue == OK else f"Next: {'; '.join(next_commands(message))}",
    ]
    return "\n".join(filter(None, told))[:TEXT_LENGTH_MAX]


def _tags(message: AlarmMessage) -> list[str]:
    """By which Datadog finds and routes it."""
    tags = {
        "source": "busway",
        "service": handler_name(message),
        "alarm": message.AlarmName,
        "state": message.NewStateValue.lower(),
        "account": message.AWSAccountId,
        "region": message.Region,
    }
    if message.Busway.queue_arn:
        tags["queue"] = message.Busway.queue_arn.rsplit(":", 1)[-1]
    return [f"{name}:{value}"[:TAG_LENGTH_MAX] for name, value in tags.items()]
