"""What the module `busway_matcher` takes and gives in Python: texts of every type, ids, errors with facts."""

import array
import pickle
import subprocess
import sys
from typing import Any

import pytest
from tests.unit.pattern.agreeing import compiled

pytestmark = pytest.mark.needs("matcher")

HALF = "\ud83d"
PATTERN, EVENT = '{"a":["x"]}', '{"a":"x"}'
# What is matched with the GIL, and what without it.
LENGTHS = pytest.mark.parametrize("filler", ["", "z" * 5_000], ids=["short", "long"])


def new_matcher(**patterns: str) -> Any:
    matcher = compiled().Matcher()
    for name, pattern in patterns.items():
        matcher.add(name, pattern)
    return matcher


@pytest.mark.parametrize(
    "kind", [str, str.encode, lambda text: bytearray(text.encode())], ids=["str", "bytes", "array"]
)
@LENGTHS
def test_a_text_may_come_in_any_type_that_holds_one(kind: Any, filler: str):
    matcher = compiled().Matcher()
    matcher.add("rule", kind(PATTERN))
    assert matcher.match(kind(f'{{"a":"x","z":"{filler}"}}')) == ["rule"]


def test_a_view_is_read_as_the_bytes_that_it_shows():
    matcher, view = new_matcher(rule=PATTERN), memoryview(EVENT.encode())
    assert matcher.match(view) == ["rule"]
    assert matcher.match(memoryview(EVENT[::-1].encode())[::-1]) == ["rule"]


@pytest.mark.parametrize("wrong", [None, 5, ["{}"], {"a": ["x"]}, array.array("I", [1])])
def test_what_holds_no_text_is_a_type_error(wrong: Any):
    matcher = new_matcher()
    with pytest.raises(TypeError, match="a pattern is JSON text"):
        matcher.add("rule", wrong)
    with pytest.raises(TypeError, match="an event is JSON text"):
        matcher.match(wrong)
    with pytest.raises(TypeError):
        matcher.add(wrong, PATTERN)
    with pytest.raises(TypeError):
        matcher.remove(wrong)


@LENGTHS
def test_the_ids_are_the_same_for_short_and_for_long_events(filler: str):
    names = ["plain", "ümläut", "😀", "", "with\0zero"]
    matcher = new_matcher(**dict.fromkeys(names, PATTERN), other='{"a":["y"]}')
    found = matcher.match(f'{{"z":"{filler}","a":"x"}}')
    assert sorted(found) == sorted(names)
    assert all(type(name) is str for name in found)


def test_half_a_character_is_no_text_but_its_escape_is():
    matcher = new_matcher(rule=f'{{"a":["\\u{ord(HALF):x}"]}}')
    with pytest.raises(compiled().InvalidPattern) as refused:
        matcher.add("other", f'{{"ü":["{HALF}"]}}')
    assert (refused.value.reason, refused.value.position) == ("not UTF-8", 8)
    with pytest.raises(compiled().InvalidEvent) as spoiled:
        matcher.match(f'{{"ü":"{HALF}"}}')
    assert (spoiled.value.reason, spoiled.value.position) == ("not UTF-8", 7)
    assert matcher.match(f'{{"a":"\\u{ord(HALF):x}"}}') == ["rule"]


def test_an_id_with_half_a_character_can_not_be_kept_and_is_never_there():
    matcher = new_matcher()
    with pytest.raises(UnicodeEncodeError):
        matcher.add(HALF, PATTERN)
    assert HALF not in matcher
    matcher.remove(HALF)
    assert len(matcher) == 0


@pytest.mark.parametrize(
    ("pattern", "reason", "path", "position"),
    [
        ('{"a":{"b":[]}}', "an empty list accepts nothing", "a.b", None),
        ("[]", "a pattern is a JSON object", "", None),
        ('{"a":["x" "y"]}', "expected a comma or a closing bracket", "", 10),
        (b'{"a":["\xff"]}', "not UTF-8", "", 7),
        ("", "unexpected end", "", 0),
    ],
)
def test_a_pattern_that_does_not_compile_says_what_is_wrong_and_where(
    pattern: Any, reason: str, path: str, position: int | None
):
    with pytest.raises(compiled().InvalidPattern) as refused:
        new_matcher().add("rule", pattern)
    wrong = refused.value
    assert (wrong.reason, wrong.path, wrong.position) == (reason, path, position)
    assert reason in str(wrong)
    assert isinstance(wrong, ValueError)


def test_an_event_that_is_none_says_what_is_wrong_and_where():
    with pytest.raises(compiled().InvalidEvent) as refused:
        new_matcher().match(b'{"a":}')
    assert (refused.value.reason, refused.value.position) == ("expected a value", 5)
    assert vars(pickle.loads(pickle.dumps(refused.value))) == vars(refused.value)


def test_a_matcher_knows_the_ids_that_it_keeps():
    matcher = new_matcher(rule=PATTERN)
    assert "rule" in matcher
    assert "other" not in matcher
    assert 5 not in matcher
    assert repr(matcher) == "<busway_matcher.Matcher of 1 pattern>"
    matcher.remove("rule")
    assert "rule" not in matcher
    assert repr(matcher) == "<busway_matcher.Matcher of 0 patterns>"
    assert not matcher


def test_a_child_that_was_forked_goes_on_with_what_it_was_left():
    child = """
import os
from busway_matcher import Matcher
matcher = Matcher()
matcher.add("before", '{"a":["x"]}')
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    assert matcher.match('{"a":"x"}') == ["before"]
else:
    matcher.add("after", '{"a":["x"]}')
    os._exit(sorted(matcher.match('{"a":"x"}')) != ["after", "before"])
"""
    subprocess.run([sys.executable, "-c", child], check=True)


def test_memory_counts_what_a_match_leaves_and_an_unusual_event_leaves_nothing():
    matcher = new_matcher(rule=PATTERN)
    new = matcher.memory_bytes()
    ordinary = b'{"a":["x"' + b",1" * 1_000 + b"]}"
    matcher.match(ordinary)
    used = matcher.memory_bytes()
    assert new + 10_000 < used < new + 1_000_000
    matcher.match(b'{"a":["x"' + b",1" * 2_000_000 + b"]}")
    assert matcher.memory_bytes() < new + 10_000
    for _ in range(3):
        matcher.match(ordinary)
        assert matcher.memory_bytes() == used
