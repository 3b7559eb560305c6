import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from busway.errors import EngineNotInstalled, InvalidEvent
from busway.pattern import Matcher, Pattern, default_implementation, new_matcher, parse
from busway.pattern.address import parse_address
from busway.pattern.matcher import _State
from busway.pattern.value_index import ValueIndex


def event(**members: Any) -> bytes:
    return json.dumps(members).encode()


def matcher_of(**patterns: Any) -> Matcher:
    matcher = Matcher()
    for key, pattern in patterns.items():
        matcher.add(key, parse(json.dumps(pattern)))
    return matcher


def test_adding_a_key_again_replaces_its_pattern():
    matcher = matcher_of(rule={"a": ["x"]})
    matcher.add("rule", parse('{"a":["y"]}'))
    assert matcher.match(event(a="x")) == []
    assert matcher.match(event(a="y")) == ["rule"]


def test_removing_an_unknown_key_changes_nothing():
    matcher = matcher_of(rule={"a": ["x"]})
    matcher.remove("other")
    assert matcher.match(event(a="x")) == ["rule"]


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        ({"a": [{"exists": False}]}, {"a": [{"exists": False}, "x"]}, b"{}"),
        ({"a": [{"prefix": "x"}]}, {"a": [{"prefix": "y"}]}, b'{"a":"yz"}'),
        ({"a": [{"suffix": "x"}]}, {"a": [{"suffix": "y"}]}, b'{"a":"zy"}'),
        ({"a": [{"numeric": [">", 1]}]}, {"a": [{"numeric": [">", 1, "<", 9]}]}, b'{"a":5}'),
        ({"a": ["x"], "b": ["y"]}, {"a": ["x"]}, b'{"a":"x"}'),
        ({"a": ["x"]}, {"a": ["x"], "b": ["y"]}, b'{"a":"x","b":"y"}'),
        ({"a": ["x"]}, {"a": ["x"]}, b'{"a":"x"}'),
    ],
)
def test_removing_a_pattern_leaves_its_neighbour(one: Any, other: Any, text: bytes):
    matcher = matcher_of(one=one, other=other)
    matcher.remove("one")
    assert matcher.match(text) == ["other"]


def test_a_rule_that_asks_only_for_absence_is_found():
    matcher = matcher_of(none={"a": [{"exists": False}]}, either={"$or": [{"a": [{"exists": False}]}, {"b": ["1"]}]})
    assert set(matcher.match(b"{}")) == {"none", "either"}
    assert matcher.match(event(a=1, b="1")) == ["either"]


def test_an_event_that_is_no_object_is_refused_also_without_rules():
    for text in (b"[]", b"", b"null", b'{"a":', b'{"a":\xff}', b'"x"'):
        with pytest.raises(InvalidEvent):
            Matcher().match(text)


@pytest.mark.parametrize("names", [400, 999])
def test_a_path_with_many_dots_is_followed_as_deep_as_an_event_may_be(names: int):
    matcher = matcher_of(deep={".".join(["a"] * names): ["x"]})
    assert matcher.match(b'{"a":' * names + b'"x"' + b"}" * names) == ["deep"]
    assert matcher.match(b'{"a":' * names + b'"y"' + b"}" * names) == []


def test_numbers_true_and_one_are_told_apart():
    matcher = matcher_of(one={"a": [1]}, true={"a": [True]}, text={"a": ["1"]})
    assert matcher.match(b'{"a":1.0}') == ["one"]
    assert matcher.match(b'{"a":true}') == ["true"]
    assert matcher.match(b'{"a":"1"}') == ["text"]


def steps_for(monkeypatch: pytest.MonkeyPatch, matcher: Matcher, text: bytes) -> int:
    """How many look-ups and conditions one event costs."""
    asked = 0
    find = ValueIndex.find

    def counted(self: ValueIndex[_State], value: Any) -> list[_State]:
        nonlocal asked
        asked += 1 + len(self._others)
        return find(self, value)

    with monkeypatch.context() as patch:
        patch.setattr(ValueIndex, "find", counted)
        # Fields keep their bound look-up, so the counted one must be there when they are made.
        counting = Matcher()
        for key, pattern in matcher._patterns.items():
            counting.add(key, pattern)
        counting.match(text)
    return asked


