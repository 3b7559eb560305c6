"""What one HTTP/2 connection may hold of request bodies: which stream is let send on, and which has to wait.

A body counts from its first byte until its request is answered, so that many streams, each within its own limit, do
not add up. Nothing is refused: a stream that waits is given its window when others are done. The connection's own
window is handed back as bytes come, for it is as wide as all streams' windows: a stream that waits stops no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from busway.aws.http_limits import CONNECTION_BODIES_MAX, CONNECTION_WINDOW, STREAM_WINDOW


@dataclass(slots=True)
class _Body:
    """`held` bytes have come; of them `owed` were read and not handed back to the client's window yet."""

    held: int = 0
    owed: int = 0
    whole: bool = False


class Inflow:
    """See the module. `grant(stream, bytes)` widens a window, that of stream 0 being the connection's."""

    def __init__(self, grant: Callable[[int, int], None], bytes_max: int = CONNECTION_BODIES_MAX) -> None:
        self._grant, self._bytes_max = grant, bytes_max
        # By stream, so from the oldest to the newest.
        self._bodies: dict[int, _Body] = {}
        self._held = self._held_whole = self._owed = 0

    @property
    def held(self) -> int:
        """Bytes of bodies whose requests are not answered."""
        return self._held

    def begin(self, stream: int) -> None:
        self._bodies[stream] = _Body()

    def came(self, stream: int, size: int) -> None:
        """`size` counts as flow control does, padding included."""
        self._owed += size
        if self._owed >= CONNECTION_WINDOW // 4:
            owed, self._owed = self._owed, 0
            self._grant(0, owed)
        body = self._bodies.get(stream)
        if body is not None:
            body.held += size
            self._held += size

    def taken(self, stream: int, size: int) -> None:
        """The application has read so much."""
        body = self._bodies.get(stream)
        if body is not None:
            body.owed += size
            self._let_in()

    def whole(self, stream: int) -> None:
        """No more of this body comes."""
        body = self._bodies.get(stream)
        if body is not None and not body.whole:
            body.whole = True
            self._held_whole += body.held
            self._let_in()

    def end(self, stream: int) -> None:
        """Its request is answered, or nobody is there any more: nothing of the body is kept. Idempotent."""
        body = self._bodies.pop(stream, None)
        if body is not None:
            self._held -= body.held
            self._held_whole -= body.held if body.whole else 0
            self._let_in()

    def _let_in(self) -> None:
        """Widen the windows that may be: of all, or, where too much is held, of the oldest alone."""
        crowded = self._held > self._bytes_max
        if crowded and self._held_whole > self._bytes_max:
            return
        for stream, body in self._bodies.items():
            if body.whole:
                continue
            # In large steps, or each small frame would be answered by one.
            if body.owed >= STREAM_WINDOW // 4:
                owed, body.owed = body.owed, 0
                self._grant(stream, owed)
            if crowded:
                return
