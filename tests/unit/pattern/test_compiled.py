"""The compiled matcher says what the reference says of recorded facts, behind the seam and under threads.

What it says of random patterns and events is in `test_compiled_pairs`.
"""

import dataclasses
import json
import threading
from typing import Any

import pytest
from tests.unit.pattern.agreeing import agree, compiled
from tests.unit.pattern.test_events import nested
from tests.unit.pattern.test_vectors import VECTORS, decided, recorded, text_of

from busway.errors import InvalidEvent
from busway.pattern import default_implementation, new_matcher, parse
from busway.pattern.compiled import CompiledMatcher

pytestmark = pytest.mark.needs("matcher")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_it_agrees_with_what_was_recorded_and_decided(vector: dict[str, Any]):
    wanted = decided(vector) if "tag" in vector else recorded(vector)
    matcher = compiled().Matcher()
    try:
        matcher.add("rule", text_of(vector["pattern"]))
        found: tuple[str, Any] = "match", matcher.match(text_of(vector["event"]).encode()) == ["rule"]
    except compiled().InvalidPattern:
        found = "InvalidEventPatternException", wanted[1]  # its own words are shorter
    except compiled().InvalidEvent:
        found = "InvalidEvent", ""
    assert found == wanted


@pytest.mark.parametrize("levels", [998, 999, 1_000, 1_001, 100_000])
def test_nesting_ends_where_the_reference_ends_it(levels: int):
    for name in ("a", "z"):
        events = (f'{{"{name}":'.encode() + nested(levels, "[", "]") + b"}", nested(levels, f'{{"{name}":', "}"))
        agree(['{"a":["x"]}', '{"a.a":["x"]}', json.dumps({".".join("a" * 900): ["x"]})], events)


def test_adding_an_id_again_replaces_its_pattern_and_a_bad_one_changes_nothing():
    matcher = compiled().Matcher()
    matcher.add("rule", b'{"a":["x"]}')
    with pytest.raises(compiled().InvalidPattern, match="at `a`: an empty list"):
        matcher.add("rule", '{"a":[]}')
    assert matcher.match(b'{"a":"x"}') == ["rule"]
    matcher.add("rule", '{"a":["y"]}')
    assert matcher.match(b'{"a":"x"}') == []
    assert len(matcher) == 1
    assert matcher.memory_bytes() > 0


def test_threads_may_match_while_rules_come_and_go():
    matcher, rounds = compiled().Matcher(), 300
    matcher.add("always", '{"a":["x"]}')
    wrong: list[Any] = []

    def match() -> None:
        for number in range(rounds):
            # Every other one is long enough to be matched without the GIL.
            filler = b"z" * (number % 2 * 5_000)
            found = matcher.match(b'{"a":"x","b":%d,"z":"%s"}' % (number % 50, filler))
            if "always" not in found or len(found) > 2:
                wrong.append(found)

    threads = [threading.Thread(target=match) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        matcher.add(f"rule-{number % 50}", json.dumps({"b": [number % 50], "a": ["x"]}))
        matcher.remove(f"rule-{(number + 25) % 50}")
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_seam_takes_it_when_it_is_installed():
    assert default_implementation()[0] == "compiled"
    matcher = new_matcher(members=["a"])
    assert isinstance(matcher, CompiledMatcher)
    # Half a character may stand in a pattern's text as it is.
    matcher.add("half", parse('{"a":["\ud83d"]}'))
    matcher.add("whole", parse('{"a":["x"]}'))
    assert matcher.match(b'{"a":"\\ud83d"}') == ["half"]
    assert len(matcher) == 2
    with pytest.raises(InvalidEvent, match="expected a value at byte 5"):
        matcher.match(b'{"a":}')
    matcher.remove("half")
    matcher.remove("unknown")
    assert len(matcher) == 1


def test_a_rule_that_only_the_reference_takes_is_matched_all_the_same():
    matcher = CompiledMatcher()
    matcher.add("both", parse('{"a":["x"]}'))
    # No text is known that only one of them takes, so the text is spoiled afterwards.
    matcher.add("one", dataclasses.replace(parse('{"b":["x"]}'), text="{"))
    assert set(matcher.match(b'{"a":"x","b":"x"}')) == {"both", "one"}
    matcher.remove("one")
    assert matcher.match(b'{"a":"x","b":"x"}') == ["both"]
