"""What a delivery to a route carries: one alarm's message as it is, or several that were gathered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from busway.alarm.notice import AlarmMessage
from busway.alert.request import Alert
from busway.delivery import Delivery

# Ours: what is kept of one alarm among many, so that 500 fit into one message, and that into a dead letter of 1 MiB.
CHARS_MAX = 200


class Gathered(msgspec.Struct, frozen=True, omit_defaults=True):
    """`since`: the states, by ARN, of alarms that had moved on when they were gathered."""

    alarms: tuple[AlarmMessage, ...]
    since: dict[str, str] = {}


def gathered(payloads: Sequence[bytes], state_of: Callable[[str], str | None]) -> bytes:
    """The payload that tells all of them. `state_of` gives an alarm's state as it is now, None when it is gone."""
    messages = [msgspec.json.decode(payload, type=AlarmMessage) for payload in payloads]
    states = {message.AlarmArn: (message.NewStateValue, state_of(message.AlarmArn)) for message in messages}
    since = {arn: now for arn, (told, now) in states.items() if now is not None and now != told}
    if len(messages) > 1:
        messages = [_short(message) for message in messages]
    return msgspec.json.encode(Gathered(tuple(messages), since))


def alert_of(delivery: Delivery, now: float) -> Alert:
    """The alert that a delivery carries."""
    if "alarms" not in msgspec.json.decode(delivery.payload, type=dict[str, msgspec.Raw]):
        return Alert(delivery.event_id, msgspec.json.decode(delivery.payload, type=AlarmMessage), now)
    found = msgspec.json.decode(delivery.payload, type=Gathered)
    first, *others = found.alarms
    return Alert(delivery.event_id, first, now, tuple(others), found.since)


def _short(message: AlarmMessage) -> AlarmMessage:
    """What a line of a list shows: with its most frequent failure, cut, and without its settings."""
    failures = tuple(
        replace(failure, error_code=failure.error_code[:CHARS_MAX], error_message=failure.error_message[:CHARS_MAX])
        for failure in message.Busway.failures[:1]
    )
    return replace(
        message,
        AlarmDescription=None,
        NewStateReason=message.NewStateReason[:CHARS_MAX],
        OKActions=(),
        AlarmActions=(),
        InsufficientDataActions=(),
        Trigger={},
        Busway=replace(message.Busway, failures=failures),
    )