def many(count: int, make: Any) -> Matcher:
    return matcher_of(**{f"rule-{number}": make(number) for number in range(count)})


@pytest.mark.parametrize(
    "make",
    [
        lambda n: {"a": [f"x{n}"]},
        lambda n: {"a": ["x"], "b": ["y"], "c": [f"x{n}"]},
        lambda n: {f"field{n}": ["x"]},
        lambda n: {f"field{n}": [{"wildcard": "x*"}], "a": [f"x{n}"]},
        lambda n: {"a": [{"prefix": f"p{n}"}]},
        lambda n: {"0": [{"exists": False}], "c": [f"x{n}"]},
    ],
    ids=["values", "last of three", "fields", "a wildcard elsewhere", "prefixes", "absence"],
)
def test_rules_on_other_fields_and_values_cost_nothing(monkeypatch: pytest.MonkeyPatch, make: Any):
    text = event(a="x", b="y", c="z")
    assert steps_for(monkeypatch, many(1_000, make), text) <= steps_for(monkeypatch, many(10, make), text)


def test_value_lists_are_not_multiplied_out():
    wide: dict[str, Any] = {f"f{number}": [f"v{value}" for value in range(10)] for number in range(10)}
    matcher = matcher_of(wide=wide)
    assert matcher.match(event(**{f"f{number}": "v9" for number in range(10)})) == ["wide"]


def test_the_seam_gives_a_matcher_by_name():
    assert isinstance(new_matcher("python"), Matcher)
    with pytest.raises(KeyError):
        new_matcher("abacus")


@pytest.mark.parametrize(
    ("version", "name", "words"),
    [
        (None, "python", "python"),
        ("0.1.9", "compiled", "compiled 0.1.9"),
        ("0.2.0", "python", "python (busway-matcher 0.2.0 is installed, 0.1.x is wanted)"),
    ],
)
def test_only_a_compiled_matcher_of_the_right_version_is_taken(
    monkeypatch: pytest.MonkeyPatch, version: str | None, name: str, words: str
):
    # None in its place makes an import fail.
    installed = None if version is None else SimpleNamespace(__version__=version)
    monkeypatch.setitem(sys.modules, "busway_matcher", installed)
    assert default_implementation.__wrapped__() == (name, words)


@pytest.mark.parametrize("version", ["9.9.9", ""])
def test_a_compiled_matcher_of_another_version_is_not_taken_by_name_either(
    monkeypatch: pytest.MonkeyPatch, version: str
):
    installed = SimpleNamespace(__version__=version) if version else SimpleNamespace()
    monkeypatch.setitem(sys.modules, "busway_matcher", installed)
    with pytest.raises(
        EngineNotInstalled, match=rf"{version or 'without a version'} is installed, 0\.1\.x is wanted"
    ):
        new_matcher("compiled")


def test_a_compiled_matcher_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "busway_matcher.py").write_text("raise ImportError('wrong ELF class')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "busway_matcher", raising=False)
    why = "busway-matcher is installed but cannot be imported: wrong ELF class"
    assert default_implementation.__wrapped__() == ("python", f"python ({why})")
    with pytest.raises(EngineNotInstalled, match=why):
        new_matcher("compiled")


def test_addresses_are_recognised_without_a_resolver():
    assert parse_address("999.1.1.1") is None
    assert parse_address("0" * 5_000 + ".0.0.1") is None
    assert parse_address("::ffff:a00:1") == parse_address("10.0.0.1")
    assert re.match(r"\d", "10.0.0.1") and parse_address("10.0.0.1") != parse_address("::a00:1")


def test_a_pattern_keeps_its_text():
    text = '{ "a": [ "x" ] }'
    pattern = parse(text)
    assert isinstance(pattern, Pattern)
    assert pattern.text == text
