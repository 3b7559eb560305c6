"""Request bodies as they arrive: each bounded, and all together for callers who have not shown yet who they are.

What is counted is what has come, not what was announced: who announces much and sends nothing takes no room.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from busway.aws.errors import AwsError, serialization_error, too_large
from busway.clock import Clock

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]

# Ours: how long a client may take to send a body that it announced, and how much of a refused one is read and
# thrown away, so that the client gets to read the refusal.
BODY_READ_S = 120.0
DRAIN_MAX = 256 * 1024 * 1024
# Ours: when a client that found the room taken may come again.
RETRY_AFTER_S = 1
# Ours: the room of callers who name a known access key, in rooms of those who name none. The code of a function in a
# signed request is larger than anything that may come unsigned.
KNOWN_KEY_TIMES = 4


class Disconnected(Exception):
    """The client went away before its request was whole; nobody is there to be answered."""


class Crowded(AwsError):
    """There is no room for this body now; the same request may succeed later."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(
            "ServiceUnavailable",
            f"The bodies of requests whose callers are not verified would hold more than {bytes_max} bytes; "
            f"try again in {RETRY_AFTER_S} second, or raise BUSWAY_OPEN_BODIES_MB.",
            503,
        )


class Budget:
    """Bytes that some kind of request may keep in memory at once."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held = 0


class Share:
    """What one request holds of a budget (None: of no budget), until `end`."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: Budget | None) -> None:
        self._budget, self._held = budget, 0

    def take(self, size: int) -> None:
        """Raises `Crowded` where that would be too much."""
        if self._budget is None:
            return
        if self._budget.held + size > self._budget.bytes_max:
            raise Crowded(self._budget.bytes_max)
        self._budget.held += size
        self._held += size

    def end(self) -> None:
        """Give everything back. Idempotent."""
        if self._budget is not None:
            self._budget.held -= self._held
            self._held = 0


class Bodies:
    """Reads bodies. `opened` is the budget of callers without a key, `claimed` that of keys not verified yet."""

    def __init__(self, clock: Clock, open_bytes_max: int) -> None:
        self._clock = clock
        self.opened = Budget(open_bytes_max)
        self.claimed = Budget(KNOWN_KEY_TIMES * open_bytes_max)

    async def read(self, headers: dict[bytes, bytes], limit: int, receive: Receive, share: Share) -> bytes:
        """The whole body.

        Raises AwsError RequestEntityTooLargeException before keeping more than `limit` bytes, and before reading
        any where more is announced; `Crowded`; `Disconnected`.
        """
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit():
            raise AwsError("BadRequest", "Content-Length is not a number.", 400)
        if len(announced) > 18 or int(announced) > limit:
            raise too_large(limit)
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body: bytes = message.get("body", b"")
        share.take(len(body))
        if message.get("more_body"):
            body = await self._rest(body, limit, receive, share)
        if len(body) > limit:
            raise too_large(limit)
        return body

    async def _rest(self, first: bytes, limit: int, receive: Receive, share: Share) -> bytes:
        parts, size = [first], len(first)
        try:
            async with self._clock.timeout(BODY_READ_S):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Disconnected
                    part: bytes = message.get("body", b"")
                    size += len(part)
                    if size > limit:
                        raise too_large(limit)
                    share.take(len(part))
                    parts.append(part)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise AwsError(
                "RequestTimeout", f"The body did not arrive within {BODY_READ_S:.0f} seconds.", 408
            ) from None


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """A compressed body, whole. Raises AwsError for another encoding than gzip, a broken one, or one over `limit`."""
    if encoding.strip().lower() in (b"", b"identity", b"aws-chunked"):
        return body
    if encoding.strip().lower() != b"gzip":
        raise serialization_error(f"Content-Encoding {encoding[:100].decode('latin-1')!r}; wanted gzip or none.")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise serialization_error(f"The body is not gzip: {error}.") from None
    if len(plain) > limit:
        raise too_large(limit)
    if not unpacker.eof or unpacker.unused_data:
        raise serialization_error("The body is not one whole gzip stream.")
    return plain


def drainable(headers: dict[bytes, bytes]) -> bool:
    """Whether so little of a refused body is left that it can be read and thrown away."""
    announced = headers.get(b"content-length", b"")
    return announced.isdigit() and len(announced) < 18 and int(announced) <= DRAIN_MAX
