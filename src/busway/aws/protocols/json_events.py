"""The events of one answer, in JSON: what an operation yields, as messages of an event stream.

An operation gives the events as its stream member, each `{name of the event: its members}`. What it raises is the
last message: an exception that the model lets the stream have, or an error that it does not know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import msgspec

from busway.aws.errors import AwsError
from busway.aws.protocols.event_stream import message

# Writes the members of a shape's value as JSON.
Write = Callable[[str, Mapping[str, Any]], bytes]


class Events(Protocol):
    """What an operation hands over. `aclose` frees what it holds, also when nothing was asked of it yet."""

    async def __anext__(self) -> Mapping[str, Any]: ...

    async def aclose(self) -> None: ...


class JsonEvents(AsyncIterator[bytes]):
    """The messages of such a stream. `shapes` names the shape of each event and exception that it may have."""

    def __init__(self, events: Events, shapes: Mapping[str, str], write: Write) -> None:
        self._events, self._shapes, self._write = events, shapes, write
        self._over = False

    async def __anext__(self) -> bytes:
        """Raises KeyError for an event that the model does not have."""
        if self._over:
            raise StopAsyncIteration
        try:
            event = await self._events.__anext__()
        except AwsError as error:
            self._over = True
            return self._refusal(error)
        ((name, members),) = event.items()
        return event_message(name, self._write(self._shapes[name], members))

    def _refusal(self, error: AwsError) -> bytes:
        if error.code not in self._shapes:
            told = {":message-type": "error", ":error-code": error.code, ":error-message": error.message}
            return message(told, b"")
        told = {":message-type": "exception", ":exception-type": error.code, ":content-type": "application/json"}
        return message(told, msgspec.json.encode({"message": error.message}))

    async def aclose(self) -> None:
        await self._events.aclose()


def event_message(name: str, payload: bytes) -> bytes:
    headers = {":message-type": "event", ":event-type": name, ":content-type": "application/json"}
    return message(headers, payload)


def initial_response(payload: bytes) -> bytes:
    """The first message: the members of the answer beside its stream. Only protocols without HTTP bindings have it.

    https://smithy.io/2.0/spec/streaming.html#initial-response-messages
    """
    return event_message("initial-response", payload)
