"""A gateway without a socket: toy services of three protocols, and a way to ask them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from busway.aws.errors import AwsError
from busway.aws.gate import Gate, Keys
from busway.aws.gateway import Gateway
from busway.aws.service import Caller, Slow
from busway.aws.services.sts import Sts
from busway.aws.signature import sign
from busway.clock import ManualClock, SeededEntropy, SystemClock
from busway.errors import InvalidPattern, StorageFull

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI"


class ToyEvents:
    """Remembers what it was asked; some rule names make it fail in some way."""

    name = "events"

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Any], Caller]] = []
        self.operations = {"PutRule": self.put_rule, "PutEvents": self.put_events, "ListRules": self.list_rules}
        self.raw = {"PutEvents": self.put_events_raw}

    async def put_rule(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        self.asked.append((request, caller))
        failures: dict[str, Exception] = {
            "full": StorageFull("the disk is full"),
            "pattern": InvalidPattern("Filter is not an object"),
            "missing": AwsError("ResourceNotFoundException", "Rule missing does not exist."),
            "bug": RuntimeError("/etc/secret is broken"),
        }
        if request["Name"] in failures:
            raise failures[request["Name"]]
        return {"RuleArn": caller.scope.arn("events", f"rule/{request['Name']}"), "Unheard": 1}

    async def list_rules(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"Rules": [{"Name": "a", "Description": None}], "NextToken": None}

    async def put_events(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        self.asked.append((request, caller))
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "slow"} for _ in request["Entries"]]}

    async def put_events_raw(self, body: bytes, caller: Caller) -> bytes:
        if b"slow" in body:
            raise Slow
        if b"full" in body:
            raise StorageFull("the disk is full")
        return b'{"FailedEntryCount":0,"Entries":[{"EventId":"fast"}]}'


class ToyLambda:
    """Echoes what it was asked."""

    name = "lambda"
    body_max = 1_000_000

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.operations = {
            "Invoke": self.invoke,
            "ListFunctions": self.list_functions,
            "GetFunction": self.get_function,
        }

    async def invoke(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        self.asked.append(request)
        if request["FunctionName"] == "busy":
            raise AwsError(
                "TooManyRequestsException", "Rate Exceeded.", Reason="CallerRateLimitExceeded", retryAfterSeconds="3"
            )
        return {
            "StatusCode": {"Event": 202, "DryRun": 204}.get(str(request.get("InvocationType")), 200),
            "Payload": request.get("Payload"),
            "LogResult": "line\r\nInjected: 1",
        }

    async def list_functions(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        self.asked.append(request)
        return {"Functions": [{"FunctionName": "a", "Timeout": 3}]}

    async def get_function(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise AwsError("ResourceNotFoundException", "Function not found: x", 404)


class ToySqs:
    name = "sqs"

    def __init__(self) -> None:
        self.operations = {"SendMessage": self.send, "GetQueueUrl": self.url}

    async def send(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"MessageId": base64.b64encode(request["MessageBody"].encode()).decode(), "MD5OfMessageBody": "x"}

    async def url(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise AwsError("QueueDoesNotExist", "The specified queue does not exist.")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Door:
    """A gateway, and what stands behind it."""

    gateway: Gateway
    gate: Gate
    clock: ManualClock
    events: ToyEvents
    functions: ToyLambda
    owned: list[dict[str, Any]]

    async def ask(
        self,
        method: str = "POST",
        path: str = "/",
        body: bytes = b"{}",
        headers: dict[str, str] | None = None,
        *,
        service: str | None = "events",
        key: str = KEY,
        chunks: int = 1,
        drop: tuple[str, ...] = (),
    ) -> Answer:
        """Send a request, unsigned when `service` is None; `drop` names headers to take away after signing."""
        url = f"http://localhost:4566{path}"
        sent = dict(headers or {})
        if service is not None:
            sent = sign(method, url, sent, body, key, SECRET, "eu-west-1", service, self.clock.now())
        else:
            sent.setdefault("Host", "localhost:4566")
        pairs = [(n.lower().encode(), v.encode("latin-1")) for n, v in sent.items() if n.lower() not in drop]
        return await self.send(method, path, body, pairs, chunks=chunks)

    async def send(
        self, method: str, path: str, body: bytes, pairs: list[tuple[bytes, bytes]], *, chunks: int = 1
    ) -> Answer:
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": method, "scheme": "http", "path": raw_path, "raw_path": raw_path.encode(),
            "query_string": query.encode(), "headers": pairs,
        }  # fmt: skip
        step = max(1, -(-len(body) // chunks))
        parts = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
        messages = [
            {"type": "http.request", "body": part, "more_body": i < len(parts) - 1} for i, part in enumerate(parts)
        ]
        out: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            out.append(message)

        await self.gateway(scope, receive, send)
        if not out:
            return Answer(0, {}, b"")
        found = {name.decode(): value.decode() for name, value in out[0]["headers"]}
        return Answer(out[0]["status"], found, b"".join(m.get("body", b"") for m in out[1:]), out[0]["headers"])

    async def json(self, target: str, request: Any, **more: Any) -> Answer:
        """A JSON call of `Service.Operation`."""
        body = request if isinstance(request, bytes) else msgspec.json.encode(request)
        return await self.ask(body=body, headers={"X-Amz-Target": target} | more.pop("headers", {}), **more)


@pytest.fixture
def make_door() -> Callable[..., Door]:
    """`make_door(keys)`: with keys, signatures are verified."""

    def make(keys: Keys | None = None, hosts: tuple[str, ...] = (), **more: Any) -> Door:
        clock = ManualClock()
        gate = Gate(clock, keys, hosts)
        events, functions, owned = ToyEvents(), ToyLambda(), []

        async def own(scope: Any, receive: Any, send: Any) -> None:
            owned.append({"path": scope["path"], "caller": scope["busway.caller"], "message": await receive()})
            if scope["path"].endswith("/bug"):
                raise RuntimeError("/etc/secret is broken")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"own"})

        services = [events, functions, ToySqs(), Sts()]
        gateway = Gateway(services, gate, SystemClock(), SeededEntropy(1), own=own, **more)
        return Door(gateway, gate, clock, events, functions, owned)

    return make


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    return make_door()
