"""One alarm, or a few hundred at once, in words for people: what Slack and a mail say. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from busway.alarm.notice import AlarmMessage
from busway.alarm.state import ALARM
from busway.alert.request import Alert, headline, next_commands

# Ours: a title is read at a glance, and a line of a list as well.
TITLE_LENGTH_MAX = 300
LINE_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One alarm: its state, and what there is to say of it."""

    state: str
    text: str


def title(alert: Alert) -> str:
    """`notify-customer: 3 dead letters in …`, or `12 alarms: 9 ALARM, 3 OK`."""
    if not alert.others:
        return cut(_line(alert.message, alert).text, TITLE_LENGTH_MAX)
    states = Counter(_now(message, alert) for message in _last(alert))
    count = sum(states.values())
    if len(states) == 1:
        return f"{count} alarms" if count > 1 else cut(headline(_last(alert)[0]), TITLE_LENGTH_MAX)
    return f"{count} alarms: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}"


def state(alert: Alert) -> str:
    """The worst there is now."""
    states = [_now(message, alert) for message in _last(alert)]
    return ALARM if ALARM in states else states[0]


def lines(alert: Alert) -> list[Line]:
    """An alarm a line, those that ring first."""
    ordered = sorted(_last(alert), key=lambda message: _now(message, alert) != ALARM)
    return [_line(message, alert) for message in ordered]


def _last(alert: Alert) -> list[AlarmMessage]:
    """Of an alarm that moved several times what it told last."""
    return list({message.AlarmArn: message for message in alert.messages}.values())


def _now(message: AlarmMessage, alert: Alert) -> str:
    return alert.since.get(message.AlarmArn, message.NewStateValue)


def failures(message: AlarmMessage) -> list[str]:
    """`3 × ConnectionRefusedError: no SMTP server (notify-customer)`, the most frequent first."""
    return [
        cut(
            f"{failure.count} × {': '.join(filter(None, (failure.error_code, failure.error_message)))} "
            f"({failure.handler.rsplit(':', 1)[-1]})",
            LINE_LENGTH_MAX,
        )
        for failure in message.Busway.failures
    ]


def commands(alert: Alert) -> tuple[str, ...]:
    """What to do next; of many, only what shows them all."""
    if not alert.others:
        return next_commands(alert.message)
    return tuple(dict.fromkeys(next_commands(message)[0] for message in alert.messages))


def where(message: AlarmMessage) -> str:
    return f"{message.AWSAccountId}/{message.Region}"


def cut(text: str, length_max: int) -> str:
    """On one line, and no longer than that."""
    line = " ".join(text.split())
    return line if len(line) <= length_max else f"{line[: length_max - 1]}…"


def _line(message: AlarmMessage, alert: Alert) -> Line:
    since = alert.since.get(message.AlarmArn)
    told = cut(headline(message), LINE_LENGTH_MAX)
    return Line(_now(message, alert), f"{told} ({since} since)" if since else told)
