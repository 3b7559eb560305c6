"""Our own routes over a world without functions' processes, asked as the gateway asks them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from busway.alarm.registry import Alarms
from busway.alert.routes import Routes
from busway.arn import Scope
from busway.aws.gateway import CALLER_KEY
from busway.aws.service import Caller, Headers
from busway.clock import SeededEntropy, settle
from busway.function.logs import Logs
from busway.function.record import FunctionRecord
from busway.inspect.app import InspectApp
from busway.inspect.ports import Inspection

from .world import FUNCTION, SCOPE, World


class Functions:
    def __init__(self) -> None:
        self.records = [
            FunctionRecord(
                arn=FUNCTION, runtime="python3.11", handler="app.handler", role="", code="c", code_sha256="",
                code_size=1, revision="1", modified_at=0.0,
            )
        ]  # fmt: skip

    def get(self, arn: str) -> FunctionRecord | None:
        return next((record for record in self.records if record.arn == arn), None)

    def of_scope(self, scope: Scope) -> list[FunctionRecord]:
        return [record for record in self.records if record.scope == scope]


@dataclass
class Stream:
    """A stream under way: `lines` as they come; `leave` is the client going away."""

    task: asyncio.Task[None]
    gone: asyncio.Event
    raw: list[bytes] = field(default_factory=list)

    def lines(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in b"".join(self.raw).splitlines() if line]

    async def leave(self) -> None:
        self.gone.set()
        await self.task


class Door:
    def __init__(self, world: World) -> None:
        self.world = world
        self.logs = Logs(None, world.clock)
        self.alarms = Alarms(world.engine, world.clock, SeededEntropy(1))
        self.routes = Routes(world.engine, world.clock)
        self.inspection = Inspection(
            version="9.9.9", clock=world.clock, engine=world.engine, metrics=world.metrics, trail=world.trail,
            buses=world.buses, publisher=world.publisher, queues=world.queues, streams=world.streams,
            mappings=world.mappings, functions=Functions(), logs=self.logs,
            alarms=self.alarms, routes=self.routes, redrive=world.redrive, anew=world.ways.anew, inbox=self.inbox,
            halted=world.router.halted,
        )  # fmt: skip
        self.app = InspectApp(self.inspection)
        self.mails: list[dict[str, Any]] = []

    async def inbox(self, scope: Scope, limit: int) -> list[dict[str, Any]]:
        return self.mails[:limit]

    async def ask(
        self, method: str, target: str, body: Any = None, *, account: str = SCOPE.account, opened: bool = False
    ) -> tuple[int, Any]:
        """Status and JSON (or text) of one request; an `opened` one comes without a caller."""
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        raw = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        await self.app(self._asgi(method, target, account, opened), _once(raw), send)
        start, content = sent[0], b"".join(message.get("body", b"") for message in sent[1:])
        is_json = dict(start["headers"])[b"content-type"] == b"application/json"
        return start["status"], msgspec.json.decode(content) if is_json else content.decode()

    async def get(self, target: str) -> Any:
        status, answer = await self.ask("GET", target)
        assert status == 200, answer
        return answer

    async def stream(self, target: str, order: Any = None) -> Stream:
        """A GET, or with an order a POST."""
        gone, raw = asyncio.Event(), list[bytes]()

        async def send(message: Any) -> None:
            raw.append(message.get("body", b""))

        async def receive() -> dict[str, Any]:
            if first:
                return first.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        method, body = ("GET", b"") if order is None else ("POST", msgspec.json.encode(order))
        first = [{"type": "http.request", "body": body}]
        task = asyncio.create_task(self.app(self._asgi(method, target, SCOPE.account, False), receive, send))
        await settle(30)
        return Stream(task, gone, raw)

    def _asgi(self, method: str, target: str, account: str, opened: bool) -> dict[str, Any]:
        path, _, query = target.partition("?")
        caller = Caller(Scope(account, SCOPE.region), "key", "id", "http://127.0.0.1:4566", None, Headers({}))
        return {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            CALLER_KEY: None if opened else caller,
        }  # fmt: skip


def _once(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def door(world: World) -> Door:
    return Door(world)
