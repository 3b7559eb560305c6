"""What one entry of a value list might have meant, by a value of the event that it does not accept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from busway.errors import InvalidPattern
from busway.pattern.address import parse_cidr
from busway.pattern.edits.edit import Mistake
from busway.pattern.edits.mistakes import COSTS, between_texts, between_values, is_number
from busway.pattern.edits.wildcards import wildcards_for
from busway.pattern.event_tree import Scalar, Tree

# Ours: a shorter text begins too many others by chance.
PREFIX_CHARS_MIN = 3
# Of numeric, the operator that takes in the bound itself.
_WITH_BOUND = {"<": "<=", ">": ">="}


class Meant(NamedTuple):
    """What might stand there instead of an entry, how far-fetched that is, and what was mistaken."""

    cost: float
    mistake: Mistake
    entry: Tree


Meanings: TypeAlias = Iterator[Meant]


def meant(entry: Tree, value: Scalar) -> Meanings:
    """Guesses, in no order; some may not accept the value after all."""
    if isinstance(entry, dict):
        if len(entry) == 1:
            ((operator, argument),) = entry.items()
            yield from _of_operator(operator, argument, value)
    elif not isinstance(entry, list):
        scalar: Scalar = entry  # type: ignore[assignment]  # a repeated name holds no entry
        difference = between_values(scalar, value)
        if difference is not None:
            yield Meant(difference.cost, difference.mistake, value)
        if isinstance(scalar, str) and isinstance(value, str):
            yield from _operator_left_out(scalar, value)


def _operator_left_out(text: str, value: str) -> Meanings:
    """A plain string that reads like the argument of an operator."""
    if "*" in text:
        yield Meant(COSTS["wildcard"], "wildcard", {"wildcard": text})
    if "/" in text and _is_network(text):
        yield Meant(COSTS["operator"], "operator", {"cidr": text})
    if len(text) < PREFIX_CHARS_MIN or len(text) >= len(value):
        return
    if value.startswith(text):
        yield Meant(COSTS["operator"] + 1, "operator", {"prefix": text})
    before = value[-len(text) - 1]
    if value.endswith(text) and before in ":/":
        yield Meant(COSTS["operator"] + 1, "operator", {"suffix": before + text})


def _is_network(text: str) -> bool:
    try:
        parse_cidr(text)
    except InvalidPattern:
        return False
    return True


def _of_operator(operator: str, argument: Tree, value: Scalar) -> Meanings:
    if operator == "exists":
        yield Meant(COSTS[""] - 1, "", {"exists": argument is not True})
    elif operator == "numeric" and isinstance(argument, list) and is_number(value):
        yield from _wider(argument, value)
    elif operator == "anything-but":
        yield from _not_excluded(argument, value)
    elif isinstance(argument, dict):
        for inner in argument.values():
            if isinstance(inner, str) and isinstance(value, str):
                yield from (
                    Meant(cost, mistake, {operator: {"equals-ignore-case": text}})
                    for cost, mistake, text in _of_edge(operator, inner, value)
                )
    elif isinstance(argument, str) and isinstance(value, str):
        found = wildcards_for(argument, value) if operator == "wildcard" else _of_edge(operator, argument, value)
        yield from (Meant(cost, mistake, {operator: text}) for cost, mistake, text in found)


def _of_edge(operator: str, argument: str, value: str) -> Iterator[tuple[float, Mistake, str]]:
    """Another argument for prefix or suffix: what the value has there; for the others all of the value."""
    edge = {"prefix": value[: len(argument)], "suffix": value[max(0, len(value) - len(argument)) :]}.get(
        operator, value
    )
    difference = between_texts(argument, edge)
    if difference is not None:
        yield difference.cost, difference.mistake, edge
    if argument != argument.strip():
        yield COSTS["space"], "space", argument.strip()


def _wider(argument: list[Tree], value: Scalar) -> Meanings:
    """A range that takes the number in: with its own bound if that is enough, else with the number as the bound."""
    pairs = list(zip(argument[::2], argument[1::2], strict=False))
    for at, (operator, bound) in enumerate(pairs):
        if not isinstance(operator, str):
            continue
        including = _WITH_BOUND.get(operator, operator)
        for cost, number in ((COSTS[""] - 2, bound), (COSTS[""] - 1, value)):
            widened = [*pairs[:at], (including, number), *pairs[at + 1 :]]
            yield Meant(cost, "", {"numeric": [part for pair in widened for part in pair]})


def _not_excluded(argument: Tree, value: Scalar) -> Meanings:
    """anything-but without what excludes the value; a wildcard's asterisk may have been meant as one."""
    if isinstance(argument, list) and len(argument) > 1:
        for at in range(len(argument)):
            yield Meant(COSTS[""] - 1, "", {"anything-but": [*argument[:at], *argument[at + 1 :]]})
    elif isinstance(argument, dict) and len(argument) == 1:
        ((operator, excluded),) = argument.items()
        if operator == "wildcard" and isinstance(excluded, str) and isinstance(value, str):
            escaped = excluded.replace("\\*", "*").replace("*", "\\*")
            if escaped != excluded:
                yield Meant(COSTS["wildcard"], "wildcard", {"anything-but": {"wildcard": escaped}})
        if isinstance(excluded, list) and len(excluded) > 1:
            for at in range(len(excluded)):
                fewer: list[Tree] = [*excluded[:at], *excluded[at + 1 :]]
                yield Meant(COSTS[""] - 1, "", {"anything-but": {operator: fewer}})
