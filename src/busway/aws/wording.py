"""AWS's wording of validation errors, and Java's way of showing a value in them. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from busway.aws.shapes import ServiceModel, Shape

# Ours: AWS shows a value whole; here it is cut, so that an error for a megabyte is not a megabyte.
SHOWN_MAX = 2048


def validation_message(faults: list[str]) -> str:
    """AWS's text for one or more faults."""
    count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
    return count + "; ".join(faults)


def fault(value: Any, path: str, constraint: str, model: ServiceModel, shape: Shape) -> str:
    """One fault in AWS's words. A sensitive value is left out."""
    if value is None:
        return f"Value null at '{path}' failed to satisfy constraint: {constraint}"
    if shape.sensitive:
        return f"Value at '{path}' failed to satisfy constraint: {constraint}"
    return f"Value '{_shown(value, model, shape)}' at '{path}' failed to satisfy constraint: {constraint}"


def scalar_fault(value: Any, path: str, constraint: str, shape: Shape) -> str:
    """As `fault`, for a value that is no structure, list or map."""
    shown = "" if shape.sensitive else f"'{_cut(_plain(value))}' "
    return f"Value {shown}at '{path}' failed to satisfy constraint: {constraint}"


@functools.cache
def lower_camel(name: str) -> str:
    """A member's name as AWS's messages have it: `EventBusName` gives `eventBusName`."""
    return name[:1].lower() + name[1:]


def _shown(value: Any, model: ServiceModel, shape: Shape) -> str:
    """A list or map as AWS shows it, cut where it would fill the screen."""
    return _cut("".join(_render(value, model, shape, SHOWN_MAX + 1)))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


def _render(value: Any, model: ServiceModel, shape: Shape, room: int) -> Iterable[str]:
    """Java's toString of a modelled value, in pieces; stops once `room` characters are out."""
    if value is None:
        yield "null"
    elif shape.sensitive:
        yield "***Sensitive Data Redacted***"
    elif shape.type == "structure":
        pairs = [(f"{lower_camel(name)}=", value.get(name), ref.shape) for name, ref in shape.members.items()]
        yield from _between(shape.name + "(", pairs, ")", model, room)
    elif shape.type == "list" and shape.member is not None:
        member = shape.member.shape
        yield from _between("[", [("", item, member) for item in value], "]", model, room)
    elif shape.type == "map" and shape.value is not None:
        member = shape.value.shape
        yield from _between("{", [(f"{name}=", item, member) for name, item in value.items()], "}", model, room)
    elif shape.type == "timestamp":
        yield datetime.fromtimestamp(value, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    else:
        yield _plain(value)


def _between(
    start: str, pairs: Iterable[tuple[str, Any, str]], end: str, model: ServiceModel, room: int
) -> Iterable[str]:
    yield start
    for place, (label, item, shape) in enumerate(pairs):
        if room < 0:
            return
        text = "".join(_render(item, model, model.shapes[shape], room))
        room -= len(text)
        yield (", " if place else "") + label + text
    yield end


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)
