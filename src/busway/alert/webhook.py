"""A webhook: a CloudEvent 1.0 as JSON, signed as Standard Webhooks say when the route has a secret. Pure.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

from busway.alarm.state import ALARM, OK
from busway.alert.request import Alert, AlertRequest, Unready, happened_at, headline, no_secret, secret_of
from busway.alert.routes import Route

TYPES = {ALARM: "dev.busway.alarm.firing", OK: "dev.busway.alarm.resolved"}
TYPE_OTHERWISE = "dev.busway.alarm.unknown"
SECRET_PREFIX = "whsec_"


def render(route: Route, secret: str, alert: Alert) -> AlertRequest | Unready:
    """`secret` signs; a route that has one is not sent unsigned when it is not there."""
    if (route.secret_env or route.sealed) and not secret:
        return no_secret(route, "the signing secret")
    try:
        key = signing_key(secret)
    except ValueError:
        return Unready(f"{secret_of(route)} begins with {SECRET_PREFIX} and is not base64 after it")
    body = msgspec.json.encode(cloud_event(alert))
    headers = {"content-type": "application/cloudevents+json"}
    if key:
        headers |= signature(key, message_id(alert), int(alert.at), body)
    return AlertRequest(route.url, headers, body, (secret,) if secret else ())


def cloud_event(alert: Alert) -> dict[str, object]:
    message = alert.message
    return {
        "specversion": "1.0",
        "id": message_id(alert),
        "source": message.AlarmArn,
        "type": TYPES.get(message.NewStateValue, TYPE_OTHERWISE),
        "subject": message.AlarmName,
        "time": happened_at(alert.message),
        "datacontenttype": "application/json",
        "data": {"summary": headline(message), **msgspec.to_builtins(message)},
    }


def message_id(alert: Alert) -> str:
    """The same for each try, so that a receiver can tell a repeated one; no full stop, which the signature needs."""
    return f"msg_{hashlib.sha256(alert.id.encode()).hexdigest()[:32]}"


def signing_key(secret: str) -> bytes:
    """The bytes of `whsec_<base64>`, or of any other text as it stands. Raises ValueError."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def signature(key: bytes, id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    signed = hmac.new(key, f"{id}.{timestamp_s}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
