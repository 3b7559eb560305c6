"""What events of a bus have in common, beyond what the language says of events: their envelope.

Every event has `source` and its like once, as a string; `resources` is a list of strings, `detail` is an object, and
there is nothing else at the top. So a pattern can be told apart from another, or be impossible, by its envelope: that
is judged here, for those who lint rules and for those who make events of them.
https://docs.aws.amazon.com/eventbridge/latest/ref/events-structure.html
"""

from __future__ import annotations

from busway.pattern.conditions import Conditions, in_words
from busway.pattern.event_tree import Scalar
from busway.pattern.likeness import nearest_word
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Alternative
from busway.pattern.text_sets import ANY_STRING
from busway.pattern.value_sets import accepts_nothing, apart, covers

STRINGS = ("version", "id", "detail-type", "source", "account", "time", "region")
# Only replayed events have it.
MAYBE_STRINGS = ("replay-name",)
LISTS = ("resources",)
MEMBERS = (*STRINGS, *MAYBE_STRINGS, *LISTS, "detail")

Fields = dict[str, Conditions]


def unmet(path: str, conditions: Conditions) -> str | None:
    """Why no event of a bus meets the list, for people; None when one may."""
    if met_on_a_bus(path, conditions):
        return None
    return f"{path} wants {in_words(conditions)}, but {_reason(path, conditions)}"


def _reason(path: str, conditions: Conditions) -> str:
    if all(accepts_nothing(condition) for condition in conditions):
        return "no value is that"
    name, dot, below = path.partition(".")
    if path in (*STRINGS, *MAYBE_STRINGS):
        return f"{path} is always a string" if path in STRINGS else f"{path} is a string or missing"
    if path in LISTS:
        return f"{path} is a list of strings"
    if path == "detail":
        return "detail is an object, never a value"
    if name == "detail":
        return "a name that is empty cannot be asked for"
    if name in MEMBERS and dot and below:
        return f"{name} has nothing in it"
    near = nearest_word([name.replace("_", "-")], MEMBERS)
    return f"no event has a member {name!r}; did you mean {near if near is not None else f'detail.{path}'}?"


def met_on_a_bus(path: str, conditions: Conditions) -> Conditions:
    """The conditions that some event of a bus may meet."""
    if holds_strings(path):
        absent = may_be_absent(path)
        return tuple(one for one in conditions if (absent if one == ABSENT else not apart([one], [ANY_STRING])))
    if not _within_detail(path):
        return tuple(one for one in conditions if one == ABSENT)
    return tuple(one for one in conditions if not accepts_nothing(one))


def may_hold(path: str, value: Scalar) -> bool:
    """Whether an event of a bus may have this value there."""
    return isinstance(value, str) if holds_strings(path) else _within_detail(path)


def may_be_absent(path: str) -> bool:
    """Whether an event of a bus may have no value there."""
    return path not in STRINGS


def fields_of(alternative: Alternative) -> Fields | None:
    """The fields that tell events of a bus apart, without conditions that none meets; None when no event fits."""
    fields: Fields = {}
    for path, conditions in alternative.fields:
        left = met_on_a_bus(path, conditions)
        if not left:
            return None
        if not _always_met(path, left):
            fields[path] = left
    return fields


def single(path: str) -> bool:
    """Whether an event has at most one value there, and that no list."""
    return path in STRINGS or path in MAYBE_STRINGS


def holds_strings(path: str) -> bool:
    """Whether nothing but strings can be there."""
    return single(path) or path in LISTS


def share_arrays(one: str, other: str) -> bool:
    """Whether values of the two fields may lie in elements of one array; `detail` itself is none."""
    here, there = one.split("."), other.split(".")
    return here[0] == there[0] == "detail" and len(here) > 1 and here[1:2] == there[1:2]


def _within_detail(path: str) -> bool:
    """An empty name at the end is found only in a name that ends with a dot, so `detail.` is a member of the top."""
    return path.startswith("detail.") and path != "detail."


def _always_met(path: str, conditions: Conditions) -> bool:
    """Whether every event has there what is wanted, and not in an array, where other fields could depend on it."""
    if path in STRINGS:
        return covers(conditions, [ANY_STRING])
    return not holds_strings(path) and not _within_detail(path)
