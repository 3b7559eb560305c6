"""Records of one kind, by function and qualifier: durable, and answered from memory."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from busway.engine import Records
from busway.errors import FunctionConflict, VersionConflict
from busway.function.record import qualified, split

T = TypeVar("T")


class Shelf(Generic[T]):
    """What is kept under `<kind>/<function's ARN>[:<qualifier>]`. Only its owner writes there."""

    def __init__(self, records: Records, kind: str, shape: type[T]) -> None:
        self._records, self._prefix, self._shape = records, f"{kind}/", shape
        self._held: dict[str, dict[str, T]] = {}
        self._writes: dict[str, int] = {}

    async def open(self) -> None:
        for value in await self._records.list(self._prefix):
            arn, qualifier = split(value.key.removeprefix(self._prefix))
            self._held.setdefault(arn, {})[qualifier] = msgspec.json.decode(value.data, type=self._shape)
            self._writes[value.key] = value.version

    def get(self, arn: str, qualifier: str = "") -> T | None:
        held = self._held.get(arn)
        return None if held is None else held.get(qualifier)

    def of(self, arn: str) -> dict[str, T]:
        """All of one function, by qualifier."""
        return dict(self._held.get(arn, {}))

    def all(self) -> list[T]:
        return [value for held in self._held.values() for value in held.values()]

    def functions(self) -> list[str]:
        """The ARNs of the functions that have something here."""
        return list(self._held)

    async def put(self, arn: str, qualifier: str, value: T) -> None:
        """Raises `FunctionConflict` when somebody else wrote there."""
        key = self._prefix + qualified(arn, qualifier)
        try:
            written = await self._records.put(key, msgspec.json.encode(value), expect=self._writes.get(key, 0))
        except VersionConflict as error:
            raise FunctionConflict(f"The function {arn} changed meanwhile; try again") from error
        self._held.setdefault(arn, {})[qualifier] = value
        self._writes[key] = written

    async def remove(self, arn: str, qualifier: str = "") -> bool:
        """False when there was nothing."""
        if self.get(arn, qualifier) is None:
            return False
        key = self._prefix + qualified(arn, qualifier)
        await self._records.delete(key)
        del self._held[arn][qualifier], self._writes[key]
        if not self._held[arn]:
            del self._held[arn]
        return True

    async def clear(self, arn: str) -> None:
        """Remove all of one function."""
        for qualifier in self.of(arn):
            await self.remove(arn, qualifier)
