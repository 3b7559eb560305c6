"""The event-pattern language: parse, match, explain. Pure: no clock, no I/O. The language is in docs/patterns.md."""

from busway.pattern.event_matcher import EventMatcher, default_implementation, new_matcher
from busway.pattern.explain import AlternativeVerdict, Explanation, FieldVerdict, closest, explain
from busway.pattern.matcher import Matcher
from busway.pattern.parse import parse
from busway.pattern.rule_pattern import Pattern

__all__ = [
    "AlternativeVerdict",
    "EventMatcher",
    "Explanation",
    "FieldVerdict",
    "Matcher",
    "Pattern",
    "closest",
    "default_implementation",
    "explain",
    "new_matcher",
    "parse",
]
