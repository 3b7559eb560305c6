"""TypeScript text as the generator lays it out: literals, and lists of things on one line where they fit. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from busway.road.schemas.typescript import literal

# Ours: what fits behind the name of a member that is itself a few levels deep.
_WIDTH = 80


def value_text(value: object) -> str:
    """A value as it is written in TypeScript: names without quotes where they need none."""
    if isinstance(value, Mapping):
        given = cast(Mapping[Any, object], value)
        members = [f"{member_text(str(name))}: {value_text(one)}" for name, one in given.items()]
        return f"{{ {', '.join(members)} }}" if members else "{}"
    if isinstance(value, list):
        return f"[{', '.join(value_text(one) for one in cast(list[object], value))}]"
    return literal(value)


def member_text(name: str) -> str:
    """The name of a member, as it stands before the colon."""
    # `__proto__: ...` would not make a member of that name, `["__proto__"]` does.
    if name == "__proto__":
        return '["__proto__"]'
    return name if re.fullmatch(r"[A-Za-z_$][\w$]*", name, re.ASCII) else literal(name)


def block(opening: str, members: Sequence[str], closing: str, between: str = ",") -> str:
    """Members between brackets: on one line where they fit, else each on its own, which may itself be several."""
    space = " " if opening.endswith("{") and members else ""
    one = f"{opening}{space}{f'{between} '.join(members)}{space}{closing}"
    if "\n" not in one and len(one) <= _WIDTH:
        return one
    return opening + "".join(f"\n{indented(member)}{between}" for member in members) + f"\n{closing}"


def indented(text: str, by: str = "  ") -> str:
    """A literal has no line of its own, so that every line may be moved."""
    return by + text.replace("\n", f"\n{by}")
