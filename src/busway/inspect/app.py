"""The ASGI app that the gateway calls for our own paths: a table of routes, and errors as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from busway.aws.gateway import AsgiScope, Receive, Send
from busway.errors import BuswayError, UnknownPath
from busway.inspect import deployments, feeds, letters, orders, preview, redriving, resend, status, trace, why
from busway.inspect.http import Answer, Lines, Request, read_request, refusal, send_answer, send_lines
from busway.inspect.ports import Inspection

Handler: TypeAlias = Callable[[Inspection, Request], Awaitable[Answer | Lines]]

# A path that ends in "/" takes one more part.
ROUTES: Mapping[tuple[str, str], Handler] = {
    ("GET", "/health"): status.health,
    ("GET", "/metrics"): status.metrics,
    ("GET", "/_busway/status"): status.status,
    ("GET", "/_busway/tail"): feeds.tail,
    ("GET", "/_busway/events"): why.newest,
    ("GET", "/_busway/events/"): why.why,
    ("GET", "/_busway/traces"): trace.of_newest,
    ("GET", "/_busway/traces/"): trace.trace,
    ("GET", "/_busway/dead-letters"): letters.dead_letters,
    ("GET", "/_busway/dead-letters/"): letters.dead_letter,
    ("POST", "/_busway/redrive"): redriving.redrive,
    ("POST", "/_busway/resend"): resend.resend,
    ("POST", "/_busway/preview"): preview.preview,
    ("GET", "/_busway/logs/"): feeds.logs,
    ("GET", "/_busway/inbox"): orders.inbox,
    ("GET", "/_busway/verify"): orders.prove,
    ("GET", "/_busway/routes"): orders.routes,
    ("PUT", "/_busway/routes/"): orders.put_route,
    ("GET", "/_busway/routes/"): orders.get_route,
    ("POST", "/_busway/routes/"): orders.try_series,
    ("DELETE", "/_busway/routes/"): orders.delete_route,
    ("GET", "/_busway/deployments/"): deployments.newest,
    ("PUT", "/_busway/deployments/"): deployments.write,
    ("GET", "/_busway/clock"): orders.clock,
    ("POST", "/_busway/clock"): orders.advance_clock,
}


class InspectApp:
    """`Gateway(own=InspectApp(inspection))`."""

    def __init__(self, server: Inspection) -> None:
        self._server = server
        self._closing = asyncio.Event()

    def end_streams(self) -> None:
        """End those that follow: they would keep a server that stops waiting for them."""
        self._closing.set()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        request = await read_request(scope, receive)
        try:
            answer = await handler_of(request)(self._server, request)
        except BuswayError as error:
            answer = refusal(error)
        if isinstance(answer, Lines):
            await send_lines(answer, self._server.clock, receive, send, self._closing)
        else:
            await send_answer(answer, send)


def handler_of(request: Request) -> Handler:
    """Raises `UnknownPath`."""
    method = "GET" if request.method == "HEAD" else request.method
    head, slash, last = request.path.rpartition("/")
    found = (ROUTES.get((method, request.path)) or ROUTES.get((method, head + slash))) if last else None
    if found is None:
        raise UnknownPath(request.method, request.path)
    return found
