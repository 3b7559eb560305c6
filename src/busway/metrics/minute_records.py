"""The records of a minute: parts as they came, and the chunks that some of them were put together into. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from busway.engine import Value
from busway.metrics.points import HOUR_S, MINUTE_S, Point

# Ours: how many points a record holds, which must stay under 1 MiB.
RECORD_POINTS_MAX = 1_000
# About what a point takes, of two dimensions and one value.
POINT_BYTES = 80
ALL = "all"


class Whole(msgspec.Struct, frozen=True, array_like=True):
    """Which parts are in the chunks of a generation."""

    generation: str
    parts: list[str]


def hour_key(where: str, hour: int) -> str:
    return f"metric/minutes/{where}/{hour}/"


def minute_key(where: str, at: int) -> str:
    return f"{hour_key(where, at - at % HOUR_S)}{at % HOUR_S // MINUTE_S:02d}/"


def minute_key_in(value: Value) -> str:
    return value.key.rpartition("/")[0]


def chunks_of(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    for begin in range(0, len(points), RECORD_POINTS_MAX):
        yield points[begin : begin + RECORD_POINTS_MAX]


def counted(values: Sequence[Value]) -> tuple[Whole, list[Point]]:
    """Of one minute's records: the points that count, and what is to go when they are put together anew."""
    found = {value.key.rpartition("/")[2]: value.data for value in values}
    told = found.pop(ALL, None)
    whole = Whole("", []) if told is None else msgspec.msgpack.decode(told, type=Whole)
    names = [name for name in found if name not in whole.parts and name.partition("-")[0] in (whole.generation, name)]
    points = [point for name in names for point in msgspec.msgpack.decode(found[name], type=list[Point])]
    return Whole(whole.generation, sorted(found)), points


def counted_of_all(values: Sequence[Value]) -> list[Point]:
    """Of the records of many minutes."""
    return [point for _, minute in groupby(values, minute_key_in) for point in counted(list(minute))[1]]


def points_in(values: Sequence[Value]) -> int:
    """About how many."""
    return sum(len(value.data) for value in values) // POINT_BYTES
