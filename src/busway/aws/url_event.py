"""A request at a function URL as the function's event, and its result as the answer. Payload format 2.0. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from busway.aws.doors import Visit
from busway.aws.protocols import Reply

# As API Gateway's HTTP APIs, whose payload format this is, tell text from bytes.
_TEXT = re.compile(r"text/.*|application/(json|javascript|xml)|application/.*\+(json|xml)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Said by this server about the connection and the body, whatever the function says.
_OURS = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding", "upgrade"})

JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the URL is: its id, the host's name, and the path below it. `caller` is who signed, None for nobody."""

    url_id: str
    domain: str
    path: str
    caller: tuple[str, str] | None = None


def event_of(visit: Visit, place: Place, now: float) -> bytes:
    """The event as JSON. `now` is Unix seconds."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in visit.headers.items()}
    query = visit.query.decode("latin-1")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": place.path,
        "rawQueryString": query,
    }
    if "cookie" in headers:
        event["cookies"] = [cookie.strip() for cookie in headers["cookie"].split(";") if cookie.strip()]
    event["headers"] = {**headers, "x-forwarded-for": visit.client, "x-forwarded-proto": visit.scheme}
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    event["requestContext"] = _context(visit, place, headers, now)
    text = _text_of(visit.body, headers)
    if visit.body:
        event["body"] = base64.b64encode(visit.body).decode() if text is None else text
    return msgspec.json.encode({**event, "isBase64Encoded": bool(visit.body) and text is None})


def _context(visit: Visit, place: Place, headers: Mapping[str, str], now: float) -> dict[str, Any]:
    context: dict[str, Any] = {"accountId": "anonymous", "apiId": place.url_id}
    if place.caller is not None:
        key, account = place.caller
        context["accountId"] = account
        iam = {
            "accessKey": key, "accountId": account, "callerId": key, "cognitoIdentity": None, "principalOrgId": None,
            "userArn": f"arn:aws:iam::{account}:root", "userId": key,
        }  # fmt: skip
        context["authorizer"] = {"iam": iam}
    http = {
        "method": visit.method, "path": place.path, "protocol": "HTTP/1.1", "sourceIp": visit.client,
        "userAgent": headers.get("user-agent", ""),
    }  # fmt: skip
    return {
        **context,
        "domainName": place.domain,
        "domainPrefix": place.url_id,
        "http": http,
        "requestId": visit.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now * 1000),
    }


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Values of one name with commas between them."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _text_of(body: bytes, headers: Mapping[str, str]) -> str | None:
    """The body as text; None where it goes in base64."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if "content-encoding" in headers or (kind and not _TEXT.fullmatch(kind)):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


class _Response(msgspec.Struct):
    """What a function may return to say more than a body."""

    statusCode: int | str
    headers: dict[str, str | int | float | bool] = {}
    cookies: list[str] = []
    body: Any = ""
    isBase64Encoded: bool = False


def answer_of(result: bytes) -> Reply | None:
    """The HTTP answer that a function's result asks for; None for one that makes no sense.

    A result without `statusCode` is the body itself, as JSON.
    """
    try:
        given: Any = msgspec.json.decode(result)
    except msgspec.DecodeError:
        return None
    if not isinstance(given, dict) or "statusCode" not in given:
        return Reply(200, result, JSON)
    try:
        response = msgspec.convert(given, _Response)
        status = int(response.statusCode)
        body = _body_of(response)
    except (msgspec.ValidationError, ValueError, binascii.Error):
        return None
    if not 200 <= status <= 599:
        return None
    kind, headers = JSON, list[tuple[bytes, bytes]]()
    for name, value in response.headers.items():
        if not _NAME.fullmatch(name):
            return None
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        line = _CONTROL.sub(" ", text).encode("utf-8")
        if name.lower() == "content-type":
            kind = line
        else:
            # As on AWS, what the connection needs is kept apart.
            named = f"x-amzn-remapped-{name}" if name.lower() in _OURS else name
            headers.append((named.lower().encode(), line))
    headers += [(b"set-cookie", _CONTROL.sub(" ", cookie).encode()) for cookie in response.cookies]
    return Reply(status, body, kind, headers)


def _body_of(response: _Response) -> bytes:
    if response.body is None:
        return b""
    text = response.body if isinstance(response.body, str) else msgspec.json.encode(response.body).decode()
    return base64.b64decode(text, validate=True) if response.isBase64Encoded else text.encode()
