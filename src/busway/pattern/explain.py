"""Why a pattern matched an event or did not, field by field, for people and for `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from busway.pattern.array_consistency import accepted, first_unmet
from busway.pattern.asked_fields import Field
from busway.pattern.conditions import Condition, shown
from busway.pattern.event_tree import Tree, read_event
from busway.pattern.flatten import Leaf, Leaves, flatten
from busway.pattern.likeness import paths_of
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Alternative, Pattern
from busway.pattern.suggest import about_field, about_values

# What a field asks: its path, and the wanted values in words.
_Asked: TypeAlias = "tuple[str, str]"

# Ours: enough of a long list to see what is in it.
VALUES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class FieldVerdict:
    """What one field of a pattern made of an event.

    `found` are the event's values as JSON text, () when the field is missing. `decided_by` is the matcher that
    accepted one, None when none did. `wanted` is what the whole value list accepts. `clash` says which elements of an
    array disagree when the values fit but do not lie in one element. `suggestion` is what was probably mistaken.
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
    """The best that can come of one branch of a `$or`; `fields` are those that stand in the branch itself.

    Whether it matched is said of the branch alone, with the branches that are in it.
    """

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
            for branch in ("", *verdict.branches):
                leading.setdefault(branch, []).append(verdict)
        shared = {branch: _asked_by_all(verdicts) for branch, verdicts in leading.items()}
        found: list[BranchVerdict] = []
        for branch, verdicts in leading.items():
            around = [other for other in leading if not other or branch.startswith(f"{other}.")]
            outside = set[_Asked]().union(*(shared[other] for other in around))
            best = _best([_within(verdict, branch, shared, outside) for verdict in verdicts])
            own = tuple(field for field in best.fields if (field.path, field.wanted) in shared[branch])
            found.append(BranchVerdict(branch, not best.missed, own))
        return tuple(found[1:])

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


def _asked_by_all(verdicts: Sequence[AlternativeVerdict]) -> set[_Asked]:
    first, *others = ({(field.path, field.wanted) for field in verdict.fields} for verdict in verdicts)
    return first.intersection(*others)


def _within(
    verdict: AlternativeVerdict, branch: str, shared: Mapping[str, set[_Asked]], outside: set[_Asked]
) -> AlternativeVerdict:
    """Of the fields, those that stand in the branch and in the branches that are in it."""
    inside = [shared[one] for one in verdict.branches if one == branch or one.startswith(f"{branch}.")]
    asked = set[_Asked]().union(*inside) - outside
    fields = tuple(field for field in verdict.fields if (field.path, field.wanted) in asked)
    return AlternativeVerdict(all(field.matched for field in fields), fields)


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
    return Explanation(tuple(_explain_alternative(one, leaves, tree, paths) for one in pattern.alternatives))


def _met_together(alternative: Alternative, leaves: Leaves) -> list[Field]:
    """The fields that can be met together, each with those before it."""
    # Those before the first unmet one are met together, which spares asking after each.
    first = first_unmet(alternative.fields, leaves)
    met: list[Field] = [*alternative.fields[:first]]
    for field in () if first is None else alternative.fields[first + 1 :]:
        if first_unmet([*met, field], leaves) is None:
            met.append(field)
    return met


def _explain_alternative(
    alternative: Alternative, leaves: Leaves, tree: dict[str, Tree], paths: Sequence[str]
) -> AlternativeVerdict:
    """A field counts as met if it can be met together with the fields before it that are."""
    together = dict(_met_together(alternative, leaves))
    met: list[Field] = []
    verdicts: list[FieldVerdict] = []
    for path, conditions in alternative.fields:
        if path in together:
            met.append((path, conditions))
            verdicts.append(_met(path, conditions, leaves.get(path, [])))
        else:
            verdicts.append(_unmet((path, conditions), leaves, met, tree, paths))
    return AlternativeVerdict(len(together) == len(verdicts), tuple(verdicts), alternative.branches)


def _met(path: str, conditions: Sequence[Condition], present: Sequence[Leaf]) -> FieldVerdict:
    deciding = (one for leaf in present for one in conditions if one.accepts(leaf.value))
    decided_by = next(deciding, ABSENT).wanted
    return FieldVerdict(path, _found(present), decided_by, wanted(conditions), matched=True, likeness=1.0)


def _unmet(
    field: Field, leaves: Leaves, met: Sequence[Field], tree: dict[str, Tree], paths: Sequence[str]
) -> FieldVerdict:
    path, conditions = field
    present = leaves.get(path, [])
    clash = suggestion = None
    near = 0.0
    if accepted(conditions, present):
        clash, near = _clash(field, met, leaves), 1.0
    elif present:
        suggestion, near = about_values(conditions, [leaf.value for leaf in present])
    else:
        suggestion = about_field(path, tree, paths)
    return FieldVerdict(path, _found(present), None, wanted(conditions), False, clash, suggestion, near)


def wanted(conditions: Sequence[Condition]) -> str:
    """What a value list accepts, in words."""
    return " or ".join(dict.fromkeys(condition.wanted for condition in conditions))


def _found(present: Sequence[Leaf]) -> tuple[str, ...]:
    texts = [shown(leaf.value) for leaf in present]
    cut = len(texts) - VALUES_SHOWN_MAX
    return (*texts[:VALUES_SHOWN_MAX], f"… and {cut} more") if cut > 0 else tuple(texts)


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
        place = leaf.place
        while place is not None:
            elements.setdefault(place.array, set()).add(place.element)
            place = place.around
    return elements


def _listed(indexes: set[int]) -> str:
    shown_indexes = sorted(indexes)[:VALUES_SHOWN_MAX]
    return ", ".join(str(index) for index in shown_indexes)
