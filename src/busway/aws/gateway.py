"""One ASGI app for every service on one port.

    headers -> gate (Host, Origin, form of the signature) -> body, bounded -> gate (signature) -> route
      doors (function URLs, downloads of code)     -> say by the headers who may come in; then the same
      own paths (/health, /metrics, /_busway/...)  -> the server's own handler
      a raw operation                              -> its bytes; `Slow` falls back to
      any other                                    -> parse, validate, run, serialise
      whatever is raised                           -> an AWS-shaped error with the request's id

Nothing of a body is decompressed or parsed before the gate has let it through.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

from busway.aws import worker_access
from busway.aws.bodies import RETRY_AFTER_S, Bodies, Crowded, Disconnected, Share, drainable, inflate
from busway.aws.doors import Door, Permission, Visit
from busway.aws.errors import AwsError, aws_error, internal_failure
from busway.aws.gate import Gate, Identity
from busway.aws.protocols import Received, Reply
from busway.aws.reply import send_reply, send_stream
from busway.aws.routes import Route, Routes
from busway.aws.service import BODY_MAX, Caller, Headers, Service, Slow
from busway.aws.signature import Signable, named_service, wrong_service
from busway.clock import Clock, Entropy, format_uuid
from busway.tracing import of_request

Message: TypeAlias = MutableMapping[str, Any]
AsgiScope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

log = logging.getLogger("busway.aws.gateway")

# Where the server's own handler is asked, and those of its paths that need no signature on loopback.
OWN_PREFIX = b"/_busway/"
OPEN_PATHS = (b"/health", b"/metrics")
# The key under which an own handler finds who asks, in the ASGI scope.
CALLER_KEY = "busway.caller"
# Headers that may not come twice: the gate must see exactly what an operation sees.
_SINGLE = {b"authorization", b"host", b"content-type", b"content-length", b"content-encoding", b"origin"}
_CACHE_MAX = 1024
# Ours, as in `config.py`.
OPEN_BYTES_MAX = 64 * 1024 * 1024


class Gateway:
    """See the module. Start it with `aws.server_http.HttpServer`."""

    def __init__(
        self,
        services: Iterable[Service],
        gate: Gate,
        clock: Clock,
        entropy: Entropy,
        *,
        own: AsgiApp | None = None,
        open_paths: Iterable[bytes] = OPEN_PATHS,
        doors: Iterable[Door] = (),
        granted: Callable[[str], str] = lambda function_arn: "",
        open_bytes_max: int = OPEN_BYTES_MAX,
        remotes: Mapping[bytes, AsgiApp] | None = None,
    ) -> None:
        """`own` answers what is not AWS's; it finds a `Caller` at `scope[CALLER_KEY]` (None on open paths).

        `open_paths` need no signature: pass () when listening beyond loopback. `clock` bounds slow clients: the
        machine's own. `doors` are asked before anything else. `granted` gives what a function's tag allows its
        workers (`worker_access.py`). `open_bytes_max` bounds the bodies of callers without a key, all together.
        `remotes` are apps by the beginning of their paths, whose clients sign nothing: each asks for a key itself,
        before it reads a body.
        Raises as `Routes` for services that do not fit their models.
        """
        self._gate = gate
        self._bodies = Bodies(clock, open_bytes_max)
        self._entropy = entropy
        self._own = own
        self._open_paths = frozenset(open_paths) if own is not None else frozenset[bytes]()
        self._doors = tuple(doors)
        self._remotes = dict(remotes or {})
        self._granted = granted
        self._routes = Routes(services)
        self._endpoints: dict[tuple[str, bytes], str] = {}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = format_uuid(self._entropy.token(16))
        headers: dict[bytes, bytes] = dict(scope["headers"])
        signing_name = ""
        try:
            if len(headers) != len(scope["headers"]):
                headers = _joined(scope["headers"])
            path: bytes = scope["raw_path"]
            for door in self._doors:
                if door.takes(headers, path):
                    reply = await self._visit(door, headers, request_id, scope, receive)
                    await send_reply(send, reply, request_id, scope["method"])
                    return
            self._gate.check_source(headers)
            for prefix, remote in self._remotes.items():
                if path.startswith(prefix):
                    await remote(scope, receive, send)
                    return
            if path in self._open_paths and self._own is not None:
                await self._run_own(self._own, None, b"", scope, receive, send)
                return
            signed = self._gate.identify(headers)
            signing_name = signed.service
            limit = self._routes.body_max(signing_name) or BODY_MAX
            share = Share(self._bodies.claimed if self._gate.strict else None)
            try:
                body = await self._bodies.read(headers, limit, receive, share)
                signable = Signable(scope["method"], path, scope["query_string"], headers, body)
                identity = self._gate.admit(signed, signable)
            finally:
                share.end()
            caller = self._caller(identity, request_id, scope, headers, receive)
            if self._own is not None and (path.startswith(OWN_PREFIX) or path in OPEN_PATHS):
                if identity.worker:
                    worker_access.check_own_path(identity.worker, path)
                await self._run_own(self._own, caller, body, scope, receive, send)
                return
            reply = await self._answer(scope, headers, body, caller, identity)
            if reply.stream is not None:
                await send_stream(send, caller.until_gone, reply, reply.stream, request_id, scope["method"])
                return
        except Disconnected:
            return
        except AwsError as error:
            signing_name = signing_name or named_service(headers.get(b"authorization", b""))
            reply = self._routes.refuse(error, headers, scope["raw_path"], signing_name, request_id)
            if isinstance(error, Crowded):
                reply.headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
        close = reply.status == 413 and not drainable(headers)
        await send_reply(send, reply, request_id, scope["method"], close=close)

    async def _visit(
        self, door: Door, headers: dict[bytes, bytes], request_id: str, scope: AsgiScope, receive: Receive
    ) -> Reply:
        """A request that is none of AWS's API. Raises AwsError for whatever went wrong, also inside."""
        path: bytes = scope["raw_path"]
        self._gate.check_host(headers)
        if not door.open_to_pages(headers, path):
            self._gate.check_no_page(headers)
        client = (scope.get("client") or ("", 0))[0]
        visit = Visit(scope["method"], scope["scheme"], path, scope["query_string"], headers, b"", request_id, client)
        share = Share(self._bodies.opened)
        try:
            wanted = door.admit(visit)
            if wanted is not None:
                return await door.answer(await self._signed_visit(visit, wanted, door.body_max, receive))
            body = await self._bodies.read(headers, door.body_max, receive, share)
            return await door.answer(dataclasses.replace(visit, body=body))
        except Disconnected:
            raise
        except Exception as error:
            told = aws_error("lambda", error)
            if told is None:
                facts = {"request_id": request_id}
                log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"], extra=facts)
                told = internal_failure(request_id)
            raise told from None
        finally:
            share.end()

    async def _signed_visit(self, visit: Visit, wanted: Permission, limit: int, receive: Receive) -> Visit:
        """The visit with its body and who signed it. What the headers alone give away is judged before the body.

        Raises AwsError, 403.
        """
        signed = self._gate.identify(visit.headers)
        if signed.service != wanted.service:
            raise wrong_service(wanted.service)
        head = Signable(visit.method, visit.path, visit.query, visit.headers, b"")
        self._gate.check_head(signed, head)
        share = Share(self._bodies.claimed if self._gate.strict else None)
        try:
            body = await self._bodies.read(visit.headers, limit, receive, share)
            identity = self._gate.admit(signed, dataclasses.replace(head, body=body))
        finally:
            share.end()
        if identity.worker:
            granted = self._granted(identity.worker)
            worker_access.check(identity.worker, granted, wanted.service, wanted.operation)
        return dataclasses.replace(visit, body=body, identity=identity)

    async def _answer(
        self, scope: AsgiScope, headers: dict[bytes, bytes], body: bytes, caller: Caller, identity: Identity
    ) -> Reply:
        """Find and run the operation. Raises AwsError for whatever went wrong, also inside."""
        service = signing_name = identity.service
        operation = "request"
        try:
            limit = self._routes.body_max(signing_name) or BODY_MAX
            if b"content-encoding" in headers:
                body = inflate(body, headers[b"content-encoding"], limit)
            route = self._routes.by_target(headers.get(b"x-amz-target", b""))
            labels: dict[str, str] = {}
            received = Received(scope["method"], scope["raw_path"], scope["query_string"], headers, body)
            if route is None:
                route, labels = self._routes.find(received, signing_name)
            if route.signing_name != signing_name:
                raise wrong_service(route.signing_name)
            service, operation = route.bound.name, route.model.name
            if identity.worker:
                worker_access.check(identity.worker, self._granted(identity.worker), service, operation)
            if route.raw is not None and route.bound.wire_for(headers) is route.bound.wire:
                try:
                    return Reply(200, await route.raw(body, caller), route.content_type)
                except Slow:
                    pass
            return await run(route, labels, received, caller)
        except Exception as error:
            told = aws_error(service, error)
            if told is None:
                facts = {"request_id": caller.request_id, "service": service, "operation": operation}
                log.exception("request %s: %s %s failed", *facts.values(), extra=facts)
                told = internal_failure(caller.request_id)
            raise told from None

    def _caller(
        self, identity: Identity, request_id: str, scope: AsgiScope, headers: dict[bytes, bytes], receive: Receive
    ) -> Caller:
        where = (scope["scheme"], headers[b"host"])
        endpoint = self._endpoints.get(where)
        if endpoint is None:
            if len(self._endpoints) >= _CACHE_MAX:
                self._endpoints.clear()
            endpoint = self._endpoints[where] = f"{where[0]}://{where[1].decode('latin-1')}"
        return Caller(
            identity.scope,
            identity.access_key,
            request_id,
            endpoint,
            of_request(headers),
            Headers(headers),
            receive,
        )

    async def _run_own(
        self, own: AsgiApp, caller: Caller | None, body: bytes, scope: AsgiScope, receive: Receive, send: Send
    ) -> None:
        """Hand over to the server's own handler, which reads the body that was verified."""
        scope[CALLER_KEY] = caller
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}] if caller else []
        started = False

        async def receive_again() -> Message:
            return pending.pop() if pending else await receive()

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await own(scope, receive_again, watched_send)
        except Exception:
            request_id = caller.request_id if caller else format_uuid(self._entropy.token(16))
            facts = {"request_id": request_id}
            log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"], extra=facts)
            if started:
                raise
            reply = self._routes.refuse(internal_failure(request_id), {}, b"", "", request_id)
            await send_reply(send, reply, request_id, scope["method"])


async def run(route: Route, labels: dict[str, str], received: Received, caller: Caller) -> Reply:
    """The generic path of one operation: parse, validate, run, serialise."""
    bound = route.bound
    wire = bound.wire_for(received.headers)
    request = wire.read(route.model, labels, received)
    if route.model.input is not None:
        faults = bound.validator.faults(route.model.input.shape, request)
        if faults:
            raise bound.dialect.error(faults)
    result = await route.run(request, caller)
    return wire.write(route.model, result, caller.request_id)


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers that came twice, joined as HTTP says; raises AwsError for one that may not."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in found:
            if name in _SINGLE or name.startswith(b"x-amz-"):
                raise AwsError("BadRequest", f"Header {name.decode('latin-1')} was sent twice; wanted it once.", 400)
            # https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3
            value = found[name] + (b"; " if name == b"cookie" else b",") + value
        found[name] = value
    return found
