"""What a wildcard might have meant, by a value that it does not accept."""

from __future__ import annotations

from collections.abc import Iterator

from busway.pattern.edits.edit import Mistake
from busway.pattern.edits.mistakes import COSTS, between_texts
from busway.pattern.likeness import SUGGESTED_MIN, likeness
from busway.pattern.wildcard import parse_wildcard


def wildcards_for(argument: str, value: str) -> Iterator[tuple[float, Mistake, str]]:
    """Other wildcards that may have been meant, with their costs and what was mistaken; some may not fit after all.

    Backslashes that were meant as such, other languages' wildcards, asterisks that are missing at an end, and slips
    in the text around asterisks.
    """
    cost = COSTS["wildcard"]
    if "\\*" in argument:
        yield cost, "wildcard", argument.replace("\\*", "\\\\*")
        yield cost + 0.2, "wildcard", argument.replace("\\*", "*")
    for foreign in ("?", "%"):
        if foreign in argument:
            yield cost, "wildcard", argument.replace(foreign, "*")
    if argument != argument.strip():
        yield COSTS["space"], "space", argument.strip()
    inner = argument.strip("*")
    for longer in (f"{argument}*", f"*{argument}", f"*{argument}*"):
        if inner and "**" not in longer:
            yield cost + len(longer) / 100, "wildcard", longer
    literals = parse_wildcard(argument).literals
    if len(literals) == 1:
        difference = between_texts(argument, value)
        if difference is not None:
            yield difference.cost, difference.mistake, escaped(value)
    else:
        yield from _other_case(literals, value)
        yield from _other_ends(literals, value)


def escaped(text: str) -> str:
    """The wildcard that accepts this text alone."""
    return text.replace("\\", "\\\\").replace("*", "\\*")


def _other_case(literals: tuple[str, ...], value: str) -> Iterator[tuple[float, Mistake, str]]:
    """The value's own letters for the literals, where they are there in another case."""
    lowered, at = value.lower(), 0
    if len(lowered) != len(value) or not lowered.endswith(literals[-1].lower()):
        return
    written: list[str] = []
    for literal in literals[:-1]:
        at = lowered.find(literal.lower(), at)
        if at < 0:
            return
        written.append(escaped(value[at : at + len(literal)]))
        at += len(literal)
    written.append(escaped(value[len(value) - len(literals[-1]) :]))
    yield COSTS["case"], "case", "*".join(written)


def _other_ends(literals: tuple[str, ...], value: str) -> Iterator[tuple[float, Mistake, str]]:
    """What the value begins or ends with for the first or the last literal, where that resembles it."""
    first, last = literals[0], literals[-1]
    for more in (-1, 0, 1):
        begin = value[: max(0, len(first) + more)]
        end = value[max(0, len(value) - len(last) - more) :] if len(last) + more > 0 else ""
        for wrong, right, others in (
            (first, begin, (begin, *literals[1:])),
            (last, end, (*literals[:-1], end)),
        ):
            near = likeness(wrong, right)
            if wrong != right and near >= SUGGESTED_MIN:
                yield COSTS["typo"] + 1 - near, "typo", "*".join(map(escaped, others))
