"""What an alert becomes: an HTTP request, a mail, or why there can be none. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from busway.alarm.notice import AlarmMessage
from busway.alert.routes import Route
from busway.arn import DEAD_LETTERS
from busway.mail.compose import Letter


@dataclass(frozen=True, slots=True)
class Alert:
    """State changes for one route. `id` is the same however often it is sent; `at` is now, in Unix seconds.

    Only routes that people read get `others` beside the first. `since` holds the states of alarms, by ARN, that had
    moved on when the message was made.
    """

    id: str
    message: AlarmMessage
    at: float
    others: tuple[AlarmMessage, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def messages(self) -> tuple[AlarmMessage, ...]:
        return (self.message, *self.others)


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """A POST. What is `hidden` must not show in any message or log; `shown_as` stands for a URL that is.

    `wait_header` is where the receiver says for how many seconds it wants to be left alone. `retried` are statuses
    that are final for others, and here what a person can put right while it is tried again.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    hidden: tuple[str, ...] = ()
    shown_as: str = ""
    wait_header: str = "retry-after"
    retried: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class AlertMail:
    """A mail. `message_id` is the same however often it is sent."""

    letter: Letter
    message_id: str


@dataclass(frozen=True, slots=True)
class Unready:
    """The route cannot send yet, for example because its secret is not set; this says what to do."""

    reason: str


Rendered = AlertRequest | AlertMail | Unready
Render = Callable[[Route, str, Alert], Rendered]


def no_secret(route: Route, what: str) -> Unready:
    """`what` the route's secret is, in words."""
    seal = f"busway alert set {route.name} --kind {route.kind} --secret"
    if route.sealed:
        return Unready(f"no secret is sealed for the route {route.name} ({what}): {seal}")
    return Unready(f"{route.secret_env} is not set in the server's environment; it holds {what}. Or seal it: {seal}")


def secret_of(route: Route) -> str:
    """What a message calls the route's secret; never the secret."""
    return " or ".join([*filter(None, [route.secret_env]), *(["the sealed secret"] if route.sealed else [])])


def happened_at(message: AlarmMessage) -> str:
    """When the state changed, in RFC 3339: the same however often the alert is sent."""
    text = message.StateChangeTime
    return f"{text[:-2]}:{text[-2:]}"


def handler_name(message: AlarmMessage) -> str:
    """The name of the handler that failed most; when nothing failed, as at an end, of the one that has the queue."""
    failures = message.Busway.failures
    arn = failures[0].handler if failures else message.Busway.queue_arn or message.AlarmArn
    return arn.rsplit(":", 1)[-1].removesuffix(DEAD_LETTERS)


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


def next_commands(message: AlarmMessage) -> tuple[str, ...]:
    """What a person does first."""
    if not message.Busway.queue_arn:
        return ("busway status",)
    return ("busway dlq", f"busway redrive {handler_name(message)}")


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
        "next": "; ".join(next_commands(message)),
    }
