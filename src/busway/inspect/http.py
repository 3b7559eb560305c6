"""The little of HTTP that our own routes need, over ASGI: one request, one JSON answer or a stream of JSON lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from busway.arn import Scope
from busway.aws.gateway import CALLER_KEY, AsgiScope, Receive, Send
from busway.aws.service import Caller
from busway.clock import Clock, first_of
from busway.errors import (
    BusNotFound,
    BuswayError,
    ClockNotManual,
    DeploymentConflict,
    EngineStopped,
    EventNotFound,
    FunctionNotFound,
    InvalidEvent,
    InvalidLogFilter,
    InvalidPattern,
    InvalidQuestion,
    InvalidRoute,
    LetterNotFound,
    NoEventYet,
    NotEditable,
    QueueNotFound,
    RouteNotFound,
    StorageFull,
    TraceNotFound,
    UnknownPath,
)

T = TypeVar("T")

# Our class -> HTTP status; 500 for what is not here.
STATUSES: Mapping[type[BuswayError], int] = {
    BusNotFound: 404,
    ClockNotManual: 409,
    DeploymentConflict: 409,
    EngineStopped: 503,
    EventNotFound: 404,
    FunctionNotFound: 404,
    InvalidEvent: 400,
    InvalidLogFilter: 400,
    InvalidPattern: 400,
    InvalidQuestion: 400,
    InvalidRoute: 400,
    LetterNotFound: 404,
    NoEventYet: 404,
    NotEditable: 400,
    QueueNotFound: 404,
    RouteNotFound: 404,
    StorageFull: 503,
    TraceNotFound: 404,
    UnknownPath: 404,
}

# Ours: an empty line so often keeps a quiet stream from being taken for a dead one.
KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `scope` is the caller's account and Region (the default ones on an open path)."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    scope: Scope

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of the query from 0 to `most`. Raises `InvalidQuestion`."""
        text = self.query.get(name, str(default))
        if not text.isdigit() or int(text) > most:
            raise InvalidQuestion(f"{self.path}: {name} is {text[:40]!r}; wanted a whole number up to {most}")
        return int(text)

    def read(self, kind: type[T]) -> T:
        """The body as `kind`. Raises `InvalidQuestion`."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except msgspec.DecodeError as error:
            raise InvalidQuestion(f"{self.path}: the body is not what it should be: {error}") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `content` is bytes as they are, or anything that msgspec turns into JSON."""

    content: Any
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Lines:
    """A stream of JSON lines that goes on until the client leaves."""

    items: AsyncGenerator[Any]


async def read_request(asgi: AsgiScope, receive: Receive) -> Request:
    """The request as the gateway hands it over."""
    caller: Caller | None = asgi.get(CALLER_KEY)
    # Without a caller (an open path) nothing bounds a body, and no open path wants one.
    body = (await receive()).get("body", b"") if caller is not None else b""
    query = dict(parse_qsl(asgi["query_string"].decode("latin-1"), keep_blank_values=True))
    return Request(asgi["method"], asgi["path"], query, body, caller.scope if caller else Scope())


def refusal(error: BuswayError) -> Answer:
    """`{error, hint}` with the status of the nearest class."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    return Answer({"error": str(error), "hint": error.hint}, status)


async def send_answer(answer: Answer, send: Send) -> None:
    body = answer.content if isinstance(answer.content, bytes) else msgspec.json.encode(answer.content)
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_lines(lines: Lines, clock: Clock, receive: Receive, send: Send, closing: asyncio.Event) -> None:
    """Send until the client leaves, the items end, or the server is `closing`."""
    headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # The first bytes say that it has begun, before there is anything to say.
    await send({"type": "http.response.body", "body": b"\n", "more_body": True})
    gone = asyncio.ensure_future(_left(receive))
    over = asyncio.ensure_future(closing.wait())
    sending = asyncio.ensure_future(_send_all(lines.items, clock, send))
    try:
        await asyncio.wait({gone, over, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
        if not gone.done():
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await send({"type": "http.response.body", "body": b""})
    finally:
        for waiting in (gone, over, sending):
            waiting.cancel()
        await asyncio.gather(gone, over, sending, return_exceptions=True)
        await lines.items.aclose()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_all(items: AsyncGenerator[Any], clock: Clock, send: Send) -> None:
    following: asyncio.Task[Any] | None = None
    try:
        while True:
            following = following or asyncio.create_task(_next(items))
            await first_of(clock, asyncio.wait({following}), KEEP_ALIVE_S)
            line = b""
            if following.done():
                try:
                    line = msgspec.json.encode(following.result())
                except StopAsyncIteration:
                    return
                following = None
            await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _next(items: AsyncGenerator[Any]) -> Any:
    return await anext(items)
