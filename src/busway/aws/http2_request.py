"""The head of a request on an HTTP/2 stream as ASGI has it, and the answer to one that is too long."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from busway.aws.http2_exchange import Headers
from busway.aws.http_limits import HEAD_BYTES_MAX, HEADERS_MAX


def pairs_of(headers: Any) -> Headers:
    return [(bytes(name), bytes(value)) for name, value in headers or ()]


def scope_of(headers: Headers, client: Any, server: Any) -> dict[str, Any] | None:
    """ASGI's scope of a request; None for what is no request to a path. `h2` has checked the pseudo-headers.

    `client` and `server` are addresses, (host, port).
    """
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    raw_path, _, query = pseudo.get(b":path", b"").partition(b"?")
    plain = [(name, value) for name, value in headers if not name.startswith(b":")]
    if b":authority" in pseudo:
        # What stands in both is the same, says `h2`.
        plain = [(b"host", pseudo[b":authority"]), *(pair for pair in plain if pair[0] != b"host")]
    if not raw_path.startswith(b"/") or not raw_path.isascii() or not pseudo[b":method"].isascii():
        return None
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "server": server,
        "client": client,
        "scheme": "http",
        "method": pseudo[b":method"].decode(),
        "root_path": "",
        "path": unquote(raw_path.decode()),
        "raw_path": raw_path,
        "query_string": query,
        "headers": plain,
    }


async def too_many_headers(scope: Any, receive: Any, send: Any) -> None:
    text = b"Wanted at most %d headers of %d bytes in all." % (HEADERS_MAX, HEAD_BYTES_MAX)
    body = b'{"__type":"RequestHeaderSectionTooLarge","message":"%b"}' % text
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amzn-errortype", b"RequestHeaderSectionTooLarge"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body})
