"""CBOR as AWS's clients write it, to and from Python values. Pure.

Maps with text keys, lists, text, bytes, numbers, true, false, null; lengths known or not. A tag is passed over and
its value kept: a decoder that follows every tag builds patterns, decimals and cycles for whoever asks. RFC 8949.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

# Ours: the deepest request of AWS that comes this way has 4 levels.
DEPTH_MAX = 32
_INDEFINITE = 31
_BREAK = 0xFF
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG = range(7)
_SIMPLE: dict[int, Any] = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_EPOCH_TAG = b"\xc1"
_DOUBLE = struct.Struct(">Bd")


class NotCbor(Exception):
    """Bytes that are not one CBOR value of the kinds above; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time to be written: tag 1, as whole milliseconds, which is how AWS's SDKs for Java mean it."""

    ms: int


def decode(data: bytes) -> Any:
    """The one value that `data` holds. Raises `NotCbor`."""
    reader = _Reader(data)
    try:
        value = reader.value(0)
    except IndexError:
        raise NotCbor(f"it ends within a value, at byte {len(data)}") from None
    if reader.at != len(data):
        raise NotCbor(f"{len(data) - reader.at} bytes follow the value")
    return value


# Ours: the largest request that means something, 500 records, is a few thousand values; a million take a second.
VALUES_MAX = 50_000


class _Reader:
    __slots__ = ("at", "data", "left")

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.left = data, 0, VALUES_MAX

    def value(self, depth: int) -> Any:
        first = self.data[self.at]
        self.at += 1
        self.left -= 1
        if self.left < 0:
            raise NotCbor(f"more than {VALUES_MAX} values")
        kind, low = first >> 5, first & 31
        if kind == _TEXT:
            return self._text(low)
        if kind == _BYTES:
            return self._chunk(low) if low != _INDEFINITE else b"".join(self._chunks(_BYTES))
        if kind == _UNSIGNED:
            return self._number(low)
        if kind == _NEGATIVE:
            return -1 - self._number(low)
        if kind > _TAG:
            return self._simple(low)
        if depth >= DEPTH_MAX:
            raise NotCbor(f"nested too deeply at byte {self.at}")
        if kind == _MAP:
            return self._map(low, depth + 1)
        if kind == _LIST:
            return self._list(low, depth + 1)
        self._number(low)
        return self.value(depth + 1)

    def _number(self, low: int) -> int:
        if low < 24:
            return low
        if low > 27:
            raise NotCbor(f"no length or number at byte {self.at - 1}")
        size = 1 << (low - 24)
        return int.from_bytes(self._take(size))

    def _take(self, size: int) -> bytes:
        start = self.at
        self.at = end = start + size
        if end > len(self.data):
            raise NotCbor(f"it ends within a value, at byte {len(self.data)}")
        return self.data[start:end]

    def _chunk(self, low: int) -> bytes:
        return self._take(low if low < 24 else self._number(low))

    def _chunks(self, kind: int) -> list[bytes]:
        chunks: list[bytes] = []
        while not self._ended():
            first = self.data[self.at]
            self.at += 1
            if first >> 5 != kind or first & 31 == _INDEFINITE:
                raise NotCbor(f"no piece of a string at byte {self.at - 1}")
            chunks.append(self._chunk(first & 31))
        return chunks

    def _text(self, low: int) -> str:
        pieces = [self._chunk(low)] if low != _INDEFINITE else self._chunks(_TEXT)
        try:
            return "".join([piece.decode() for piece in pieces])
        except UnicodeDecodeError:
            raise NotCbor(f"text before byte {self.at} is not UTF-8") from None

    def _list(self, low: int, depth: int) -> list[Any]:
        if low == _INDEFINITE:
            items: list[Any] = []
            while not self._ended():
                items.append(self.value(depth))
            return items
        return [self.value(depth) for _ in range(self._count(low))]

    def _map(self, low: int, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        if low == _INDEFINITE:
            while not self._ended():
                name = self._name()
                members[name] = self.value(depth)
            return members
        for _ in range(self._count(low)):
            name = self._name()
            members[name] = self.value(depth)
        return members

    def _count(self, low: int) -> int:
        """How many items are announced: no more than bytes are left, or a few bytes would cost a long loop."""
        count = low if low < 24 else self._number(low)
        if count > len(self.data) - self.at:
            raise NotCbor(f"it announces {count} items at byte {self.at} and ends before")
        return count

    def _name(self) -> str:
        first = self.data[self.at]
        self.at += 1
        if first >> 5 != _TEXT:
            raise NotCbor(f"a name that is no text at byte {self.at - 1}")
        return self._text(first & 31)

    def _ended(self) -> bool:
        if self.data[self.at] != _BREAK:
            return False
        self.at += 1
        return True

    def _simple(self, low: int) -> Any:
        form = _FLOATS.get(low)
        if form is not None:
            return form.unpack(self._take(form.size))[0]
        if low not in _SIMPLE:
            raise NotCbor(f"no value at byte {self.at - 1}")
        return _SIMPLE[low]


def encode(value: Any) -> bytes:
    """Dicts, lists, tuples, text, bytes, numbers, None and `Moment`s as CBOR. Raises TypeError for anything else."""
    out: list[bytes] = []
    _write(value, out.append)
    return b"".join(out)


def _write(value: Any, put: Callable[[bytes], None]) -> None:
    if isinstance(value, str):
        raw = value.encode()
        put(_head(_TEXT, len(raw)) + raw)
    elif isinstance(value, bytes):
        put(_head(_BYTES, len(value)))
        put(value)
    elif isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        put(_head(_MAP, len(members)))
        for name, item in members.items():
            _write(name, put)
            _write(item, put)
    elif isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        put(_head(_LIST, len(items)))
        for item in items:
            _write(item, put)
    else:
        put(_scalar(value))


def _scalar(value: Any) -> bytes:
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, float):
        return _DOUBLE.pack(0xFB, value)
    if isinstance(value, Moment):
        return _EPOCH_TAG + _scalar(value.ms)
    raise TypeError(f"{type(value).__name__} has no form in CBOR here")


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes((kind << 5 | number,))
    for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * size):
            return bytes((kind << 5 | low,)) + number.to_bytes(size)
    raise TypeError(f"{number} has more than 64 bits; CBOR's whole numbers have no more")
