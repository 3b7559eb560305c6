"""All patterns at once, in one pass over the event.

Every alternative of every pattern is a path through a tree of states, one step a field:

    (start) --source ["shop"]--> ( ) --detail-type ["Order Placed"]--> (rule 1)
                                  +---detail-type ["Order Paid"]-----> (rule 2)
    (start) --detail.total [numeric > 100]--> (rule 3)

Patterns with the same conditions on the same field share a step. At each state a `ValueIndex` for each field says
which steps the event's values open, so rules on other fields or values are never looked at. The fields of an
alternative are taken most selective first (exact values, then ranges, anything-but, absence), so that few states are
reached.

A step is a whole value list, not one value: a rule with ten values in each of ten fields is ten states, not 10**10.
Counting met fields for each rule was the other way; it touches every rule that shares one common value.

In a plain event (no array of objects where rules look) the states reached are the answer. Otherwise they are
candidates, and each is asked again with the full rules for arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import compress

from busway.pattern.array_consistency import met_together
from busway.pattern.conditions import Condition, Conditions
from busway.pattern.event_tree import Scalar, Tree, distinct, read_event
from busway.pattern.flatten import FieldTree, collect, flatten
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Alternative, Pattern
from busway.pattern.skim import Skim
from busway.pattern.value_index import ValueIndex


class Matcher:
    """An `EventMatcher` in Python. Not safe for use by several threads at once."""

    def __init__(self, members: Iterable[str] | None = None) -> None:
        """`members`: the caller vouches that events have these members, each once, and no others; None: anything."""
        self._members = None if members is None else frozenset(members)
        self._skim: Skim | None = None
        self._start = _State()
        self._patterns: dict[str, Pattern] = {}
        self._fields = FieldTree()
        self._uses: Counter[str] = Counter()  # of each path, by alternatives

    def __len__(self) -> int:
        return len(self._patterns)

    def add(self, key: str, pattern: Pattern) -> None:
        """Take a pattern in under `key`, in place of the one it had."""
        self.remove(key)
        self._patterns[key] = pattern
        self._skim = None
        for alternative in pattern.alternatives:
            state = self._start
            for path, conditions in _by_selectivity(alternative):
                state = state.step(path, conditions)
                self._uses[path] += 1
                self._fields.add(path)
            state.keys[key] = alternative

    def remove(self, key: str) -> None:
        """Forget a key; an unknown one changes nothing."""
        pattern = self._patterns.pop(key, None)
        self._skim = None
        for alternative in pattern.alternatives if pattern is not None else ():
            fields = _by_selectivity(alternative)
            way = [self._start]
            for path, conditions in fields:
                way.append(way[-1].fields[path].steps[conditions])
                self._uses[path] -= 1
                if not self._uses[path]:
                    del self._uses[path]
                    self._fields.discard(path)
            del way[-1].keys[key]
            for state, child, (path, conditions) in reversed(list(zip(way[:-1], way[1:], fields, strict=True))):
                if child.empty:
                    state.forget(path, conditions)

    def match(self, event: bytes) -> list[str]:
        """The keys whose pattern matches, each once. Raises `InvalidEvent` unless the event is a JSON object."""
        if self._members is not None:
            if self._skim is None:
                self._skim = Skim(self._fields, self._members)
            values = self._skim.values(event)
            if values is not None:
                return self._plain(values)
        return self.match_tree(read_event(event))

    def match_tree(self, event: dict[str, Tree]) -> list[str]:
        """As `match`, for an event that `read_event` has read."""
        values: dict[str, list[Scalar]] = {}
        if collect(event, self._fields, values):
            return self._plain(values)
        leaves = flatten(event, self._fields)
        values = {path: distinct(leaf.value for leaf in found) for path, found in leaves.items()}
        reached = self._reached(values, plain=False)
        # Keys that end at one state have equal alternatives: one verdict is for all.
        met = met_together([next(iter(state.keys.values())).fields for state in reached], leaves)
        return list(dict.fromkeys(key for state in compress(reached, met) for key in state.keys))

    def _plain(self, values: dict[str, list[Scalar]]) -> list[str]:
        """The keys that match an event of which `values` is all that matters."""
        reached = self._reached(values, plain=True)
        if len(reached) == 1:
            return list(reached[0].keys)
        return list(dict.fromkeys(key for state in reached for key in state.keys))

    def _reached(self, values: dict[str, list[Scalar]], plain: bool) -> list[_State]:
        """The states at which an alternative ends, each once.

        Not `plain`: a field may be absent for one array element and present for another, so absence is always taken
        as possible.
        """
        ends: list[_State] = []
        waiting = [self._start]
        for state in waiting:
            if state.keys:
                ends.append(state)
            fields = state.fields
            if len(fields) <= len(values):
                for path, field in fields.items():
                    found = values.get(path)
                    if found is not None:
                        # Nearly always one value in a plain event: straight to the index.
                        waiting += field.find(found[0]) if plain and len(found) == 1 else field.opened(found, plain)
            else:
                for path, found in values.items():
                    if path in fields:
                        waiting += fields[path].opened(found, plain)
            if state.optional:
                waiting += [
                    opened for path, field in state.optional.items() if path not in values for opened in field.absent
                ]
        return ends


class _State:
    """Where some alternatives are after the same steps. `keys` end here, all with the same alternative."""

    __slots__ = ("fields", "keys", "optional")

    def __init__(self) -> None:
        self.fields: dict[str, _Field] = {}
        self.optional: dict[str, _Field] = {}  # those of `fields` that absence opens
        self.keys: dict[str, Alternative] = {}

    @property
    def empty(self) -> bool:
        return not self.fields and not self.keys

    def step(self, path: str, conditions: Conditions) -> _State:
        """The state behind these conditions on this field; made if there is none."""
        if path not in self.fields:
            self.fields[path] = _Field()
        field = self.fields[path]
        if conditions not in field.steps:
            state = field.steps[conditions] = _State()
            for condition in dict.fromkeys(conditions):
                field.put(condition, state)
            if field.absent:
                self.optional[path] = field
        return field.steps[conditions]

    def forget(self, path: str, conditions: Conditions) -> None:
        field = self.fields[path]
        state = field.steps.pop(conditions)
        for condition in dict.fromkeys(conditions):
            field.take(condition, state)
        if not field.absent:
            self.optional.pop(path, None)
        if not field.steps:
            del self.fields[path]


class _Field:
    """The steps that lead on from a state on one field: `find` gives those that one value opens."""

    __slots__ = ("_index", "absent", "find", "steps")

    def __init__(self) -> None:
        self.steps: dict[Conditions, _State] = {}
        self.absent: list[_State] = []
        self._index: ValueIndex[_State] = ValueIndex()
        self.find = self._index.find

    def opened(self, values: list[Scalar], plain: bool) -> list[_State]:
        """The states that some value of a present field leads to, each once."""
        opened = dict.fromkeys(state for value in values for state in self.find(value))
        if not plain:
            opened.update(dict.fromkeys(self.absent))
        return list(opened)

    def put(self, condition: Condition, state: _State) -> None:
        if condition == ABSENT:
            self.absent.append(state)
        else:
            self._index.put(condition, state)

    def take(self, condition: Condition, state: _State) -> None:
        if condition == ABSENT:
            self.absent.remove(state)
        else:
            self._index.take(condition, state)


def _by_selectivity(alternative: Alternative) -> list[tuple[str, Conditions]]:
    """The fields in the order of the steps: the same for equal alternatives."""
    return sorted(alternative.fields, key=lambda field: max(condition.selectivity for condition in field[1]))
