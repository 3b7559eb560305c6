"""The functions, versions and aliases of a room without workers, on the memory engine."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from busway.arn import Scope
from busway.clock import Clock, SeededEntropy
from busway.engine import Engine
from busway.errors import BuildFailed
from busway.function.build import Builder, Built, NothingToBuild
from busway.function.definitions.attached import Attached
from busway.function.definitions.books import Books
from busway.function.definitions.building import Building
from busway.function.definitions.code_store import CodeStore, Zip
from busway.function.definitions.registry import Configuration, Registry
from busway.function.definitions.urls import FunctionUrls
from busway.function.definitions.versions import Aliases, Versions
from busway.function.record import FunctionRecord

ARN = Scope().arn("lambda", "function:f")
PYTHON = Configuration(runtime="python3.12", handler="app.handler")


def zipped(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py"), source)
    return buffer.getvalue()


class SlowBuilder:
    """Builds when it is told to; `key` says that everything needs building."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._orders: asyncio.Queue[str] = asyncio.Queue()

    def finish(self, failure: str = "") -> None:
        self._orders.put_nowait(failure)

    def key(self, code: Path, runtime: str, handler: str) -> str | None:
        return code.name

    async def build(self, code: Path, runtime: str, handler: str) -> Built:
        self.asked.append(code.name)
        failure = await self._orders.get()
        if failure:
            raise BuildFailed(failure)
        return Built(python_path=(f"/built/{code.name}",))

    async def sweep(self, used: Iterable[Built], unused_s: float) -> None:
        return None


class ShelfRoom:
    """What there is of functions, and how it changes."""

    def __init__(self, engine: Engine, clock: Clock, folder: Path, builder: Builder | None = None) -> None:
        self.books = Books(engine, clock, SeededEntropy(1))
        self.code = CodeStore(folder, SeededEntropy(2), live_allowed=True, sync_tree=lambda _: None)
        self.building = Building(self.books, self.code, builder or NothingToBuild())
        self.versions, self.aliases = Versions(self.books, self.code), Aliases(self.books)
        self.attached, self.urls = Attached(self.books), FunctionUrls(self.books)
        self.registry = Registry(self.books, self.code, self.building, self.versions)
        self.changed: list[str] = []

    async def open(self) -> ShelfRoom:
        await self.books.open()
        await self.code.sweep(self.books.records())
        self.books.on_change = self.changed.append
        await self.building.open()
        return self

    async def create(self, source: str = "a = 1", *, publish: bool = False) -> FunctionRecord:
        return await self.registry.create(ARN, Zip(zipped(source)), PYTHON, publish=publish)

    async def update(self, source: str, *, publish: bool = False) -> FunctionRecord:
        return await self.registry.update_code(ARN, Zip(zipped(source)), publish=publish)

    def source(self, qualifier: str = "") -> str:
        """What would run."""
        return (self.code.path(self.books.resolve(ARN, qualifier)) / "app.py").read_text()
