"""PagerDuty's Events API v2: trigger on ALARM, resolve on OK, one `dedup_key` for both. Pure.

https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

import hashlib

import msgspec

from busway.alarm.notice import AlarmMessage
from busway.alarm.state import OK
from busway.alert.request import (
    Alert,
    AlertRequest,
    Unready,
    details,
    handler_name,
    happened_at,
    headline,
    no_secret,
    secret_of,
)
from busway.alert.routes import Route

ROUTING_KEY_LENGTH = 32
SUMMARY_LENGTH_MAX = 1024
DEDUP_KEY_LENGTH_MAX = 255


def render(route: Route, secret: str, alert: Alert) -> AlertRequest | Unready:
    """`secret` is the routing key, "" when there is none."""
    if not secret:
        return no_secret(route, "PagerDuty's routing key")
    if len(secret) != ROUTING_KEY_LENGTH:
        # Not sent: a variable of another length holds some other secret.
        return Unready(
            f"{secret_of(route)} has {len(secret)} characters; a PagerDuty routing key has {ROUTING_KEY_LENGTH}"
        )
    body = event(route, secret, alert)
    return AlertRequest(route.url, {"content-type": "application/json"}, msgspec.json.encode(body), (secret,))


def event(route: Route, routing_key: str, alert: Alert) -> dict[str, object]:
    """The body, in PagerDuty's names."""
    message = alert.message
    named = {"routing_key": routing_key, "dedup_key": dedup_key(message)}
    if message.NewStateValue == OK:
        return {**named, "event_action": "resolve"}
    failures = message.Busway.failures
    return {
        **named,
        "event_action": "trigger",
        "client": "Busway",
        "payload": {
            "summary": headline(message)[:SUMMARY_LENGTH_MAX],
            "source": message.Busway.queue_arn or message.AlarmArn,
            "severity": route.severity,
            "timestamp": happened_at(message),
            "component": handler_name(message),
            "group": f"{message.AWSAccountId}/{message.Region}",
            "class": (failures[0].error_code if failures else "") or message.AlarmName,
            "custom_details": details(message),
        },
    }


def dedup_key(message: AlarmMessage) -> str:
    """The alarm's ARN, or its digest where that would be too long."""
    arn = message.AlarmArn
    return arn if len(arn) <= DEDUP_KEY_LENGTH_MAX else hashlib.sha256(arn.encode()).hexdigest()
