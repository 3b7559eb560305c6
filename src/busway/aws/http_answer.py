"""One request and its answer on a connection: uvicorn's, with an answer that is whole written in one piece.

uvicorn writes the head and the body one after the other: two system calls, each of which wakes the client.
"""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

# What may not stand in a header: it would end it. Our lines are joined by CR LF after this was looked for.
_UNSAFE = re.compile(b"[\x00-\x08\x0a-\x1f\x7f]")
# With these uvicorn decides more than we do here.
_SPECIAL = frozenset({b"connection", b"transfer-encoding"})


class Answer(RequestResponseCycle):
    """An ASGI `send` that keeps a head with a content-length until its body is there."""

    _head: Any = None

    async def send(self, message: Any) -> None:
        if not self.response_started and self._head is None and _has_length(message):
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            whole = None if self.flow.write_paused else self._whole(head, message)
            if whole is not None:
                self._write(whole)
                return
            await super().send(head)
        await super().send(message)

    def _whole(self, head: Any, message: Any) -> bytes | None:
        """Head and body as bytes; None when this is not all of an everyday answer."""
        body: bytes = message.get("body", b"")
        if message.get("more_body") or self.scope["method"] == "HEAD" or not self.keep_alive:
            return None
        lines: list[bytes] = []
        for name, value in (*self.default_headers, *head["headers"]):
            if name in _SPECIAL or (name == b"content-length" and value != b"%d" % len(body)):
                return None
            lines.append(b"%b: %b" % (name, value))
        if _UNSAFE.search(b"".join(lines)):
            return None
        return b"%b%b\r\n\r\n%b" % (STATUS_LINE[head["status"]], b"\r\n".join(lines), body)

    def _write(self, whole: bytes) -> None:
        if self.disconnected:
            return
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(whole)
        self.message_event.set()
        self.on_response()


def _has_length(message: Any) -> bool:
    return message["type"] == "http.response.start" and any(n == b"content-length" for n, _ in message["headers"])
