"""A reply on its way out: what HTTP wants said about its body, and where there may be none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from busway.aws.protocols import Reply

# Answers that have no body, whatever stands behind them (RFC 9110, 15.3.5, 15.3.6, 15.4.5), and those of them
# without a length. A body all the same would be read as the answer to the next request of the connection.
NO_CONTENT = frozenset({204, 205, 304})
NO_LENGTH = frozenset({204, 304})


async def send_reply(
    send: Callable[[Any], Awaitable[None]], reply: Reply, request_id: str, method: str, *, close: bool = False
) -> None:
    """Send it all, to HEAD only the head. `close` says that the connection ends behind it."""
    headers = [
        (b"content-type", reply.content_type),
        (b"x-amzn-requestid", request_id.encode()),
        *reply.headers,
    ]
    content = reply.body if reply.status not in NO_CONTENT else b""
    # To HEAD the length is that of what GET would get, and not known where the function gave nothing.
    if reply.status not in NO_LENGTH and (content or method != "HEAD"):
        headers.append((b"content-length", str(len(content)).encode()))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if method != "HEAD" else b""})
