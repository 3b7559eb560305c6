import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings

from busway.pattern import Explanation, FieldVerdict, closest, explain, parse
from busway.pattern.conditions import quoted

from .random_patterns import PLAIN_EVENTS, WITH_OR, json_text, read_json

TYPO = {"source": "shop", "detail-type": "Customer Nofication", "detail": {"id": "c-1"}}


def explained(pattern: Any, event: Any) -> Explanation:
    return explain(parse(json.dumps(pattern)), json.dumps(event).encode())


def only(explanation: Explanation) -> FieldVerdict:
    (field,) = explanation.fields
    return field


def test_a_field_that_matched_says_what_decided():
    field = only(explained({"a": [{"prefix": "y"}, "x"]}, {"a": "x"}))
    assert field == FieldVerdict(
        path="a",
        found=('"x"',),
        decided_by='"x"',
        wanted='a string that begins with "y" or "x"',
        matched=True,
        likeness=1.0,
    )


def test_a_field_that_failed_says_what_was_found_and_what_would_have_matched():
    explanation = explained({"source": ["shop"], "detail": {"total": [{"numeric": [">", 10]}]}}, {"source": "shop"})
    total, source = explanation.fields
    assert (total.path, total.found, total.wanted, total.matched) == ("detail.total", (), "a number > 10", False)
    assert source.matched
    assert explanation.missed == 1
    assert not explanation.matched


def test_every_operator_says_in_words_what_it_wants():
    wanted = {
        '"x"': "x",
        "null": None,
        "true": True,
        "the number 5": 5,
        "the number 7": {"numeric": ["=", 7]},
        "a number >= 0 and < 0.5": {"numeric": [">=", 0, "<", 0.5]},
        "a number <= 3": {"numeric": ["<=", 3]},
        'a string that ends with "y"': {"suffix": "y"},
        '"y" in any case': {"equals-ignore-case": "y"},
        'a string that begins with "y" in any case': {"prefix": {"equals-ignore-case": "y"}},
        'a string like "y*z"': {"wildcard": "y*z"},
        'anything but "x" or "y"': {"anything-but": ["y", "x"]},
        "anything but the number 5": {"anything-but": 5},
        'anything but a string that begins with "y"': {"anything-but": {"prefix": "y"}},
        "any value": {"exists": True},
        "no value at all": {"exists": False},
        "an IP address in 10.0.0.0/8": {"cidr": "10.0.0.0/8"},
        '"10.0.0.1"': "10.0.0.1",
    }
    for words, matcher in wanted.items():
        assert only(explained({"a": [matcher]}, {})).wanted == words


def test_found_values_are_shown_as_json_and_a_long_list_is_cut():
    numbers = only(explain(parse('{"a":["x"]}'), b'{"a":[1,1.50,true,null,"\\u00e9"]}'))
    assert numbers.found == ("1", "1.50", "true", "null", '"é"')
    long = only(explained({"a": ["x"]}, {"a": list(range(25))}))
    assert (len(long.found), long.found[-1]) == (21, "… and 5 more")


@pytest.mark.parametrize(
    ("found", "wanted", "difference"),
    [
        ("Customer Nofication", "Customer Notification", "a typo"),
        ("Order Placed", "Order Plcaed", "a typo"),
        ("order placed", "Order Placed", "upper and lower case"),
        ("x", "x ", "a space"),
        ("shop\u200b", "shop", "what nobody sees"),
        ("a\u00a0b", "a b", "what nobody sees"),
        ("caf\u0065\u0301", "caf\u00e9", "what nobody sees"),
    ],
)
def test_how_a_value_differs_is_said_and_neither_side_is_taken_for_right(found: str, wanted: str, difference: str):
    told = only(explained({"a": ["something else", wanted]}, {"a": found})).suggestion
    assert told == f"the event's {quoted(found)} and the pattern's {quoted(wanted)} differ by {difference}"


def test_values_that_have_nothing_in_common_suggest_nothing():
    assert only(explained({"a": ["something else"]}, {"a": "x"})).suggestion is None


def test_what_nobody_sees_is_shown_as_escapes_and_other_letters_as_themselves():
    field = only(explained({"a": ["x\u200b"]}, {"a": ["y\u00a0z", "e\u0301", "é", "😀"]}))
    assert field.wanted == r'"x\u200b"'
    assert field.found == (r'"y\u00a0z"', r'"e\u0301"', '"é"', '"😀"')


def test_a_number_that_no_double_keeps_is_said_to_lie_in_no_range():
    number = b'{"a":1.00000000000000000001}'
    reason = "the event's 1.00000000000000000001 has more digits than a double keeps, so it "
    assert only(explain(parse('{"a":[{"numeric":["<",5]}]}'), number)).suggestion == f"{reason}lies in no range"
    assert only(explain(parse('{"a":[1]}'), number)).suggestion == f"{reason}equals only a number written just so"


@pytest.mark.parametrize("inside", [{"k": 1}, [{"k": 1}]])
def test_an_object_where_a_value_is_wanted_names_a_field_in_it(inside: Any):
    field = only(explained({"detail": {"o": [{"exists": True}]}}, {"detail": {"o": inside}}))
    assert field.suggestion == "an object is no value; ask for a field in it: detail.o.k"


