"""What an alert becomes: one HTTP request, or why there can be none. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from busway.alarm.notice import AlarmMessage
from busway.alert.routes import Route


@dataclass(frozen=True, slots=True)
class Alert:
    """One state change for one route. `id` is the same however often it is sent; `at` is now, in Unix seconds."""

    id: str
    message: AlarmMessage
    at: float


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """A POST. `secret` must not show in any message or log."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Unready:
    """The route cannot send yet, for example because its secret is not set; this says what to do."""

    reason: str


Render = Callable[[Route, str, Alert], AlertRequest | Unready]


def happened_at(message: AlarmMessage) -> str:
    """When the state changed, in RFC 3339: the same however often the alert is sent."""
    text = message.StateChangeTime
    return f"{text[:-2]}:{text[-2:]}"


def handler_name(message: AlarmMessage) -> str:
    """The name of the handler that failed most, or of the queue when nothing is known."""
    failures = message.Busway.failures
    arn = failures[0].handler if failures else message.Busway.queue_arn or message.AlarmArn
    return arn.rsplit(":", 1)[-1]


def headline(message: AlarmMessage) -> str:
    """One line for a person: `notify-customer: 3 dead letters in notify-customer-dlq: ConnectionRefusedError: …`"""
    digest = message.Busway
    if not digest.queue_arn:
        return f"{message.AlarmName}: {message.NewStateReason}"
    queue = digest.queue_arn.rsplit(":", 1)[-1]
    letters = f"{digest.depth} dead letter{'' if digest.depth == 1 else 's'} in {queue}"
    if not digest.failures:
        return f"{message.AlarmName}: {letters}"
    return f"{handler_name(message)}: {letters}: {digest.failures[0].error_message or digest.failures[0].error_code}"


def details(message: AlarmMessage) -> dict[str, object]:
    """What a person on call wants to see first, by names that read well in a table."""
    digest = message.Busway
    told: dict[str, object] = {
        "alarm": message.AlarmName,
        "description": message.AlarmDescription or "",
        "state": f"{message.OldStateValue} -> {message.NewStateValue}",
        "reason": message.NewStateReason,
    }
    if not digest.queue_arn:
        return {**told, "trigger": message.Trigger}
    return {
        **told,
        "queue": digest.queue_arn,
        "dead_letters": digest.depth,
        "failures": [
            {
                "handler": failure.handler,
                "count": failure.count,
                "error": ": ".join(filter(None, (failure.error_code, failure.error_message))),
                "event_id": failure.event_id,
            }
            for failure in digest.failures
        ],
        "next": f"busway dlq; busway redrive {handler_name(message)}",
    }
