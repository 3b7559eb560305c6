import json
from typing import Any

from hypothesis import given, settings

from busway.pattern.outline import overridden, text_behind

from .random_patterns import PATTERNS


def lost(text: str) -> list[tuple[str, bool]]:
    return [(each.path, each.branch) for each in overridden(text)]


def test_of_two_lists_of_a_path_one_does_not_count():
    assert lost('{"a": ["x"], "a": ["y"]}') == [("a", False)]
    assert lost('{"a": {"b": ["x"]}, "a.b": ["y"]}') == [("a.b", False)]


def test_repeated_objects_are_one_object():
    assert lost('{"a": {"b": ["x"]}, "a": {"c": ["y"]}}') == []


def test_a_branch_and_what_is_beside_it_override_each_other():
    assert lost('{"a": ["x"], "$or": [{"a": ["y"]}, {"b": ["z"]}]}') == [("a", True)]
    assert lost('{"$or": [{"a": ["y"]}, {"b": ["z"]}], "a": ["x"]}') == [("a", True)]
    assert lost('{"$or": [{"a": ["x"]}, {"b": ["y"]}], "c": ["z"]}') == []


def test_branches_do_not_override_each_other():
    assert lost('{"$or": [{"a": ["x"]}, {"a": ["y"]}]}') == []
    assert lost('{"$or": [{"a": ["x"]}, {"b": ["x"]}], "c": {"$or": [{"a": ["x"]}, {"b": ["x"]}]}}') == []


def test_text_behind_the_brace_is_told():
    assert text_behind(' {"a": ["}"]} \n') == ""
    assert text_behind('{"a": ["x"]} {"b": ["y"]}') == '{"b": ["y"]}'


def test_a_number_of_any_length_is_passed_over():
    text = f'{{"a": [{"1" * 5000}], "a": [1]}}'
    assert (lost(text), text_behind(text)) == ([("a", False)], "")


def replaced(members: list[tuple[str, Any]], prefix: str, alternatives: list[set[str]]) -> set[str]:
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
        elif value and isinstance(value[0], tuple):
            found |= replaced(value, f"{prefix}{name}.", alternatives)
        else:
            for paths in alternatives:
                found |= {prefix + name} & paths
                paths.add(prefix + name)
    return found


@settings(max_examples=300, deadline=None)
@given(PATTERNS)
def test_the_paths_are_those_that_multiplying_out_replaces(text: str):
    members = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    assert {path for path, _ in lost(text)} == replaced(members, "", [set()])
