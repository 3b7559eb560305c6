"""Rules of one bus beside each other: which have the same events, or some of them.

Pairs are found by an index, since a thousand rules are half a million pairs: rules that want different strings of
some field are never put beside each other. That loses nothing that could be said: neither has all events of the
other, and an event for both would need a list made for the purpose. What is left is compared up to a limit, and the
rest is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from busway.pattern.exact import StringIs
from busway.pattern.findings import Finding, worst_first
from busway.pattern.overlap import Reach, both, relation
from busway.pattern.rule_pattern import Pattern
from busway.pattern.traps import traps

# Ours: together some seconds. An event for two rules costs more than telling whether one has all that the other has.
PAIRS_MAX = 200_000
EVENTS_TRIED_MAX = 1_000
# How many rules a message names, and how many of those that cover another one a finding has.
NAMED_MAX = 5
COVERING_MAX = 20

Names = tuple[str, ...]
# The strings that a rule wants of a field, where it wants nothing else; by path.
Wanted = dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """Findings, the worst first.

    Of the pairs that could be related, `pairs` were compared and `pairs_left` were not; for `events_left` of those
    that were, no event for both was looked for.
    """

    findings: tuple[Finding, ...]
    pairs: int = 0
    pairs_left: int = 0
    events_left: int = 0


def lint(patterns: Mapping[str, Pattern], pairs_max: int = PAIRS_MAX) -> Report:
    """Everything that is found in the rules of one bus, by name: in each, and of each two.

    `pairs_max` counts pairs of alternatives, which are pairs of rules where there is no `$or`.
    """
    found = [finding for name, pattern in patterns.items() for finding in traps(name, pattern)]
    reaches = {name: Reach(pattern) for name, pattern in patterns.items()}
    alike: dict[object, list[str]] = defaultdict(list)
    for name, reach in reaches.items():
        if reach.alternatives:
            alike[reach.key].append(name)
    groups = {tuple(names): reaches[names[0]] for names in alike.values()}
    compared = _Compared(pairs_max)
    for one, other in _pairs(groups):
        compared.take(one, other, groups)
    found += [_equal(names) for names in (*(names for names in groups if len(names) > 1), *compared.equal)]
    found += [_covered(name, whole) for part, whole in compared.covering.items() for name in part]
    found += compared.overlaps
    ranked = tuple(sorted(found, key=worst_first))
    return Report(ranked, compared.pairs, compared.pairs_left, compared.events_left)


class _Compared:
    """What came of the pairs so far. `covering`: for some rules those that have all their events.

    A pair costs as many comparisons as it has pairs of alternatives, since `$or` may make a thousand of one rule.
    """

    def __init__(self, comparisons_max: int) -> None:
        self.comparisons_left = comparisons_max
        self.equal: list[Names] = []
        self.covering: dict[Names, list[str]] = defaultdict(list)
        self.overlaps: list[Finding] = []
        self.pairs = self.pairs_left = self.events_tried = self.events_left = 0

    def take(self, one: Names, other: Names, groups: Mapping[Names, Reach]) -> None:
        cost = len(groups[one].alternatives) * len(groups[other].alternatives)
        if cost > self.comparisons_left:
            self.pairs_left += 1
            return
        self.pairs += 1
        self.comparisons_left -= cost
        found = relation(groups[one], groups[other])
        if found == "equal":
            self.equal.append((*one, *other))
        elif found == "covers":
            self.covering[other] += one
        elif found == "covered":
            self.covering[one] += other
        elif found == "unknown" and self.events_tried == EVENTS_TRIED_MAX:
            self.events_left += 1
        elif found == "unknown":
            self.events_tried += 1
            event = both(groups[one], groups[other])
            if event is not None:
                said = f"{_told((*one, *other))} have events in common"
                self.overlaps.append(Finding("note", "overlap", (*one, *other), said, event=event))


def _equal(names: Names) -> Finding:
    return Finding("note", "equal", names, f"{_told(names)} match the same events")


def _covered(part: str, whole: Sequence[str]) -> Finding:
    return Finding(
        "note", "covered", (part, *whole[:COVERING_MAX]), f"every event of {part} is one of {_told(whole)} too"
    )


def _told(names: Sequence[str]) -> str:
    if len(names) > NAMED_MAX:
        names = [*names[: NAMED_MAX - 1], f"{len(names) - NAMED_MAX + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _pairs(groups: Mapping[Names, Reach]) -> Iterator[tuple[Names, Names]]:
    """Each two that may be related, once, in an order that is always the same."""
    wanted = {names: _wanted(reach) for names, reach in groups.items()}
    seen: set[tuple[Names, Names]] = set()
    place = {names: at for at, names in enumerate(groups)}
    for one, other in _candidates(list(groups), wanted, frozenset()):
        pair = (one, other) if place[one] < place[other] else (other, one)
        if pair not in seen:
            seen.add(pair)
            yield pair


def _wanted(reach: Reach) -> Wanted:
    """Only fields that every alternative has, with exact strings alone."""
    found: Wanted = {}
    first, *others = reach.alternatives
    for path in first:
        lists = [fields.get(path, ()) for fields in (first, *others)]
        if all(lists) and all(isinstance(each, StringIs) for conditions in lists for each in conditions):
            found[path] = frozenset(
                each.text for conditions in lists for each in conditions if isinstance(each, StringIs)
            )
    return found


def _candidates(
    rules: Sequence[Names], wanted: Mapping[Names, Wanted], asked: frozenset[str]
) -> Iterator[tuple[Names, Names]]:
    """Divide by the field of which most rules want certain strings, and each part by the next such field."""
    counts: dict[str, int] = defaultdict(int)
    for names in rules:
        for path in wanted[names].keys() - asked:
            counts[path] += 1
    path = max(sorted(counts), key=lambda path: counts[path], default=None)
    if path is None or counts[path] < 2:
        yield from combinations(rules, 2)
        return
    parts: dict[str, list[Names]] = defaultdict(list)
    for names in rules:
        for text in sorted(wanted[names].get(path, ())):
            parts[text].append(names)
    for part in parts.values():
        yield from _candidates(part, wanted, asked | {path})
    open_ones = [names for names in rules if path not in wanted[names]]
    yield from _candidates(open_ones, wanted, asked | {path})
    yield from product(open_ones, _distinct(names for names in rules if path in wanted[names]))


def _distinct(names: Iterable[Names]) -> list[Names]:
    return list(dict.fromkeys(names))
