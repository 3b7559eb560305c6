"""Function URLs: HTTP in, one synchronous invocation, HTTP out.

    http://127.0.0.1:4566/_lambda_url/<id>/path               ours: needs no DNS; what GetFunctionUrlConfig tells
    http://<id>.lambda-url.<region>.localhost:4566/path       as on AWS, where names below `localhost` resolve

AuthType NONE takes anybody, pages of the web too, as on AWS; AWS_IAM whoever signs for `lambda`, and a page only when
there is a CORS configuration. On the first form all functions and the server share one origin, so pages served there
are sandboxed: to have an origin, and cookies, of its own a page is opened by the second form.
"""

from __future__ import annotations

from collections.abc import Mapping

from busway.aws.doors import Permission, Visit
from busway.aws.errors import AwsError
from busway.aws.protocols import Reply
from busway.aws.url_event import JSON, Place, answer_of, event_of
from busway.clock import Clock
from busway.function.definitions.url import HOST_MARK, IAM, NONE, PREFIX, Cors, FunctionUrl
from busway.function.functions import SYNC_BYTES_MAX, Functions
from busway.tracing import of_request

# As IAM calls it: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
_INVOKE = Permission("lambda", "InvokeFunctionUrl")
_PREFIX, _HOST_MARK = PREFIX.encode(), HOST_MARK.encode()
_SANDBOX = (b"content-security-policy", b"sandbox allow-downloads allow-forms allow-popups allow-scripts")


class UrlDoor:
    """Serves every function URL of this server. `clock` gives the time that events tell."""

    body_max = SYNC_BYTES_MAX

    def __init__(self, functions: Functions, clock: Clock) -> None:
        self._functions, self._clock = functions, clock

    def takes(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        return _HOST_MARK in headers.get(b"host", b"") or path.startswith(_PREFIX)

    def open_to_pages(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        url = self._find(_parts(headers, path)[0])
        return url is not None and (url.auth_type == NONE or url.cors is not None)

    def _find(self, url_id: str) -> FunctionUrl | None:
        return self._functions.urls.find(url_id)

    def admit(self, visit: Visit) -> Permission | None:
        """Raises AwsError, 404, for a URL that no function has."""
        url = self._known(_parts(visit.headers, visit.path)[0])
        asks_first = url.cors is not None and _is_preflight(visit)
        return _INVOKE if url.auth_type == IAM and not asks_first else None

    def _known(self, url_id: str) -> FunctionUrl:
        url = self._find(url_id)
        if url is None:
            raise AwsError("ResourceNotFoundException", f"No function has the URL {url_id[:100]!r}.", 404)
        return url

    async def answer(self, visit: Visit) -> Reply:
        url_id, path = _parts(visit.headers, visit.path)
        url = self._known(url_id)
        if url.cors is not None and _is_preflight(visit):
            return Reply(200, b"", JSON, [*_granted(url.cors, visit), *_preflight(url.cors)])
        signer = visit.identity
        if url.auth_type == IAM and signer is None:
            raise AwsError("AccessDeniedException", "The URL was closed to unsigned requests just now.", 403)
        caller = (signer.access_key, signer.scope.account) if signer is not None else None
        host = visit.headers.get(b"host", b"").decode("latin-1")
        domain = host.rpartition(":")[0] or host
        event = event_of(visit, Place(url_id, domain, path, caller), self._clock.now())
        trace = of_request(visit.headers) or ""
        result = await self._functions.invoke(
            url.arn, event, trace_header=trace, request_id=visit.request_id, qualifier=url.qualifier
        )
        reply = None if result.function_error else answer_of(result.payload)
        if reply is None:
            reply = Reply(502, b"Internal Server Error", JSON)
        headers = reply.headers
        if url.cors is not None:
            headers = [pair for pair in headers if not pair[0].startswith(b"access-control-")]
            headers += _granted(url.cors, visit)
        if _HOST_MARK not in visit.headers.get(b"host", b""):
            headers = [*headers, _SANDBOX]
        return Reply(reply.status, reply.body, reply.content_type, list(headers))


def _parts(headers: Mapping[bytes, bytes], path: bytes) -> tuple[str, str]:
    """(id of the URL, path below it)."""
    host = headers.get(b"host", b"")
    if _HOST_MARK in host:
        return host.partition(b".")[0].decode("latin-1").lower(), path.decode("latin-1")
    url_id, slash, rest = path.removeprefix(_PREFIX).partition(b"/")
    return url_id.decode("latin-1"), (slash + rest).decode("latin-1") or "/"


def _is_preflight(visit: Visit) -> bool:
    return (
        visit.method == "OPTIONS" and b"origin" in visit.headers and b"access-control-request-method" in visit.headers
    )


def _granted(cors: Cors, visit: Visit) -> list[tuple[bytes, bytes]]:
    """What the asking page may have of an answer; nothing for one that is not allowed."""
    origin = visit.headers.get(b"origin", b"").decode("latin-1")
    allowed = {name.lower() for name in cors.allow_origins}
    if not origin or not ("*" in allowed or origin.lower() in allowed):
        return []
    anybody = "*" in allowed and not cors.allow_credentials
    told = [(b"access-control-allow-origin", b"*" if anybody else origin.encode("latin-1")), (b"vary", b"Origin")]
    if cors.allow_credentials:
        told.append((b"access-control-allow-credentials", b"true"))
    if cors.expose_headers:
        told.append((b"access-control-expose-headers", _list(cors.expose_headers)))
    return told


def _preflight(cors: Cors) -> list[tuple[bytes, bytes]]:
    told: list[tuple[bytes, bytes]] = []
    if cors.allow_methods:
        told.append((b"access-control-allow-methods", _list(cors.allow_methods)))
    if cors.allow_headers:
        told.append((b"access-control-allow-headers", _list(cors.allow_headers)))
    if cors.max_age_s is not None:
        told.append((b"access-control-max-age", str(cors.max_age_s).encode()))
    return told


def _list(values: tuple[str, ...]) -> bytes:
    return ",".join(values).encode("latin-1", "replace")
