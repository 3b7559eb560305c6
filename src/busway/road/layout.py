"""Python text as ruff lays it out: literals and calls, on one line where they fit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

# The line length that a generated project's own pyproject.toml gives ruff.
LINE_LENGTH = 100


def literal(value: object) -> str:
    """A value as a Python literal on one line, in double quotes where they need no escapes."""
    if isinstance(value, dict):
        members = cast(dict[object, object], value)
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in members.items()) + "}"
    if isinstance(value, list):
        elements = cast(list[object], value)
        return "[" + ", ".join(literal(element) for element in elements) + "]"
    text = repr(value)
    if isinstance(value, str) and text.startswith("'") and '"' not in value:
        return f'"{text[1:-1]}"'
    return text


def laid_out(head: str, value: object, tail: str, indent: int) -> str:
    """`head` + a literal + `tail`, where the line begins with `indent` spaces; an element a line if it must be."""
    one = head + literal(value) + tail
    if indent + len(one) <= LINE_LENGTH or not isinstance(value, dict | list) or not value:
        return one
    inner = indent + 4
    if isinstance(value, dict):
        members = cast(dict[object, object], value)
        lines = [laid_out(f"{literal(k)}: ", v, ",", inner) for k, v in members.items()]
        opening, closing = "{", "}"
    else:
        lines = [laid_out("", element, ",", inner) for element in cast(list[object], value)]
        opening, closing = "[", "]"
    body = "".join(f"\n{' ' * inner}{line}" for line in lines)
    return f"{head}{opening}{body}\n{' ' * indent}{closing}{tail}"


def call(head: str, arguments: Sequence[str], tail: str, indent: int = 0) -> str:
    """A call on one line if it fits, else its arguments on a line of their own, else one on each line.

    An argument may itself be several lines, laid out for `indent` + 4.
    """
    flat = not any("\n" in argument for argument in arguments)
    one = head + ", ".join(arguments) + tail
    if flat and indent + len(one) <= LINE_LENGTH:
        return one
    pad, inner = " " * indent, " " * (indent + 4)
    together = inner + ", ".join(arguments)
    # A lone argument of a function gets a comma behind it, several on one line don't.
    if flat and len(together) <= LINE_LENGTH and (len(arguments) > 1 or not head.startswith(("def", "async def"))):
        return f"{head}\n{together}\n{pad}{tail}"
    return head + "".join(f"\n{inner}{argument}," for argument in arguments) + f"\n{pad}{tail}"


def import_line(module: str, name: str) -> str:
    line = f"from {module} import {name}"
    return line if len(line) <= LINE_LENGTH else f"from {module} import (\n    {name},\n)"
