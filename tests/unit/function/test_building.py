"""A function that waits for a build gets one, whenever it began to wait."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from busway.arn import Scope
from busway.clock import settle
from busway.function.build import Built
from busway.function.definitions.building import Building
from busway.function.record import ACTIVE, PENDING, FunctionRecord, function_arn

ARN = function_arn(Scope(), "f")


def function(state: str) -> FunctionRecord:
    return FunctionRecord(
        arn=ARN, runtime="python3.12", handler="a.b", role="", code="c", code_sha256="", code_size=1, revision="r",
        modified_at=0.0, state=state,
    )  # fmt: skip


class Books:
    """One function."""

    def __init__(self) -> None:
        self.changing = asyncio.Lock()
        self.functions = SimpleNamespace(get=lambda _: self.record)
        self.versions = SimpleNamespace(of=lambda _: {})
        self.record = function(PENDING)

    def need(self, _: str) -> FunctionRecord:
        return self.record

    def records(self) -> list[FunctionRecord]:
        return [self.record]

    async def put(self, record: FunctionRecord) -> None:
        self.record = record


class Builder:
    async def build(self, *_: object) -> Built:
        return Built()

    async def sweep(self, *_: object) -> None: ...


async def test_who_begins_to_wait_as_the_last_build_ends_is_built_too():
    books: Any = Books()
    waiting, builder, store = books.record, Builder(), SimpleNamespace(path=lambda _: "code")
    building = Building(books, store, builder)  # type: ignore[arg-type]

    def waits_again() -> None:
        books.record = waiting
        building.begin(ARN)

    building.begin(ARN)
    # When the task comes to look nobody waits, so that it ends; in the same turn of the loop somebody does again.
    books.record = function(ACTIVE)
    asyncio.get_running_loop().call_soon(waits_again)
    await settle()
    assert books.record.state == ACTIVE
    assert books.record.built == Built()
