from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings, strategies as st

from busway.pattern import parse
from busway.pattern.outline import overridden

from .random_patterns import PATTERNS, WITH_OR, read_json


def lost(text: str) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(each.path, each.place, each.by, each.never) for each in overridden(parse(text).outline)]


def said(text: str) -> list[str]:
    return [each.in_words for each in overridden(parse(text).outline)]


def test_of_two_lists_of_a_path_the_first_never_counts():
    assert lost('{"a": ["x"], "a": ["y"]}') == [("a", "", ("",), True)]
    assert lost('{"a": {"b": ["x"]}, "a.b": ["y"]}') == [("a.b", "", ("",), True)]
    assert said('{"a": ["x"], "a": ["y"]}') == ["a is given more than once, and only its last list counts"]


def test_of_three_lists_of_a_path_it_is_said_once_that_the_last_counts():
    assert lost('{"a": ["x"], "a": ["y"], "a": ["z"]}') == [("a", "", ("",), True)]


def test_repeated_objects_are_one_object():
    assert lost('{"a": {"b": ["x"]}, "a": {"c": ["y"]}}') == []


def test_a_list_before_a_branch_does_not_count_in_it_and_counts_in_the_others():
    text = '{"a": ["x"], "$or": [{"a": ["y"]}, {"b": ["z"]}]}'
    assert lost(text) == [("a", "", ("$or[0]",), False)]
    assert said(text) == [
        "a is given more than once, and its list outside of $or does not count where that in $or[0] does"
    ]


def test_a_list_behind_a_branch_counts_in_its_place_everywhere():
    text = '{"$or": [{"a": ["y"]}, {"b": ["z"]}], "a": ["x"]}'
    assert lost(text) == [("a", "$or[0]", ("",), True)]
    assert said(text) == ["a is given more than once, and its list in $or[0] never counts"]


def test_a_list_that_every_branch_puts_aside_never_counts():
    assert lost('{"a": ["x"], "$or": [{"a": ["y"]}, {"a": ["z"]}]}') == [("a", "", ("$or[0]", "$or[1]"), True)]
    assert lost('{"a": ["x"], "$or": [{"a": ["x"]}, {"a": ["x"]}]}') == [("a", "", ("$or[0]", "$or[1]"), True)]


def test_a_branch_of_a_later_or_puts_aside_what_stands_in_one_before_it():
    text = '{"a": {"$or": [{"b": ["x"]}, {"c": ["y"]}]}, "$or": [{"a.b": ["z"]}, {"d": ["z"]}]}'
    assert lost(text) == [("a.b", "a.$or[0]", ("$or[0]",), False)]


def test_branches_do_not_override_each_other():
    assert lost('{"$or": [{"a": ["x"]}, {"a": ["y"]}]}') == []
    assert lost('{"$or": [{"a": ["x"]}, {"b": ["y"]}], "c": ["z"]}') == []
    assert lost('{"$or": [{"a": ["x"]}, {"b": ["x"]}], "c": {"$or": [{"a": ["x"]}, {"b": ["x"]}]}}') == []


def test_text_behind_the_brace_is_kept():
    assert parse(' {"a": ["}"]} \n').behind == ""
    assert parse('{"a": ["x"]} {"b": ["y"]}').behind == '{"b": ["y"]}'


def replaced(members: Iterable[tuple[str, Any]], prefix: str, alternatives: list[set[str]]) -> set[str]:
    """As the compiler multiplies `$or` out: the paths whose list is put in place of another one."""
    found: set[str] = set()
    for name, value in members:
        if name == "$or":
            multiplied: list[set[str]] = []
            for branch in value:
                copies = [set(paths) for paths in alternatives]
                found |= replaced(branch, prefix, copies)
                multiplied += copies
            alternatives[:] = multiplied
        elif isinstance(value, tuple):
            found |= replaced(value, f"{prefix}{name}.", alternatives)
        else:
            for paths in alternatives:
                found |= {prefix + name} & paths
                paths.add(prefix + name)
    return found


@settings(max_examples=60, deadline=None)
@given(st.one_of(PATTERNS, WITH_OR))
def test_the_paths_are_those_that_multiplying_out_replaces(text: str):
    assert {path for path, *_ in lost(text)} == replaced(read_json(text), "", [set()])
