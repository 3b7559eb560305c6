import json
from typing import Any

from busway.pattern import Explanation, FieldVerdict, closest, explain, parse

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


def test_a_nearly_right_value_is_suggested():
    field = only(explained({"detail-type": ["Order Placed", "Customer Notification"]}, TYPO))
    assert field.suggestion == 'did you mean "Customer Notification"?'
    assert only(explained({"a": ["something else"]}, {"a": "x"})).suggestion is None


def test_a_space_that_nobody_sees_is_named():
    field = only(explained({"a": ["x "]}, {"a": "x"}))
    assert field.suggestion == 'the event\'s "x" and the pattern\'s "x " differ by a space'


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


def test_equal_branches_are_both_told():
    explanation = explained({"$or": [{"a": ["x"]}, {"a": ["x"]}]}, {"a": "x"})
    assert [branch.branch for branch in explanation.branches] == ["$or[0]", "$or[1]"]
    assert len(explanation.alternatives) == 1


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
