"""A reply on its way out: what HTTP wants said about its body, and where there may be none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from busway.aws.protocols import Reply, Stream

Send = Callable[[Any], Awaitable[None]]

# Answers that have no body, whatever stands behind them (RFC 9110, 15.3.5, 15.3.6, 15.4.5), and those of them
# without a length. A body all the same would be read as the answer to the next request of the connection.
NO_CONTENT = frozenset({204, 205, 304})
NO_LENGTH = frozenset({204, 304})


async def send_reply(send: Send, reply: Reply, request_id: str, method: str, *, close: bool = False) -> None:
    """Send it all, to HEAD only the head. `close` says that the connection ends behind it."""
    headers = _headers(reply, request_id)
    content = reply.body if reply.status not in NO_CONTENT else b""
    # To HEAD the length is that of what GET would get, and not known where the function gave nothing.
    if reply.status not in NO_LENGTH and (content or method != "HEAD"):
        headers.append((b"content-length", str(len(content)).encode()))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if method != "HEAD" else b""})


async def send_stream(
    send: Send, until_gone: Callable[[], Coroutine[Any, Any, None]], reply: Reply, stream: Stream, request_id: str,
    method: str,
) -> None:  # fmt: skip
    """Send the body and then piece by piece, until the stream ends or the client is gone; the stream is closed then.

    Each piece waits for the one before to be taken, so a client that does not read makes nothing pile up. To HEAD
    there is nothing to send: nobody would see that its client is gone.
    """
    if method == "HEAD":
        await stream.aclose()
        await send_reply(send, reply, request_id, method)
        return
    sending = asyncio.ensure_future(_send_pieces(send, reply, stream, request_id))
    gone = asyncio.ensure_future(until_gone())
    try:
        await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        for task in (sending, gone):
            task.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)
        await stream.aclose()


async def _send_pieces(send: Send, reply: Reply, stream: Stream, request_id: str) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply, request_id)})
    await send({"type": "http.response.body", "body": reply.body, "more_body": True})
    async for piece in stream:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _headers(reply: Reply, request_id: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", reply.content_type), (b"x-amzn-requestid", request_id.encode()), *reply.headers]