def test_a_string_that_holds_json_where_an_object_is_wanted_is_named():
    field = only(explained({"detail": {"a": {"b": ["x"]}}}, {"detail": {"a": '{"b": "x"}'}}))
    assert field.suggestion == "detail.a is a string that holds JSON, not an object"
    assert only(explained({"detail": {"a": {"b": ["x"]}}}, {"detail": {"a": "{b}"}})).suggestion is None


def test_an_empty_name_is_said_to_be_never_found():
    field = only(explained({"detail": {"": ["x"]}}, {"detail": {"": "x"}}))
    assert field.suggestion == "a field with an empty name inside an object is never found"


def test_a_nearly_right_field_is_suggested():
    event = {"detail": {"state": "x"}, "other": 1}
    assert only(explained({"detail": {"sate": ["x"]}}, event)).suggestion == "did you mean the field detail.state?"
    assert only(explained({"state": ["x"]}, event)).suggestion == "did you mean the field detail.state?"
    assert only(explained({"nothing": ["x"]}, event)).suggestion is None


def test_a_number_that_should_be_a_string_is_suggested_and_the_other_way_round():
    assert (
        only(explained({"a": ["5"]}, {"a": 5})).suggestion
        == "the event's 5 is a number, the pattern's \"5\" a string"
    )
    assert (
        only(explained({"a": [5]}, {"a": "5"})).suggestion
        == "the event's \"5\" is a string, the pattern's 5 a number"
    )


def test_elements_of_an_array_that_clash_are_named():
    rows = [{"sku": "A", "colour": "blue"}, {"sku": "B", "colour": "red"}]
    explanation = explained({"items": {"sku": ["A"], "colour": ["red"]}}, {"items": rows})
    colour, sku = explanation.fields
    assert colour.matched
    assert sku.clash == "items.sku fits in element 0 of an array, items.colour in element 1 of it"
    assert explanation.missed == 1


def test_a_clash_of_three_fields_of_which_each_two_agree_is_named():
    rows = [{"b": 1, "c": 1}, {"c": 1, "d": 1}, {"b": 1, "d": 1}]
    explanation = explained({"a": {"b": [1], "c": [1], "d": [1]}}, {"a": rows})
    assert explanation.fields[-1].clash == "no one element of an array fits a.d and all of a.b, a.c"


def test_each_branch_of_an_or_is_explained_and_the_best_one_leads():
    pattern = {"s": ["1"], "$or": [{"a": ["x"], "b": ["y"]}, {"c": ["z"]}]}
    explanation = explained(pattern, {"s": "1", "c": "q"})
    assert [verdict.missed for verdict in explanation.alternatives] == [2, 1]
    assert [field.path for field in explanation.fields] == ["c", "s"]
    told = explanation.as_dict()
    assert told["missed"] == 1
    assert [branch["missed"] for branch in told["alternatives"]] == [2, 1]
    assert [(branch["branch"], branch["matched"]) for branch in told["branches"]] == [
        ("$or[0]", False),
        ("$or[1]", False),
    ]
    assert [[field["path"] for field in branch["fields"]] for branch in told["branches"]] == [["a", "b"], ["c"]]


def test_branches_of_several_ors_are_told_once_each():
    pattern = {
        "$or": [{"a": ["x"]}, {"b": ["x"]}],
        "d": {"$or": [{"c": ["x"]}, {"e": ["x"], "$or": [{"f": ["x"]}, {"g": ["x"]}]}]},
    }
    explanation = explained(pattern, {"a": "x", "d": {"e": "x", "g": "x"}})
    assert {branch.branch: branch.matched for branch in explanation.branches} == {
        "$or[0]": True,
        "$or[1]": False,
        "d.$or[0]": False,
        "d.$or[1]": True,
        "d.$or[1].$or[0]": False,
        "d.$or[1].$or[1]": True,
    }


def test_a_branch_whose_own_fields_are_met_is_met_whatever_else_was_missed():
    pattern = {"source": ["a"], "detail": {"$or": [{"x": ["1"]}, {"y": ["2"]}], "z": ["3"]}}
    explanation = explained(pattern, {"source": "a", "detail": {"x": "1", "z": "4"}})
    assert [branch.matched for branch in explanation.branches] == [True, False]
    assert not explanation.matched


def test_a_branch_around_others_tells_none_of_their_fields():
    pattern = {"$or": [{"a": ["x"]}, {"s": ["x"], "d": {"$or": [{"b": ["x"]}, {"c": ["x"]}]}}]}
    explanation = explained(pattern, {"s": "x", "d": {"b": "y"}})
    assert [(one.branch, one.matched, [field.path for field in one.fields]) for one in explanation.branches] == [
        ("$or[0]", False, ["a"]),
        ("$or[1]", False, ["s"]),
        ("$or[1].d.$or[0]", False, ["d.b"]),
        ("$or[1].d.$or[1]", False, ["d.c"]),
    ]


