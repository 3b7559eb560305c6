"""A message by Slack's incoming webhook, in Block Kit: what failed, how often, what to do next. Pure.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/reference/block-kit/blocks

The webhook's URL is the secret: whoever has it can write to the channel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from busway.alarm.state import ALARM, OK
from busway.alert.request import Alert, AlertRequest, Unready, happened_at, no_secret, secret_of
from busway.alert.routes import LOOPBACK, Route
from busway.alert.summary import commands, cut, failures, lines, state, title, where

# https://docs.slack.dev/reference/block-kit/blocks/section-block
SECTION_LENGTH_MAX = 3_000
# Ours: a message is read on a phone; `busway dlq` shows all.
ALARMS_LISTED_MAX = 20
FAILURES_LISTED_MAX = 5
SIGNS = {ALARM: ":red_circle:", OK: ":large_green_circle:"}
SIGN_OTHERWISE = ":white_circle:"


def render(route: Route, secret: str, alert: Alert) -> AlertRequest | Unready:
    """`secret` is the webhook's URL, "" when there is none."""
    if not secret:
        return no_secret(route, "the URL of Slack's incoming webhook")
    if not is_webhook(secret):
        return Unready(f"{secret_of(route)} is no https URL of a Slack webhook (https://hooks.slack.com/services/…)")
    body = msgspec.json.encode({"text": f"{state(alert)} {title(alert)}", "blocks": blocks(alert)})
    path = urlsplit(secret).path
    return AlertRequest(
        secret,
        {"content-type": "application/json"},
        body,
        # An answer or an error may repeat a part of it.
        tuple(part for part in (secret, path, path.rsplit("/", 1)[-1]) if len(part) > 1),
        shown_as=f"the Slack webhook of the route {route.name}",
    )


def is_webhook(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    return secure and bool(parts.hostname) and url.isascii() and url.isprintable() and " " not in url


def blocks(alert: Alert) -> list[dict[str, object]]:
    """The message; its first block's id tells a repeated one from another."""
    message = alert.message
    first = f"{_sign(state(alert))} *{state(alert)}* {escaped(title(alert))}"
    block_id = hashlib.sha256(alert.id.encode()).hexdigest()[:32]
    found = [{**_section(first), "block_id": block_id}]
    if alert.others:
        found.append(_section(_listed(f"{_sign(line.state)} {line.text}" for line in lines(alert))))
    elif message.AlarmDescription and not failures(message):
        found.append(_section(escaped(cut(message.AlarmDescription, SECTION_LENGTH_MAX))))
    elif failures(message):
        found.append(_section("\n".join(f"• {escaped(one)}" for one in failures(message)[:FAILURES_LISTED_MAX])))
    if state(alert) == ALARM:
        found.append(_section("Next: " + "  ".join(f"`{escaped(command)}`" for command in commands(alert))))
    about = escaped(f"{where(message)}, {happened_at(message)}, {cut(message.AlarmName, 255)}")
    found.append({"type": "context", "elements": [{"type": "mrkdwn", "text": about}]})
    return found


def escaped(text: str) -> str:
    """Text as text: https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _listed(texts: Iterable[str]) -> str:
    """As many lines as are read and as a section holds, and how many more there are."""
    all_lines = list(texts)
    shown: list[str] = []
    for line in all_lines[:ALARMS_LISTED_MAX]:
        if len("\n".join([*shown, escaped(line)])) > SECTION_LENGTH_MAX - 100:
            break
        shown.append(escaped(line))
    more = len(all_lines) - len(shown)
    return "\n".join([*shown, *([f"… and {more} more"] if more else [])])


def _section(text: str) -> dict[str, object]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:SECTION_LENGTH_MAX]}}


def _sign(of: str) -> str:
    return SIGNS.get(of, SIGN_OTHERWISE)
