"""The way to a running server: its AWS APIs through botocore, its own routes signed by us, one set of errors.

What the environment says of endpoints and proxies is ignored: the endpoint is the one that was asked for.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import msgspec

from busway.arn import Scope
from busway.errors import ServerRefused, ServerUnreachable

# A route of ours is signed as this service; AWS has none of that name.
SERVICE = "busway"


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
            raise ServerRefused(operation, str(found.get("Code")), str(found.get("Message"))) from error
        except exceptions.ParamValidationError as error:
            raise ServerRefused(operation, "ParamValidation", str(error)) from error
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            raise ServerUnreachable(self.endpoint) from error

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer of one of the server's own routes; None-valued query members are left out."""
        return self._ask("GET", path, query, b"")

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self._ask("POST", path, query, msgspec.json.encode(body if body is not None else {}))

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, {}, msgspec.json.encode(body))

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path, {}, b"")

    def stream(self, path: str, *, quiet_s: float | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """The JSON lines of a route that goes on; ends when the server ends it, or after `quiet_s` without a line."""
        url, headers = self._signed("GET", path, query, b"")
        try:
            with (
                httpx.Client(trust_env=False, timeout=httpx.Timeout(self.timeout_s, read=quiet_s)) as client,
                client.stream("GET", url, headers=headers) as response,
            ):
                if response.status_code >= 400:
                    response.read()
                    self._check(f"GET {path}", response)
                # An empty line only says that the server is still there.
                yield from (msgspec.json.decode(line) for line in response.iter_lines() if line.strip())
        except httpx.ReadTimeout:
            return
        except httpx.TransportError as error:
            raise ServerUnreachable(self.endpoint) from error

    def healthy(self) -> bool:
        """Whether a server answers here and is ready."""
        try:
            return httpx.get(f"{self.endpoint}/health", timeout=2.0, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _ask(self, method: str, path: str, query: dict[str, Any], body: bytes) -> Any:
        url, headers = self._signed(method, path, query, body)
        try:
            response = httpx.request(
                method, url, headers=headers, content=body, timeout=self.timeout_s, trust_env=False
            )
        except httpx.TransportError as error:
            raise ServerUnreachable(self.endpoint) from error
        self._check(f"{method} {path}", response)
        return msgspec.json.decode(response.content) if response.content else None

    def _signed(self, method: str, path: str, query: dict[str, Any], body: bytes) -> tuple[str, dict[str, str]]:
        from busway.aws.signature import sign

        chosen = urlencode({name: value for name, value in query.items() if value is not None})
        url = self.endpoint.rstrip("/") + path + (f"?{chosen}" if chosen else "")
        headers = {"Content-Type": "application/json"} if body else {}
        signed = sign(method, url, headers, body, self.access_key, self.secret_key, self.region, SERVICE, time.time())
        return url, signed

    @staticmethod
    def _check(asked: str, response: httpx.Response) -> None:
        if response.status_code < 400:
            return
        try:
            answer = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.DecodeError:
            answer = {}
        if "error" in answer:
            raise ServerRefused(asked, "", str(answer["error"]), str(answer.get("hint", "")))
        code = str(answer.get("__type", response.status_code))
        raise ServerRefused(asked, code, str(answer.get("message", response.text[:500])))

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config

            session: Any = importlib.import_module("botocore.session")
            create = session.get_session().create_client
            self._clients[service] = create(
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
