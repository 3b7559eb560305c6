"""A schema's text in zod beside its type in TypeScript, and how such are put together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from busway.road.typescript.layout import block, value_text


@dataclass(frozen=True, slots=True)
class Made:
    """A schema's zod text, the type of what fits it, and what is still to be noted of it."""

    zod: str
    type: str
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return f"{self.zod}.meta({value_text(self.notes)})" if self.notes else self.zod


ANYTHING, NOTHING = Made("z.unknown()", "unknown"), Made("z.never()", "never")


def grouped(type_: str) -> str:
    return type_ if type_.isidentifier() else f"({type_})"


def union(head: str, made: Sequence[Made]) -> Made:
    types = dict.fromkeys(one.type for one in made)
    return Made(block(f"{head}([", [str(one) for one in made], "])"), " | ".join(types))


def both(one: Made, other: Made) -> Made:
    return Made(block("z.intersection(", [str(one), str(other)], ")"), f"{grouped(one.type)} & {grouped(other.type)}")


def nullable(made: Made) -> Made:
    return replace(made, zod=f"{made.zod}.nullable()", type=f"{made.type} | null")
