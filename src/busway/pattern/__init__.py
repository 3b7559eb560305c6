"""The event-pattern language: parse, match, explain, mend. Pure. The language is in docs/patterns.md."""

from busway.pattern.edits import Change, Edit, edits, mend, mend_for
from busway.pattern.event_matcher import EventMatcher, new_matcher
from busway.pattern.explain import AlternativeVerdict, BranchVerdict, Explanation, FieldVerdict, closest, explain
from busway.pattern.matcher import Matcher
from busway.pattern.parse import parse
from busway.pattern.rule_pattern import Pattern

__all__ = [
    "AlternativeVerdict",
    "BranchVerdict",
    "Change",
    "Edit",
    "EventMatcher",
    "Explanation",
    "FieldVerdict",
    "Matcher",
    "Pattern",
    "closest",
    "edits",
    "explain",
    "mend",
    "mend_for",
    "new_matcher",
    "parse",
]
