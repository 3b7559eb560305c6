"""The way to a running server: its AWS APIs through botocore, its own routes signed by us, one set of errors.

What the environment says of endpoints and proxies is ignored: the endpoint is the one that was asked for. Our own
routes are asked with the standard library's client: a command is over sooner than httpx is imported.
"""

from __future__ import annotations

import http.client
import importlib
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import msgspec

from busway.arn import Scope
from busway.errors import ServerRefused, ServerUnreachable

# A route of ours is signed as this service; AWS has none of that name.
SERVICE = "busway"
# Ours: how long /health may take.
HEALTH_S = 2.0
# What a server with access keys answers to others, and what mends it.
_UNKNOWN_KEY = frozenset(("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"))
_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a pair of the server's BUSWAY_ACCESS_KEYS"
# Ours: how long the installation of a function's dependencies is waited for.
BUILD_S_MAX = 900


@dataclass(slots=True)
class Connection:
    """A server and who asks. Nothing is sent before the first call."""

    endpoint: str
    access_key: str = "test"
    secret_key: str = "test"
    region: str = "us-east-1"
    timeout_s: float = 30.0
    _clients: dict[str, Any] = field(default_factory=dict[str, Any])
    _scope: Scope | None = None

    @property
    def scope(self) -> Scope:
        """The account and Region as the server sees them."""
        if self._scope is None:
            account = self.call("sts", "GetCallerIdentity", {})["Account"]
            self._scope = Scope(str(account), self.region)
        return self._scope

    def call(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """One AWS operation by AWS's name. Raises ServerUnreachable, or ServerRefused with AWS's code."""
        from botocore import exceptions

        # botocore ships no types; what it gives is narrowed here.
        botocore: Any = importlib.import_module("botocore")
        method = getattr(self._client(service), botocore.xform_name(operation))
        try:
            return cast(dict[str, Any], method(**parameters))
        except exceptions.ClientError as error:
            found = cast(dict[str, Any], error.response).get("Error", {})
            raise _told(operation, str(found.get("Code")), str(found.get("Message"))) from error
        except exceptions.ParamValidationError as error:
            raise ServerRefused(operation, "ParamValidation", str(error)) from error
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            raise ServerUnreachable(self.endpoint) from error

    def settled(self, function: str) -> str:
        """Wait until a function is neither made nor changed; why that failed, "" when it went well or is not there.

        By AWS's own waiters, so that it holds on AWS as well.
        """
        from botocore import exceptions

        for waiter in ("function_active_v2", "function_updated_v2"):
            try:
                self._client("lambda").get_waiter(waiter).wait(
                    FunctionName=function, WaiterConfig={"Delay": 1, "MaxAttempts": BUILD_S_MAX}
                )
            except exceptions.WaiterError as error:
                told = cast(dict[str, Any], error.last_response)
                if told.get("Error", {}).get("Code") == "ResourceNotFoundException":
                    return ""
                found = told.get("Configuration", told)
                return str(found.get("StateReason") or found.get("LastUpdateStatusReason") or error)
            except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
                raise ServerUnreachable(self.endpoint) from error
        return ""

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer of one of the server's own routes; None-valued query members are left out."""
        return self._ask("GET", path, query, b"")

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self._ask("POST", path, query, msgspec.json.encode(body if body is not None else {}))

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, {}, msgspec.json.encode(body))

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path, {}, b"")

    def stream(
        self, path: str, *, order: Any = None, quiet_s: float | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """The JSON lines of a route that goes on; ends when the server ends it, or after `quiet_s` without a line.

        With an `order`, which is what to do, it is a POST.
        """
        method, body = ("GET", b"") if order is None else ("POST", msgspec.json.encode(order))
        with self._answer(method, path, query, body, self.timeout_s) as (response, connection_socket):
            if response.status >= 400:
                raise _refusal(self.endpoint, f"{method} {path}", response.status, response.read())
            connection_socket.settimeout(quiet_s)
            try:
                # An empty line only says that the server is still there.
                yield from (msgspec.json.decode(line) for line in response if line.strip())
            except TimeoutError:
                return

    def healthy(self) -> bool:
        """Whether a server answers here and is ready."""
        try:
            with self._answer("GET", "/health", {}, b"", HEALTH_S) as (response, _):
                return response.status == 200
        except ServerUnreachable:
            return False

    def text(self, path: str, **query: Any) -> bytes:
        """As `get`, but as it came: what decoding loses of numbers and of names that stand twice is still there."""
        return self._content("GET", path, query, b"")

    def _ask(self, method: str, path: str, query: dict[str, Any], body: bytes) -> Any:
        content = self._content(method, path, query, body)
        try:
            return msgspec.json.decode(content) if content else None
        except msgspec.DecodeError:
            raise _refusal(self.endpoint, f"{method} {path}", HTTPStatus.OK, content) from None

    def _content(self, method: str, path: str, query: dict[str, Any], body: bytes) -> bytes:
        with self._answer(method, path, query, body, self.timeout_s) as (response, _):
            content = response.read()
        if response.status >= 400:
            raise _refusal(self.endpoint, f"{method} {path}", response.status, content)
        return content

    @contextmanager
    def _answer(
        self, method: str, path: str, query: dict[str, Any], body: bytes, timeout_s: float
    ) -> Generator[tuple[http.client.HTTPResponse, socket.socket]]:
        """The answer as soon as it begins, and the socket that it comes from. Raises ServerUnreachable."""
        url, headers = self._signed(method, path, query, body)
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        except (ValueError, http.client.InvalidURL):
            raise ServerUnreachable(self.endpoint) from None
        try:
            connection.connect()
            # An answer that ends its connection takes the socket over.
            own = connection.sock
            connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
            with connection.getresponse() as response:
                yield response, own
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(self.endpoint) from error
        finally:
            connection.close()

    def _signed(self, method: str, path: str, query: dict[str, Any], body: bytes) -> tuple[str, dict[str, str]]:
        from busway.aws.signature import sign

        chosen = urlencode({name: value for name, value in query.items() if value is not None})
        url = self.endpoint.rstrip("/") + path + (f"?{chosen}" if chosen else "")
        headers = {"Content-Type": "application/json"} if body else {}
        signed = sign(method, url, headers, body, self.access_key, self.secret_key, self.region, SERVICE, time.time())
        return url, signed

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config

            self._clients[service] = _session().create_client(
                service,
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                config=Config(
                    retries={"max_attempts": 0}, proxies={}, connect_timeout=3, read_timeout=self.timeout_s
                ),
            )
        return self._clients[service]


@cache
def _session() -> Any:
    """One for the process: it remembers the service models that it has read."""
    return importlib.import_module("botocore.session").get_session()


def _refusal(endpoint: str, asked: str, status: int, content: bytes) -> ServerRefused:
    """What the server said against it; what answers without JSON is no Busway."""
    try:
        answer = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        said = f"{endpoint} answers with HTTP {status}, but not as Busway does"
        return ServerRefused(asked, "", said, "another server has this port; name Busway's with --endpoint")
    if "error" in answer:
        return ServerRefused(asked, "", str(answer["error"]), str(answer.get("hint", "")))
    return _told(asked, str(answer.get("__type", status)), str(answer.get("message", "")))


def _told(asked: str, code: str, reason: str) -> ServerRefused:
    return ServerRefused(asked, code, reason, _KEYS if code in _UNKNOWN_KEY else "")
