"""Why a pattern matched an event or did not, field by field, for people and for `--json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from busway.pattern.event_tree import Tree, read_event
from busway.pattern.field_verdicts import FieldVerdict, FieldVerdicts
from busway.pattern.outline import Clause, clauses, readings
from busway.pattern.rule_pattern import Pattern, in_order
from busway.pattern.suggest import EventPaths


@dataclass(frozen=True, slots=True)
class AlternativeVerdict:
    """All fields of one alternative; a pattern without `$or` has one alternative."""

    matched: bool
    fields: tuple[FieldVerdict, ...]

    @property
    def missed(self) -> int:
        return self.distance[0]

    @property
    def distance(self) -> tuple[int, float]:
        """How many fields were missed, and how far these were on average."""
        return _distance(self.fields)

    def as_dict(self) -> dict[str, Any]:
        return {"matched": self.matched, "missed": self.missed, "fields": [field.as_dict() for field in self.fields]}


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """The best that can come of one branch of a `$or`; `fields` are those that stand in the branch itself.

    `branch` is its place, as "detail.$or[1]". Whether it matched is said of the branch alone, with the branches that
    are in it; only of arrays it also holds what the fields around it chose.
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
    judged: FieldVerdicts = field(repr=False, compare=False)

    @property
    def best(self) -> AlternativeVerdict:
        return min(self.alternatives, key=lambda verdict: verdict.distance)

    @property
    def branches(self) -> tuple[BranchVerdict, ...]:
        """What each branch of each `$or` came to, in the pattern's order; () for a pattern without `$or`."""
        return tuple(_of_clauses(self.judged)[1:])

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
        """For JSON. A pattern with `$or` has also `outside`, the fields that stand in no branch, and the branches."""
        told: dict[str, Any] = {"matched": self.matched, **self.best.as_dict()}
        if self.judged.pattern.outline.branches:
            pattern, *branches = _of_clauses(self.judged)
            told["outside"] = pattern.as_dict()["fields"]
            told["branches"] = [branch.as_dict() for branch in branches]
            told["alternatives"] = [verdict.as_dict() for verdict in self.alternatives]
        return told


def _of_clauses(judged: FieldVerdicts) -> list[BranchVerdict]:
    """What came of the pattern, with its fields outside of `$or`, and then of each branch."""
    outline = judged.pattern.outline
    told: dict[Clause, list[dict[int, FieldVerdict]]] = {clause: [] for clause in clauses(outline)}
    for reading in readings(outline):
        fields = in_order(reading[outline])
        counting = dict(zip(map(id, fields), judged.of(fields), strict=True))
        for clause, inside in reading.items():
            # A list that counts in its branch alone, but not in the pattern, is told by itself.
            told[clause].append({id(one): counting.get(id(one)) or judged.of([one])[0] for one in in_order(inside)})
    return [_of_clause(clause, of_readings) for clause, of_readings in told.items()]


def _of_clause(clause: Clause, told: Iterable[Mapping[int, FieldVerdict]]) -> BranchVerdict:
    """The best of its readings; of equally good ones that in which most of the fields in the clause itself count."""
    own = set(map(id, clause.fields))
    best = min(told, key=lambda one: (_distance(one.values()), -len(own & one.keys())))
    matched = all(verdict.matched for verdict in best.values())
    return BranchVerdict(clause.place, matched, tuple(verdict for one, verdict in best.items() if one in own))


def _distance(fields: Iterable[FieldVerdict]) -> tuple[int, float]:
    """How many of the fields were missed, and how far these were on average."""
    far = [1.0 - field.likeness for field in fields if not field.matched]
    return len(far), sum(far) / len(far) if far else 0.0


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
    near.sort(key=lambda entry: (entry[1].best.distance, entry[0]))
    return near[:limit]


def _explanation(judged: FieldVerdicts) -> Explanation:
    of_alternatives = judged.of_alternatives()
    verdicts = (AlternativeVerdict(all(field.matched for field in fields), fields) for fields in of_alternatives)
    return Explanation(tuple(verdicts), judged)
