"""The event-pattern language: parse, match, explain, make events of it. Pure: no clock, no I/O.

The language is in docs/patterns.md.
"""

from busway.pattern.event_matcher import EventMatcher, new_matcher
from busway.pattern.explain import AlternativeVerdict, Explanation, FieldVerdict, closest, explain
from busway.pattern.matcher import Matcher
from busway.pattern.parse import parse
from busway.pattern.rule_pattern import Pattern
from busway.pattern.sample import NearMiss, near_miss, near_misses, sample, samples
from busway.pattern.sample_event import event_text

__all__ = [
    "AlternativeVerdict",
    "EventMatcher",
    "Explanation",
    "FieldVerdict",
    "Matcher",
    "NearMiss",
    "Pattern",
    "closest",
    "event_text",
    "explain",
    "near_miss",
    "near_misses",
    "new_matcher",
    "parse",
    "sample",
    "samples",
]
