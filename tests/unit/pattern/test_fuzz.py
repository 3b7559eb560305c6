"""Whatever text comes, patterns and events are taken or refused, and nothing else happens.

Most of the texts are patterns and events with a character more, less or doubled. `BUSWAY_NIGHTLY=1` runs a hundred
times as many.
"""

import json
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from busway.errors import InvalidEvent, InvalidPattern
from busway.pattern import Matcher, edits, explain, mend, mend_for, parse

from .test_agreement import EVENTS, EXAMPLES, PATTERNS

ROUNDS = EXAMPLES * (400 if os.environ.get("BUSWAY_NIGHTLY") else 4)

NAMES = st.sampled_from(
    ["exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr",
     "$or", "EXISTS", "", "a", "a.b", "detail", "source"]
)  # fmt: skip
SCALARS = st.one_of(
    st.text("*\\ax.:/1 \ud800\udfff😀ßİK", max_size=8), st.integers(), st.floats(), st.booleans(), st.none(),
    st.sampled_from(["10.0.0.0/8", "::1", "a**", "a\\b", "<", ">=", "="]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
NOISE = st.text("{}[]\",:\\ \n\tantrue0123456789.eE+-$or*'/#", max_size=60)
INSERTED = '{}[]",:\\*1e.-$ \x00\ud800'


def changed(text: str, chance: random.Random) -> str:
    """The text with up to two places spoiled."""
    for _ in range(chance.randint(0, 2)):
        at = chance.randrange(len(text)) if text else 0
        text = chance.choice(
            [
                text[:at] + text[at + 1 :],
                text[:at] + chance.choice(INSERTED) + text[at:],
                text[:at] + text[at : at + 5] + text[at:],
                text[:at],
            ]
        )
    return text


def spoiled(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(changed, texts, st.randoms(use_true_random=False))


ANY_PATTERN = st.one_of(PATTERNS, spoiled(PATTERNS), spoiled(TREES.map(json.dumps)), NOISE)
ANY_EVENT = st.one_of(EVENTS, spoiled(EVENTS), spoiled(TREES.map(json.dumps)), NOISE)
OTHER = parse('{"a":["x"],"detail":{"source":["y"]}}')


@pytest.mark.slow
@settings(max_examples=ROUNDS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY_PATTERN, ANY_EVENT)
def test_any_text_is_taken_or_refused(pattern_text: str, event_text: str):
    event = event_text.encode("utf-8", "surrogatepass")
    try:
        pattern = parse(pattern_text)
    except InvalidPattern:
        pattern = OTHER
    try:
        mended = mend(pattern_text)
        fitting = mend_for(pattern_text, event)
        matched = pattern.matches(event)
    except InvalidEvent:
        return
    assert mended is None or parse(mended.document)
    assert fitting is None or parse(fitting.document).matches(event)
    matcher = Matcher()
    matcher.add("rule", pattern)
    assert matcher.match(event) == (["rule"] if matched else [])
    assert explain(pattern, event).matched == matched
    for edit in edits(pattern, event):
        if edit.where == "pattern":
            assert parse(edit.document).matches(event)
        else:
            assert pattern.matches(edit.document.encode())
