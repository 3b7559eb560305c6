"""Why a pattern matched an event or did not, field by field, for people and for `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from busway.pattern.array_consistency import Field, accepted, choice_of, first_unmet
from busway.pattern.conditions import Condition, shown
from busway.pattern.event_tree import Scalar, Tree, read_event
from busway.pattern.flatten import Leaf, Leaves, flatten
from busway.pattern.likeness import likeness, nearest_path, nearest_word, paths_of
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Alternative, Pattern

# Ours: enough of a long list to see what is in it.
VALUES_SHOWN_MAX = 20
# Ours: how often two texts are compared for one field; comparing takes a hundred times as long as matching.
COMPARED_MAX = 500


@dataclass(frozen=True, slots=True)
class FieldVerdict:
    """What one field of a pattern made of an event.

    `found` are the event's values as JSON text, () when the field is missing. `decided_by` is the matcher that
    accepted one, None when none did. `wanted` is what the whole value list accepts. `clash` says which elements of an
    array disagree when the values fit but do not lie in one element. `suggestion` is a guess at what was meant.
    `likeness` is how near the event came, from 0 to 1.
    """

    path: str
    found: tuple[str, ...]
    decided_by: str | None
    wanted: str
    matched: bool
    clash: str | None = None
    suggestion: str | None = None
    likeness: float = 0.0


@dataclass(frozen=True, slots=True)
class AlternativeVerdict:
    """All fields of one alternative; a pattern without `$or` has one alternative.

    `branches` are the places of the branches that lead to it: "$or[1]", "detail.$or[0]".
    """

    matched: bool
    fields: tuple[FieldVerdict, ...]
    branches: tuple[str, ...] = ()

    @property
    def missed(self) -> int:
        return sum(not field.matched for field in self.fields)

    @property
    def likeness(self) -> float:
        """How near the fields that were missed came, on average."""
        near = [field.likeness for field in self.fields if not field.matched]
        return sum(near) / len(near) if near else 1.0

    def as_dict(self) -> dict[str, Any]:
        return {"matched": self.matched, "missed": self.missed, "fields": [asdict(field) for field in self.fields]}


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """The best that can come of one branch of a `$or`; `fields` are those that not every alternative has."""

    branch: str
    matched: bool
    fields: tuple[FieldVerdict, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"branch": self.branch, "matched": self.matched, "fields": [asdict(field) for field in self.fields]}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on each alternative, in the pattern's order. `best` is one that matched, or came closest."""

    alternatives: tuple[AlternativeVerdict, ...]

    @property
    def best(self) -> AlternativeVerdict:
        return _best(self.alternatives)

    @property
    def branches(self) -> tuple[BranchVerdict, ...]:
        """What each branch of each `$or` came to, in the pattern's order; () for a pattern without `$or`."""
        leading: dict[str, list[AlternativeVerdict]] = {}
        for verdict in self.alternatives:
            for branch in verdict.branches:
                leading.setdefault(branch, []).append(verdict)
        in_all = set[tuple[str, str]].intersection(
            *({(field.path, field.wanted) for field in verdict.fields} for verdict in self.alternatives)
        )
        found: list[BranchVerdict] = []
        for branch, verdicts in leading.items():
            best = _best(verdicts)
            own = tuple(field for field in best.fields if (field.path, field.wanted) not in in_all)
            found.append(BranchVerdict(branch, best.matched, own))
        return tuple(found)

    @property
    def matched(self) -> bool:
        return any(verdict.matched for verdict in self.alternatives)

    @property
    def fields(self) -> tuple[FieldVerdict, ...]:
        """The fields of the best alternative."""
        return self.best.fields

    @property
    def missed(self) -> int:
        """How many fields of the best alternative were not met; 0 exactly when the pattern matched."""
        return self.best.missed

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `branches` and `alternatives` are there only for a pattern with `$or`."""
        told: dict[str, Any] = {"matched": self.matched, **self.best.as_dict()}
        if len(self.alternatives) > 1:
            told["branches"] = [branch.as_dict() for branch in self.branches]
            told["alternatives"] = [verdict.as_dict() for verdict in self.alternatives]
        return told


def _best(verdicts: Sequence[AlternativeVerdict]) -> AlternativeVerdict:
    return min(verdicts, key=lambda verdict: (verdict.missed, -verdict.likeness))


def explain(pattern: Pattern, event: bytes) -> Explanation:
    """Ask every field of every alternative. Agrees with `Pattern.matches`; raises `InvalidEvent`."""
    return explain_tree(pattern, read_event(event))


def explain_tree(pattern: Pattern, event: dict[str, Tree]) -> Explanation:
    return _explain(pattern, event, paths_of(event))


def fewest_missed(pattern: Pattern, event: dict[str, Tree]) -> int:
    """How many fields of the best alternative are not met; 0 exactly when the pattern matches."""
    leaves = flatten(event, pattern.tree)
    return min(len(one.fields) - len(_met_together(one, leaves)) for one in pattern.alternatives)


def closest(patterns: Mapping[str, Pattern], event: bytes, limit: int = 3) -> list[tuple[str, Explanation]]:
    """The patterns that did not match but missed by the fewest fields; among equals those whose texts came nearest.

    For an event that reached nobody: which rule was meant. At most `limit`; raises `InvalidEvent`.
    """
    tree = read_event(event)
    paths = paths_of(tree)
    explanations = {key: _explain(pattern, tree, paths) for key, pattern in patterns.items()}
    missed = [(key, explanation) for key, explanation in explanations.items() if not explanation.matched]
    missed.sort(key=lambda entry: (entry[1].missed, -entry[1].best.likeness, entry[0]))
    return missed[:limit]


def _explain(pattern: Pattern, tree: dict[str, Tree], paths: Sequence[str]) -> Explanation:
    leaves = flatten(tree, pattern.tree)
    return Explanation(tuple(_explain_alternative(one, leaves, paths) for one in pattern.alternatives))


def _met_together(alternative: Alternative, leaves: Leaves) -> list[Field]:
    """The fields that can be met together, each with those before it."""
    met: list[Field] = []
    for field in alternative.fields:
        if first_unmet([*met, field], leaves) is None:
            met.append(field)
    return met


def _explain_alternative(alternative: Alternative, leaves: Leaves, paths: Sequence[str]) -> AlternativeVerdict:
    """A field counts as met if it can be met together with the fields before it that are."""
    together = dict(_met_together(alternative, leaves))
    met: list[Field] = []
    verdicts: list[FieldVerdict] = []
    for path, conditions in alternative.fields:
        if path in together:
            met.append((path, conditions))
            verdicts.append(_met(path, conditions, leaves.get(path, [])))
        else:
            verdicts.append(_unmet(path, conditions, leaves, met, paths))
    return AlternativeVerdict(len(together) == len(verdicts), tuple(verdicts), alternative.branches)


def _met(path: str, conditions: Sequence[Condition], present: Sequence[Leaf]) -> FieldVerdict:
    deciding = (one for leaf in present for one in conditions if one.accepts(leaf.value))
    decided_by = next(deciding, ABSENT).wanted
    return FieldVerdict(path, _found(present), decided_by, wanted(conditions), matched=True, likeness=1.0)


def _unmet(
    path: str, conditions: Sequence[Condition], leaves: Leaves, met: Sequence[Field], paths: Sequence[str]
) -> FieldVerdict:
    present = leaves.get(path, [])
    clash = suggestion = None
    near = 0.0
    if accepted(conditions, present):
        clash, near = _clash((path, conditions), met, leaves), 1.0
    elif present:
        suggestion, near = _suggest(conditions, [leaf.value for leaf in present])
    else:
        other = nearest_path(path, paths)
        suggestion = f"did you mean the field {other}?" if other is not None else None
    return FieldVerdict(path, _found(present), None, wanted(conditions), False, clash, suggestion, near)


def wanted(conditions: Sequence[Condition]) -> str:
    """What a value list accepts, in words."""
    return " or ".join(dict.fromkeys(condition.wanted for condition in conditions))


def _found(present: Sequence[Leaf]) -> tuple[str, ...]:
    texts = [shown(leaf.value) for leaf in present]
    cut = len(texts) - VALUES_SHOWN_MAX
    return (*texts[:VALUES_SHOWN_MAX], f"… and {cut} more") if cut > 0 else tuple(texts)


def _suggest(conditions: Sequence[Condition], values: Sequence[Scalar]) -> tuple[str | None, float]:
    """A guess at the intended value, and how near the event's values came to a wanted text."""
    words = [word for condition in conditions for word in condition.words][:COMPARED_MAX]
    texts = [value for value in values if isinstance(value, str)][: COMPARED_MAX // max(1, len(words))]
    near = max((likeness(text, word) for text in texts for word in words), default=0.0)
    spaced = next(((text, word) for text in texts for word in words if text.strip() == word.strip()), None)
    if spaced is not None:
        return f"the event's {shown(spaced[0])} and the pattern's {shown(spaced[1])} differ by a space", near
    word = nearest_word(texts, words)
    if word is not None:
        return f"did you mean {shown(word)}?", near
    for value in values:
        kind = "string" if isinstance(value, str) else "number" if not isinstance(value, bool | None) else None
        unquoted = value if isinstance(value, str) else shown(value)
        for condition in conditions:
            if kind == "number" and unquoted in condition.words:
                return f"the event's {unquoted} is a number, the pattern's {condition.wanted} a string", near
            if kind == "string" and condition.wanted == f"the number {unquoted}":
                return f"the event's {shown(value)} is a string, the pattern's {unquoted} a number", near
    return None, near


def _clash(field: Field, met: Sequence[Field], leaves: Leaves) -> str:
    """Name the field and the array elements that this field's fitting values can't be combined with."""
    path, _ = field
    for other in met:
        if first_unmet([other, field], leaves) is None:
            continue
        here, there = _elements(field, leaves), _elements(other, leaves)
        for array in here.keys() & there.keys():
            if not here[array] & there[array]:
                return (
                    f"{path} fits in element {_listed(here[array])} of an array, "
                    f"{other[0]} in element {_listed(there[array])} of it"
                )
        return f"no one element of an array fits both {path} and {other[0]}"
    return f"no one element of an array fits {path} and all of {', '.join(other for other, _ in met)}"


def _elements(field: Field, leaves: Leaves) -> dict[int, set[int]]:
    """In which elements of which arrays a field's fitting values lie."""
    path, conditions = field
    elements: dict[int, set[int]] = {}
    for leaf in accepted(conditions, leaves.get(path, [])):
        for array, index in choice_of(leaf.place):
            elements.setdefault(array, set()).add(index)
    return elements


def _listed(indexes: set[int]) -> str:
    shown_indexes = sorted(indexes)[:VALUES_SHOWN_MAX]
    return ", ".join(str(index) for index in shown_indexes)
