"""Stream records for tests of what decides about them."""

from __future__ import annotations

from busway.stream.record import StreamEntry

AT = 1_700_000_000.0


def entry(offset: int, key: str = "k", *, arrived_at: float = AT, data: bytes = b"x") -> StreamEntry:
    return StreamEntry(offset, f"49{offset:054d}", key, data, arrived_at)


def entries(*offsets: int, key: str = "k") -> tuple[StreamEntry, ...]:
    return tuple(entry(offset, key) for offset in offsets)


def offsets(found: tuple[StreamEntry, ...]) -> list[int]:
    return [one.offset for one in found]
