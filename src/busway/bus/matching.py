"""Which subscribers an entry of a journal is for, given the rules that stand before it. Pure.

    walk        entries → events with the rules that match them, applying changes of rules where they lie
    expected    the same as pairs of (offset, subscriber): what the journal says must have been delivered

The router walks with `MatchingRules` (one pass for all rules), `busway verify` with `ReferenceRules` (each pattern by
itself): two ways to the same pairs, so that a fault in one shows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import msgspec

from busway.bus.envelope import ID_AT, KIND_RULE, MEMBERS, NO_NOTES, Notes, unframe
from busway.bus.record import Rule, RuleChange, decode_change, rule_of, settle_since
from busway.delivery import Subscriber
from busway.engine import Entry
from busway.errors import InvalidPattern
from busway.pattern import Pattern, new_matcher, parse

log = logging.getLogger(__name__)


Armed = tuple[Rule, Pattern]
# The rules that match, and by ARN what went wrong with those of them that couldn't be asked.
Matched = tuple[Sequence[Rule], Mapping[str, Exception]]
NO_ERRORS: Mapping[str, Exception] = MappingProxyType({})


class RuleSet(Protocol):
    """The rules in force at one place of a journal."""

    def put(self, arn: str, rule: Rule | None) -> None:
        """From here on the rule `arn` is this, or (None) isn't."""
        ...

    def match(self, event: bytes) -> Matched:
        """The enabled rules that match, in no order. Never raises."""
        ...


class ReferenceRules:
    """Rule by rule with `Pattern.matches`: slow and plain."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._armed: dict[str, Armed] = {}
        for rule in rules:
            self.put(rule.arn, rule)

    def put(self, arn: str, rule: Rule | None) -> None:
        self._armed.pop(arn, None)
        pattern = pattern_of(rule)
        if rule is not None and pattern is not None:
            self._armed[arn] = (rule, pattern)

    def match(self, event: bytes) -> Matched:
        return match_each(self._armed.values(), event)


class MatchingRules:
    """All rules in one pass: what an event costs doesn't grow with rules that look at other values."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._matcher = new_matcher(members=MEMBERS)
        self._armed: dict[str, Armed] = {}
        for rule in rules:
            self.put(rule.arn, rule)

    def put(self, arn: str, rule: Rule | None) -> None:
        if self._armed.pop(arn, None) is not None:
            self._matcher.remove(arn)
        pattern = pattern_of(rule)
        if rule is not None and pattern is not None:
            self._matcher.add(arn, pattern)
            self._armed[arn] = (rule, pattern)

    def match(self, event: bytes) -> Matched:
        armed = self._armed
        try:
            return [armed[arn][0] for arn in self._matcher.match(event)], NO_ERRORS
        except Exception:
            log.exception("event %s can't be matched in one pass", _identity(event))
            return match_each(armed.values(), event)


def match_each(armed: Iterable[Armed], event: bytes) -> Matched:
    """Each pattern by itself. One that can't be asked counts as a match, so that the event isn't lost in silence."""
    rules: list[Rule] = []
    errors: dict[str, Exception] = {}
    for rule, pattern in armed:
        try:
            matches = pattern.matches(event)
        except Exception as error:
            log.exception("rule %s can't be asked about event %s", rule.arn, _identity(event))
            errors[rule.arn] = error
            matches = True
        if matches:
            rules.append(rule)
    return rules, errors


def _identity(event: bytes) -> str:
    return event[ID_AT].decode(errors="replace")


def pattern_of(rule: Rule | None) -> Pattern | None:
    """The pattern by which a rule takes part; None for one that is absent or disabled."""
    if rule is None or not rule.enabled or rule.pattern is None:
        return None
    try:
        return parse(rule.pattern)
    except InvalidPattern as error:
        # PutRule parsed it, so another version of Busway wrote it. One rule must not stop the bus.
        log.error("rule %s takes part in nothing: %s", rule.arn, error)
        return None


class Step(msgspec.Struct, frozen=True, gc=False):
    """One entry as the walk meets it: an event with its notes and rules, or a change of a rule."""

    entry: Entry
    event: bytes = b""
    notes: Notes = NO_NOTES
    rules: Sequence[Rule] = ()
    errors: Mapping[str, Exception] = NO_ERRORS
    change: RuleChange | None = None


def walk(entries: Iterable[Entry], rules: RuleSet) -> Iterator[Step]:
    """Entry after entry; `rules` changes along the way."""
    for entry in entries:
        if entry.data[:1] == KIND_RULE:
            change = decode_change(entry.data)
            apply(rules, change, entry.offset)
            yield Step(entry, change=change)
        else:
            event, notes = unframe(entry.data)
            yield Step(entry, event, notes, *rules.match(event))


def apply(rules: RuleSet, change: RuleChange, offset: int) -> None:
    """Let a change of a rule that stands at `offset` take effect."""
    definition = change.definition
    rules.put(change.rule_arn, rule_of(settle_since(definition, offset), offset) if definition else None)


def expected(entries: Iterable[Entry], rules: RuleSet) -> Iterator[tuple[int, Subscriber]]:
    """(offset, subscriber) of every delivery that these entries ask for; `rules` as they stand before the first."""
    for step in walk(entries, rules):
        for rule in step.rules:
            for subscriber in rule.subscribers:
                yield step.entry.offset, subscriber
