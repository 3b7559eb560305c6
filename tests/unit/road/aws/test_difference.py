"""What differs between two templates, as it is shown."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from busway.road.aws.compare import ResourceChange
from busway.road.aws.difference import changes_between

OLD: dict[str, Any] = {
    "Description": "old",
    "Resources": {
        "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "a", "Tags": [1]}},
        "B": {"Type": "AWS::SNS::Topic"},
    },
}
NEW: dict[str, Any] = {
    "Description": "new",
    "Resources": {
        "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "a", "Tags": [2], "Policy": "x" * 200}},
        "C": {"Type": "AWS::Lambda::Function", "Properties": {}},
    },
    "Parameters": {"Level": {"Type": "String"}},
}


def test_each_property_that_differs_is_named_and_whole_resources_by_their_type():
    assert [str(change) for change in changes_between(OLD, NEW)] == [
        "~ Resources.A.Properties.Tags: [1] -> [2]",
        f'+ Resources.A.Properties.Policy: "{"x" * 98}…',
        "+ Resources.C: AWS::Lambda::Function",
        "- Resources.B",
        "+ Parameters.Level: String",
    ]


VALUES = st.recursive(
    st.integers() | st.text("ab", max_size=2) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), VALUES), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_templates_differ_in_nothing_if_and_only_if_they_are_the_same(before: dict[str, Any], after: dict[str, Any]):
    assert (changes_between({"Resources": before}, {"Resources": after}) == []) == (before == after)


def test_what_would_be_replaced_is_said_aloud():
    shown = [str(ResourceChange(*words)) for words in (
        ("Add", "A", "T"), ("Remove", "A", "T"), ("Import", "A", "T"), ("Modify", "A", "T", "False"),
        ("Modify", "A", "T", "True"), ("Modify", "A", "T", "Conditional"),
    )]  # fmt: skip
    assert shown == ["+ A (T)", "- A (T)", "> A (T)", "~ A (T)", "~ A (T, REPLACED)", "~ A (T, may be replaced)"]
