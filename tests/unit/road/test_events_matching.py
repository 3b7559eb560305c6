import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies as st

from busway.errors import InvalidPattern, NoSample
from busway.pattern import event_text, explain, parse
from busway.testing import events_matching

from ..pattern.random_patterns import PATTERNS, object_text

PAGE = Path(__file__).parents[3] / "docs/patterns.md"
EXAMPLES = 60
LARGE = {"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}], "country": [{"anything-but": ["DE"]}]}}


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS, st.data())
def test_whatever_is_drawn_matches(text: str, data: st.DataObject):
    pattern = parse(object_text([("detail", text)]))
    assume(all(path != "detail." for alternative in pattern.alternatives for path, _ in alternative.fields))
    event = data.draw(events_matching(pattern))
    assert explain(pattern, event_text(event).encode()).matched


@settings(max_examples=EXAMPLES, deadline=None)
@given(events_matching(LARGE))
def test_an_event_is_a_whole_one_with_the_pattern_s_fields(event: dict[str, Any]):
    assert event["source"] == "shop"
    assert isinstance(event["detail-type"], str)
    totals = event["detail"]["total"]
    assert all(total > 100 for total in (totals if isinstance(totals, list) else [totals]))
    assert json.loads(event_text(event))["account"] == "123456789012"


def test_more_than_the_samples_is_drawn():
    seen: set[str] = set()

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(events_matching(LARGE))
    def collect(event: dict[str, Any]) -> None:
        seen.add(event_text(event))

    collect()
    assert len(seen) > 50
    assert any('"note"' in text for text in seen)
    assert any('"total": [' in text for text in seen)


def test_a_parsed_pattern_its_text_and_its_object_are_taken():
    text = json.dumps(LARGE)
    for given_pattern in (parse(text), text, LARGE):
        assert events_matching(given_pattern).is_empty is False


def test_a_pattern_that_nothing_matches_is_refused_at_once():
    with pytest.raises(NoSample, match=r"detail\.n wants"):
        events_matching({"detail": {"n": [{"numeric": ["<", -1.7976931348623157e308]}]}})
    with pytest.raises(InvalidPattern):
        events_matching({"source": "shop"})


def test_a_pattern_of_what_is_no_event_of_a_bus_is_refused_at_once():
    with pytest.raises(NoSample, match="no event has a member 'body'"):
        events_matching({"body": {"total": [5]}})


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    events_matching(
        {"source": [{"anything-but": "a"}, 5], "time": [{"wildcard": "*T03:*"}], "foo": [{"exists": False}]}
    )
)
def test_the_envelope_stays_that_of_a_bus(event: dict[str, Any]):
    assert isinstance(event["source"], str)
    assert datetime.fromisoformat(event["time"]).hour == 3


def test_without_hypothesis_it_says_what_to_install_and_the_rest_of_testing_stays():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from busway.testing import LocalBus\n"
        "from busway.errors import BuswayError\n"
        "try:\n    from busway.testing import events_matching\n"
        "except BuswayError as error:\n    print(error, '|', error.hint)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "hypothesis is not installed | pip install 'busway[hypothesis]'\n"


def test_the_page_s_example_passes():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    names["test_every_event_of_the_rule_has_a_source"]()
