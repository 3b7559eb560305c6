"""A mail in plain text; all mails of an alarm are one thread. Pure.

A thread is what refers to the same Message-ID (RFC 5322, 3.6.4) under one subject: the subject names the alarm and
stays the same, so that mails sort by it too, and the state is the first word of the text. Ours: the first Message-ID
of a thread is never sent; it is made from the alarm's ARN, so nothing needs to be remembered.
"""

from __future__ import annotations

import hashlib

from busway.alarm.notice import AlarmMessage
from busway.alert.request import Alert, AlertMail, Unready, happened_at
from busway.alert.routes import Route
from busway.alert.summary import commands, cut, failures, lines, title, where
from busway.mail.compose import MESSAGE_ID_DOMAIN, Letter, Recipients

SUBJECT_LENGTH_MAX = 200


def render(route: Route, secret: str, alert: Alert) -> AlertMail | Unready:
    """There is no secret: the server's own settings say how mail goes."""
    thread = f"<{_id(_thread(route, alert))}@{MESSAGE_ID_DOMAIN}>"
    letter = Letter(
        route.sender,
        Recipients(to=route.to),
        _subject(route, alert),
        text=_one(alert) if not alert.others else _many(alert),
        # https://www.rfc-editor.org/rfc/rfc3834#section-5
        headers=(("In-Reply-To", thread), ("References", thread), ("Auto-Submitted", "auto-generated")),
    )
    return AlertMail(letter, _id(alert.id))


def _thread(route: Route, alert: Alert) -> str:
    """What mails of the same thread have in common: the alarm, or that they tell of many."""
    return route.arn if alert.others else alert.message.AlarmArn


def _subject(route: Route, alert: Alert) -> str:
    subject = f"several alarms ({route.name})" if alert.others else alert.message.AlarmName
    return cut(f"[Busway] {subject}", SUBJECT_LENGTH_MAX)


def _one(alert: Alert) -> str:
    message = alert.message
    told = [f"{message.NewStateValue}: {title(alert)}", ""]
    if message.AlarmDescription:
        told += [message.AlarmDescription, ""]
    told += [message.NewStateReason, ""]
    if failures(message):
        told += ["What failed:", *(f"  {line}" for line in failures(message)), ""]
    return _text(told, alert, message)


def _many(alert: Alert) -> str:
    told = [title(alert), "", *(f"{line.state:6} {line.text}" for line in lines(alert)), ""]
    return _text(told, alert, alert.message)


def _text(told: list[str], alert: Alert, message: AlarmMessage) -> str:
    next_ones = ["Next:", *(f"  {command}" for command in commands(alert)), ""]
    return "\n".join([*told, *next_ones, f"{where(message)}, {happened_at(message)}", ""])


def _id(of: str) -> str:
    """The left half of a Message-ID."""
    return f"alert-{hashlib.sha256(of.encode()).hexdigest()[:32]}"
