"""From a pattern's text to a `Pattern`.

    pattern := object, not empty
    member  := name : object | name : [ matcher, … ] | "$or" : [ object, object, … ]
    matcher := string | number | true | false | null | { operator : argument }

Read token by token from the front, as AWS does, so that of several mistakes the same one is reported. What was read
is an outline, which is multiplied out at the end; too many alternatives are refused where there are too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from busway.errors import InvalidPattern, MalformedJson
from busway.pattern.address import AddressIs, parse_address
from busway.pattern.anything_but import NotLike
from busway.pattern.conditions import Condition, Conditions, Field
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.json_text import location
from busway.pattern.numbers import NumberIs, canonical_text
from busway.pattern.outline import Clause, Counting, Or, readings
from busway.pattern.pattern_tokens import PatternTokens
from busway.pattern.read_operator import read_operator
from busway.pattern.rule_pattern import Pattern, make_pattern
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


def parse(text: str) -> Pattern:
    """Compile an event pattern. Raises `InvalidPattern` with AWS's reason and, mostly, where it is."""
    tokens = PatternTokens(text)
    try:
        if tokens.next() != "{":
            tokens.fail("Filter is not an object")
        outline = _Reader(tokens).clause(_Place("", "", False, 1), _Draft())
    except MalformedJson as wrong:
        raise InvalidPattern(wrong.reason, f"\n at {location(text, wrong.consumed)}") from wrong
    alternatives = [reading[outline] for reading in readings(outline)]
    _check_size(alternatives)
    return make_pattern(text, alternatives, outline, text[tokens.consumed :].strip())


def _check_size(alternatives: Sequence[Counting]) -> None:
    if max(len(fields) for fields in alternatives) > FIELDS_MAX:
        raise InvalidPattern(f"Size of rule exceeds max value of {FIELDS_MAX}")
    wildcards: dict[str, set[Wildcard]] = {}
    # Alternatives share most of their lists.
    for path, conditions in {id(one): one for fields in alternatives for one in fields.values()}.values():
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


@dataclass(slots=True)
class _Draft:
    """A clause that is being read: what stands in it so far, and how many alternatives the pattern has up to here."""

    alternatives: int = 1
    members: list[Field | Or] = field(default_factory=list["Field | Or"])


class _Reader:
    """Reads objects into the clause that they stand in."""

    def __init__(self, tokens: PatternTokens) -> None:
        self._tokens = tokens

    def clause(self, place: _Place, draft: _Draft) -> Clause:
        self._object(place, draft)
        return Clause(place.way[:-1], tuple(draft.members))

    def _object(self, place: _Place, draft: _Draft) -> None:
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
                self._or(place, draft)
            else:
                if place.inside_or and name in RESERVED:
                    tokens.fail(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
                tokens.next()
                self._member(place, draft, name)
            tokens.next()

    def _member(self, place: _Place, draft: _Draft, name: str) -> None:
        if self._tokens.kind == "{":
            self._object(place.below(name), draft)
        elif self._tokens.kind == "[":
            draft.members.append((place.prefix + name, self._list()))
        else:
            self._tokens.fail(f'"{name}" must be an object or an array')

    def _or(self, place: _Place, draft: _Draft) -> None:
        tokens = self._tokens
        if tokens.kind != "[":
            tokens.fail("It must be an Array followed with $or.")
        branches: list[Clause] = []
        multiplied = 0
        while (kind := tokens.next()) != "]":
            if kind != "{":
                tokens.fail("Only JSON object is allowed in array of $or relationship.")
            branch = _Draft(draft.alternatives)
            branches.append(self.clause(place.branch(len(branches)), branch))
            multiplied += branch.alternatives
            if multiplied > ALTERNATIVES_MAX:
                tokens.fail(f"$or leads to over {ALTERNATIVES_MAX} rule combinations")
        if len(branches) < 2:
            tokens.fail("There must have at least 2 Objects in $or relationship.")
        draft.members.append(Or(tuple(branches)))
        draft.alternatives = multiplied

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
