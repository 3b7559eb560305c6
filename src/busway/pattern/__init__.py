"""The event-pattern language: parse, match, explain, mend, make events of it. Pure: no clock, no I/O.

The language is in docs/patterns.md.
"""

from busway.pattern.edits import Change, Edit, edits, mend, mend_event, mend_for
from busway.pattern.event_matcher import EventMatcher, default_implementation, new_matcher
from busway.pattern.explain import AlternativeVerdict, BranchVerdict, Explanation, closest, explain
from busway.pattern.field_verdicts import FieldVerdict
from busway.pattern.matcher import Matcher
from busway.pattern.parse import parse
from busway.pattern.rule_pattern import Pattern
from busway.pattern.sample import NearMiss, near_miss, near_misses, sample, samples
from busway.pattern.sample_event import event_text

__all__ = [
    "AlternativeVerdict",
    "BranchVerdict",
    "Change",
    "Edit",
    "EventMatcher",
    "Explanation",
    "FieldVerdict",
    "Matcher",
    "NearMiss",
    "Pattern",
    "closest",
    "default_implementation",
    "edits",
    "event_text",
    "explain",
    "mend",
    "mend_event",
    "mend_for",
    "near_miss",
    "near_misses",
    "new_matcher",
    "parse",
    "sample",
    "samples",
]