def told_of_branches(explanation: Explanation) -> list[tuple[str, bool, list[tuple[str, bool]]]]:
    return [
        (one.branch, one.matched, [(field.path, field.matched) for field in one.fields])
        for one in explanation.branches
    ]


def test_a_list_that_all_branches_hold_is_told_in_each_of_them():
    pattern = {"$or": [{"a": ["1"], "b": ["2"]}, {"a": ["1"], "c": ["3"]}]}
    assert told_of_branches(explained(pattern, {"a": "0", "b": "2"})) == [
        ("$or[0]", False, [("a", False), ("b", True)]),
        ("$or[1]", False, [("a", False), ("c", False)]),
    ]


def test_a_list_that_stands_outside_and_in_a_branch_is_told_in_both():
    pattern = {"a": ["x"], "$or": [{"a": ["x"]}, {"b": ["y"]}]}
    explanation = explained(pattern, {"b": "y"})
    assert told_of_branches(explanation) == [("$or[0]", False, [("a", False)]), ("$or[1]", True, [("b", True)])]
    assert [(field["path"], field["matched"]) for field in explanation.as_dict()["outside"]] == [("a", False)]


def test_equal_branches_are_both_told_with_their_fields():
    explanation = explained({"$or": [{"a": ["x"]}, {"a": ["x"]}]}, {"a": "x"})
    assert told_of_branches(explanation) == [("$or[0]", True, [("a", True)]), ("$or[1]", True, [("a", True)])]
    assert len(explanation.alternatives) == 1
    assert len(explanation.as_dict()["branches"]) == 2


def test_a_branch_is_told_of_itself_though_what_stands_behind_it_counts_in_its_place():
    explanation = explained({"$or": [{"a": ["x"]}, {"b": ["y"]}], "a": ["z"]}, {"a": "x"})
    assert told_of_branches(explanation) == [("$or[0]", True, [("a", True)]), ("$or[1]", False, [("b", False)])]
    assert not explanation.matched


def test_of_a_branch_around_others_the_fields_are_told_that_count_where_it_is_met_best():
    pattern = {"$or": [{"a": ["x"], "$or": [{"a": ["y"]}, {"b": ["z"]}]}, {"c": ["x"]}]}
    assert told_of_branches(explained(pattern, {"a": "y"})) == [
        ("$or[0]", True, []),
        ("$or[0].$or[0]", True, [("a", True)]),
        ("$or[0].$or[1]", False, [("b", False)]),
        ("$or[1]", False, [("c", False)]),
    ]


def test_of_two_ors_with_one_place_the_branches_of_each_are_told():
    explanation = explain(parse('{"$or":[{"a":[1]},{"b":[1]}],"$or":[{"c":[1]},{"d":[1]}]}'), b'{"a":1,"d":1}')
    assert [(one.branch, one.matched) for one in explanation.branches] == [
        ("$or[0]", True),
        ("$or[1]", False),
        ("$or[0]", False),
        ("$or[1]", True),
    ]


def branches_alone(members: Iterable[tuple[str, Any]], names: tuple[str, ...] = ()) -> Iterator[str]:
    """Of each branch a pattern that is made of it, at its depth."""
    for name, value in members:
        if name == "$or":
            for branch in value:
                alone: Any = branch
                for around in reversed(names):
                    alone = ((around, alone),)
                yield json_text(alone)
                yield from branches_alone(branch, names)
        elif isinstance(value, tuple):
            yield from branches_alone(cast("tuple[tuple[str, Any], ...]", value), (*names, name))


@settings(max_examples=60, deadline=None)
@given(WITH_OR, PLAIN_EVENTS)
def test_a_branch_is_met_as_a_pattern_of_it_alone_is(text: str, event: str):
    told = explain(parse(text), event.encode()).branches
    alone = [parse(branch).matches(event.encode()) for branch in branches_alone(read_json(text))]
    assert [branch.matched for branch in told] == alone


def test_an_explanation_becomes_json():
    told = explained({"a": ["x"]}, {"a": "y"}).as_dict()
    assert json.loads(json.dumps(told))["fields"][0]["found"] == ['"y"']
    assert "alternatives" not in told


def test_the_closest_pattern_to_a_typo_is_the_one_that_wants_the_word():
    patterns = {
        "orders": {"source": ["shop"], "detail-type": ["Order Placed"]},
        "notify": {"source": ["shop"], "detail-type": ["Customer Notification"]},
        "far": {"source": ["bank"], "detail-type": ["Transfer"]},
        "met": {"source": ["shop"]},
    }
    parsed = {key: parse(json.dumps(pattern)) for key, pattern in patterns.items()}
    found = closest(parsed, json.dumps(TYPO).encode(), limit=2)
    assert [key for key, _ in found] == ["notify", "orders"]
    assert found[0][1].missed == 1
    assert closest(parsed, json.dumps(TYPO).encode(), limit=0) == []


def test_huge_values_are_compared_by_their_beginning():
    field = only(explained({"a": ["x" * 100_000]}, {"a": "x" * 100_000 + "y"}))
    assert field.suggestion is not None
