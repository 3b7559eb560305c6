"""Why a pattern matched an event or did not, field by field, for people and for `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from busway.pattern.event_tree import Tree, read_event
from busway.pattern.field_verdicts import FieldVerdict, FieldVerdicts
from busway.pattern.rule_pattern import Pattern
from busway.pattern.suggest import EventPaths

# What a field asks: its path, and the wanted values in words.
_Asked: TypeAlias = "tuple[str, str]"


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
        return {"matched": self.matched, "missed": self.missed, "fields": [field.as_dict() for field in self.fields]}


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """The best that can come of one branch of a `$or`; `fields` are those that stand in the branch itself.

    Whether it matched is said of the branch alone, with the branches that are in it.
    """

    branch: str
    matched: bool
    fields: tuple[FieldVerdict, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"branch": self.branch, "matched": self.matched, "fields": [field.as_dict() for field in self.fields]}


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
        asked: dict[str, list[set[_Asked]]] = {}
        for verdict in self.alternatives:
            fields = {(field.path, field.wanted) for field in verdict.fields}
            for branch in ("", *verdict.branches):
                leading.setdefault(branch, []).append(verdict)
                asked.setdefault(branch, []).append(fields)
        shared = {branch: of_each[0].intersection(*of_each) for branch, of_each in asked.items()}
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
    return _explanation(FieldVerdicts(pattern, event, EventPaths(event)))


def fewest_missed(pattern: Pattern, event: dict[str, Tree]) -> int:
    """How many fields of the best alternative are not met; 0 exactly when the pattern matches."""
    return FieldVerdicts(pattern, event, EventPaths(event)).fewest_missed()


def closest(patterns: Mapping[str, Pattern], event: bytes, limit: int = 3) -> list[tuple[str, Explanation]]:
    """The patterns that did not match but missed by the fewest fields; among equals those whose texts came nearest.

    For an event that reached nobody: which rule was meant. At most `limit`; raises `InvalidEvent`.
    """
    tree = read_event(event)
    paths = EventPaths(tree)
    judged = {key: FieldVerdicts(pattern, tree, paths) for key, pattern in patterns.items()}
    missed = {key: count for key, verdicts in judged.items() if (count := verdicts.fewest_missed())}
    # How near texts came costs far more than counting, and decides only between equals.
    fewest = sorted(missed.values())[:limit]
    near = [(key, _explanation(judged[key])) for key, count in missed.items() if count in fewest]
    near.sort(key=lambda entry: (entry[1].missed, -entry[1].best.likeness, entry[0]))
    return near[:limit]


def _explanation(verdicts: FieldVerdicts) -> Explanation:
    return Explanation(
        tuple(
            AlternativeVerdict(all(field.matched for field in fields), fields, branches)
            for fields, branches in verdicts.of_alternatives()
        )
    )
