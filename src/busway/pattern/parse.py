"""From a pattern's text to a `Pattern`.

    pattern := object, not empty
    member  := name : object | name : [ matcher, … ] | "$or" : [ object, object, … ]
    matcher := string | number | true | false | null | { operator : argument }

Read token by token from the front, as AWS does, so that of several mistakes the same one is reported. `$or` is
multiplied out while reading: the alternatives so far are copied for each of its branches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from busway.errors import InvalidPattern, MalformedJson
from busway.pattern.address import AddressIs, parse_address
from busway.pattern.anything_but import NotLike
from busway.pattern.conditions import Condition
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.json_text import location
from busway.pattern.numbers import NumberIs, canonical_text
from busway.pattern.pattern_tokens import PatternTokens
from busway.pattern.read_operator import read_operator
from busway.pattern.rule_pattern import Conditions, Pattern, make_pattern
from busway.pattern.wildcard import COMPLEXITY_MAX, TOO_COMPLEX, Wildcard, complexity

# AWS: "over 1000 rule combinations" is refused.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
ALTERNATIVES_MAX = 1_000
# event-ruler's limit of distinct paths in a rule.
FIELDS_MAX = 256
# Ours: keeps every walk that follows a pattern's nesting far from Python's recursion limit.
DEPTH_MAX = 100

# Names that AWS refuses for fields inside $or, so that an operator there is never taken for a field.
RESERVED = frozenset(
    (
        "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
        "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after",
        "date-on-or-after", "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range",
        "ip-address-not-in-range",
    )
)  # fmt: skip


@dataclass(slots=True)
class _Draft:
    """An alternative that is being read: its fields so far, and the branches that were taken to it."""

    fields: dict[str, Conditions] = field(default_factory=dict[str, Conditions])
    branches: tuple[str, ...] = ()

    def within(self, branch: str) -> _Draft:
        return _Draft(dict(self.fields), (*self.branches, branch))


def parse(text: str) -> Pattern:
    """Compile an event pattern. Raises `InvalidPattern` with AWS's reason and, mostly, where it is."""
    tokens = PatternTokens(text)
    alternatives = [_Draft()]
    try:
        if tokens.next() != "{":
            tokens.fail("Filter is not an object")
        _Reader(tokens).object(alternatives, _Place("", "", False, 1))
    except MalformedJson as wrong:
        raise InvalidPattern(wrong.reason, f"\n at {location(text, wrong.consumed)}") from wrong
    drafts = [draft.fields for draft in alternatives]
    _check_size(drafts)
    return make_pattern(text, zip(drafts, (draft.branches for draft in alternatives), strict=True))


def _check_size(alternatives: list[dict[str, Conditions]]) -> None:
    if max(len(fields) for fields in alternatives) > FIELDS_MAX:
        raise InvalidPattern(f"Size of rule exceeds max value of {FIELDS_MAX}")
    wildcards: dict[str, set[Wildcard]] = {}
    # Alternatives share most of their lists.
    for path, conditions in {item for fields in alternatives for item in fields.items()}:
        wildcards.setdefault(path, set()).update(_wildcards(conditions))
    if any(complexity(group) > COMPLEXITY_MAX for group in wildcards.values()):
        raise InvalidPattern(TOO_COMPLEX)


def _wildcards(conditions: Conditions) -> Iterator[Wildcard]:
    for condition in conditions:
        if isinstance(condition, Wildcard):
            yield condition
        elif isinstance(condition, NotLike):
            yield from _wildcards(condition.refused)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object of the pattern stands. `prefix` leads to its fields; `way` names branches too."""

    prefix: str
    way: str
    inside_or: bool
    depth: int

    def below(self, name: str) -> _Place:
        return _Place(f"{self.prefix}{name}.", f"{self.way}{name}.", self.inside_or, self.depth + 1)

    def branch(self, number: int) -> _Place:
        return _Place(self.prefix, f"{self.way}$or[{number}].", True, self.depth + 1)


class _Reader:
    """Reads objects into `alternatives`, every one of which gets every member: the last one of a path wins."""

    def __init__(self, tokens: PatternTokens) -> None:
        self._tokens = tokens

    def object(self, alternatives: list[_Draft], place: _Place) -> None:
        """Read the object whose opening brace is current, to its closing brace."""
        tokens = self._tokens
        if place.depth > DEPTH_MAX:
            tokens.fail(f"Pattern is nested deeper than {DEPTH_MAX} levels")
        if tokens.next() != "name":
            tokens.fail("Empty objects are not allowed")
        while tokens.kind == "name":
            name = tokens.text()
            if name == "$or":
                tokens.next()
                self._or(alternatives, place)
            else:
                if place.inside_or and name in RESERVED:
                    tokens.fail(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
                tokens.next()
                self._member(alternatives, place, name)
            tokens.next()

    def _member(self, alternatives: list[_Draft], place: _Place, name: str) -> None:
        if self._tokens.kind == "{":
            self.object(alternatives, place.below(name))
        elif self._tokens.kind == "[":
            conditions = self._list()
            for draft in alternatives:
                draft.fields[place.prefix + name] = conditions
        else:
            self._tokens.fail(f'"{name}" must be an object or an array')

    def _or(self, alternatives: list[_Draft], place: _Place) -> None:
        tokens = self._tokens
        if tokens.kind != "[":
            tokens.fail("It must be an Array followed with $or.")
        multiplied: list[_Draft] = []
        branches = 0
        while (kind := tokens.next()) != "]":
            if kind != "{":
                tokens.fail("Only JSON object is allowed in array of $or relationship.")
            inside = place.branch(branches)
            branch = [draft.within(inside.way[:-1]) for draft in alternatives]
            self.object(branch, inside)
            multiplied.extend(branch)
            branches += 1
            if len(multiplied) > ALTERNATIVES_MAX:
                tokens.fail(f"$or leads to over {ALTERNATIVES_MAX} rule combinations")
        if branches < 2:
            tokens.fail("There must have at least 2 Objects in $or relationship.")
        alternatives[:] = multiplied

    def _list(self) -> Conditions:
        tokens = self._tokens
        conditions: list[Condition] = []
        while tokens.next() != "]":
            conditions.append(self._matcher())
        if not conditions:
            tokens.fail("Empty arrays are not allowed")
        return tuple(conditions)

    def _matcher(self) -> Condition:
        tokens = self._tokens
        if tokens.kind == "string":
            text = tokens.text()
            address = parse_address(text)
            return StringIs(text) if address is None else AddressIs(address, text)
        if tokens.kind == "number":
            return NumberIs(canonical_text(tokens.text()), tokens.text())
        if tokens.kind in ("true", "false", "null"):
            return LiteralIs({"true": True, "false": False}.get(tokens.kind))
        if tokens.kind != "{":
            tokens.fail("Match value must be String, number, true, false, or null")
        return read_operator(tokens)
