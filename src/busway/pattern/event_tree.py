"""An event's bytes as a tree that has lost nothing a pattern can ask for.

Objects are dicts, arrays are lists, numbers that are not plain integers keep their text (`msgspec.Raw`), and a name
that stands twice in one object holds `Several` values: given as text, duplicate names accumulate on AWS.

msgspec decodes nearly every event. Only one with duplicate names, lone surrogates, text behind its closing brace or
more nesting than msgspec takes goes through the careful reader, which is some fifty times slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from busway.errors import InvalidEvent, MalformedJson
from busway.pattern.json_text import Kind, Tokens

Scalar: TypeAlias = "str | int | bool | Raw | None"
Tree: TypeAlias = "Scalar | list[Tree] | dict[str, Tree] | Several"


class Several:
    """The values of a name that stands more than once in one object, in order."""

    __slots__ = ("values",)

    def __init__(self, values: list[Tree]) -> None:
        self.values = values


def identity(value: Scalar) -> object:
    """What equal values have in common and others do not: 1, true and 1.0 are three."""
    return value if isinstance(value, str) else (type(value), bytes(value) if isinstance(value, Raw) else value)


def distinct(values: Iterable[Scalar]) -> list[Scalar]:
    """Each value once."""
    return list({identity(value): value for value in values}.values())


_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Raw).decode
_encode = msgspec.json.Encoder().encode
_PLAIN_INTEGER = re.compile(r"-?(?:[1-9][0-9]{0,99}|0)\Z")


def read_event(event: bytes) -> dict[str, Tree]:
    """Decode one event. Raises `InvalidEvent` unless it begins with a JSON object, nested at most 1,000 levels."""
    try:
        tree = _decode(event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_carefully(event)
    if _may_repeat_names(event, tree):
        return _read_carefully(event)
    return tree


def _may_repeat_names(event: bytes, tree: object) -> bool:
    """Whether decoding dropped a member, seen by encoding the tree again.

    The encoder writes every kept token at most as long as it was, so equal lengths mean that nothing was dropped
    (nor was there white space). Otherwise quotes are counted: every name has two, and a quote inside a string is
    escaped again, which only one written as a code point would hide.
    """
    try:
        encoded = _encode(tree)
    except (OverflowError, RecursionError):  # an integer beyond 64 bits, or deep nesting
        return True
    if len(encoded) == len(event):
        return False
    return encoded.count(b'"') != event.count(b'"') or (b"\\" in event and b"\\u0022" in event)


def _read_carefully(event: bytes) -> dict[str, Tree]:
    try:
        return read_text(event.decode())
    except MalformedJson as wrong:
        raise InvalidEvent(f"Event is not JSON: {wrong}") from wrong
    except UnicodeDecodeError as wrong:
        raise InvalidEvent(f"Event is not UTF-8: {wrong}") from wrong


def read_text(text: str) -> dict[str, Tree]:
    """The tree of an object's text. Raises `MalformedJson`, or `InvalidEvent` for what is no object."""
    tokens = Tokens(text)
    if tokens.next() != "{":
        raise InvalidEvent("Event must be a JSON object")
    return _read_object(tokens)


def _read_object(tokens: Tokens) -> dict[str, Tree]:
    """Read the object whose opening brace is current. A stack, not recursion: depth is the sender's choice."""
    root: dict[str, Tree] = {}
    containers: list[dict[str, Tree] | list[Tree]] = [root]
    names: list[str] = [""]  # the name that waits for its value, for each open container
    while containers:
        kind = tokens.next()
        if kind == "name":
            names[-1] = tokens.text()
            continue
        if kind == "}" or kind == "]":
            containers.pop()
            names.pop()
            continue
        value = _begin(kind, tokens)
        _put(containers[-1], names[-1], value)
        if isinstance(value, dict | list):
            containers.append(value)
            names.append("")
    return root


def _begin(kind: Kind, tokens: Tokens) -> dict[str, Tree] | list[Tree] | Scalar:
    if kind == "{":
        return {}
    if kind == "[":
        return []
    if kind == "string":
        return tokens.text()
    if kind == "number":
        text = tokens.text()
        return int(text) if _PLAIN_INTEGER.match(text) else Raw(text.encode())
    return {"true": True, "false": False}.get(kind)


def _put(container: dict[str, Tree] | list[Tree], name: str, value: Tree) -> None:
    if isinstance(container, list):
        container.append(value)
    elif name not in container:
        container[name] = value
    else:
        present = container[name]
        if isinstance(present, Several):
            present.values.append(value)
        else:
            container[name] = Several([present, value])
