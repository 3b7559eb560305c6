"""Filter policies against a slow, obvious evaluator; and what is refused, in SNS's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from busway.errors import InvalidTopicRequest
from busway.queue.message import AttributeValue
from busway.topic.filter_policy import (
    MESSAGE_ATTRIBUTES,
    MESSAGE_BODY,
    FilterPolicy,
    Trees,
    attribute_tree,
    combinations,
)

NAMES = st.sampled_from(["a", "c.d"])
TEXTS = st.text("xyZ", max_size=3)
NUMBERS = st.integers(-3, 3)
SCALARS = TEXTS | NUMBERS | st.booleans()
OPERATORS = ["<", "<=", ">", ">=", "="]
CONDITIONS = (
    SCALARS
    | st.builds(lambda text: {"prefix": text}, TEXTS)
    | st.builds(lambda text: {"suffix": text}, TEXTS)
    | st.builds(lambda text: {"equals-ignore-case": text}, TEXTS)
    | st.builds(lambda texts: {"anything-but": texts}, st.lists(TEXTS, min_size=1, max_size=2))
    | st.builds(lambda numbers: {"anything-but": numbers}, st.lists(NUMBERS, min_size=1, max_size=2))
    | st.builds(lambda operator, n: {"numeric": [operator, n]}, st.sampled_from(OPERATORS), NUMBERS)
    | st.builds(lambda there: {"exists": there}, st.booleans())
)
POLICIES = st.dictionaries(NAMES, st.lists(CONDITIONS, min_size=1, max_size=3), min_size=1, max_size=2)
ATTRIBUTES = (
    st.builds(lambda text: AttributeValue("String", text=text), TEXTS)
    | st.builds(lambda n: AttributeValue("Number", text=str(n)), NUMBERS)
    | st.builds(lambda n: AttributeValue("Number.int", text=f"{n}.0"), NUMBERS)
    | st.builds(lambda all_: AttributeValue("String.Array", text=json.dumps(all_)), st.lists(SCALARS, max_size=3))
    | st.just(AttributeValue("Binary", binary=b"x"))
)
MESSAGES = st.dictionaries(NAMES, ATTRIBUTES, max_size=2)


def values_of(attribute: AttributeValue | None) -> list[Any]:
    """The values that a condition is asked of; none for what SNS does not look at."""
    if attribute is None or attribute.data_type == "Binary":
        return []
    if attribute.data_type == "String.Array":
        return json.loads(attribute.text or "")
    return [float(attribute.text or "")] if attribute.data_type.startswith("Number") else [attribute.text]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    if is_number(one) and is_number(other):
        return float(one) == float(other)
    return type(one) is type(other) and one == other


def meets(value: Any, condition: Any) -> bool:
    if not isinstance(condition, dict):
        return same(value, condition)
    ((operator, wanted),) = condition.items()
    if operator == "anything-but":
        return not any(same(value, one) for one in wanted)
    if operator == "numeric":
        sign, bound = wanted
        compare = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__, "=": float.__eq__}
        return is_number(value) and compare[sign](float(value), float(bound))
    if not isinstance(value, str):
        return False
    if operator == "equals-ignore-case":
        return value.lower() == wanted.lower()
    return value.startswith(wanted) if operator == "prefix" else value.endswith(wanted)


def wanted_by(conditions: list[Any], values: list[Any]) -> bool:
    for condition in conditions:
        if isinstance(condition, dict) and "exists" in condition:
            if bool(values) == condition["exists"]:
                return True
        elif any(meets(value, condition) for value in values):
            return True
    return False


@settings(max_examples=500, deadline=None)
@given(policy=POLICIES, attributes=MESSAGES)
def test_a_policy_on_attributes_wants_what_each_of_its_keys_wants(
    policy: dict[str, Any], attributes: dict[str, AttributeValue]
):
    compiled = FilterPolicy(json.dumps(policy), MESSAGE_ATTRIBUTES)
    wanted = all(wanted_by(conditions, values_of(attributes.get(name))) for name, conditions in policy.items())
    assert compiled.wants(Trees("anything", attributes)) is wanted


@settings(max_examples=300, deadline=None)
@given(policy=POLICIES, body=st.dictionaries(st.sampled_from(["a", "b"]), SCALARS | st.lists(SCALARS, max_size=3)))
def test_a_policy_on_the_body_wants_what_each_of_its_keys_wants(policy: dict[str, Any], body: dict[str, Any]):
    flat = {name: value if isinstance(value, list) else [value] for name, value in body.items()}
    nested = {"outer": {name: conditions for name, conditions in policy.items() if "." not in name}}
    if not nested["outer"]:
        return
    wanted = all(wanted_by(conditions, flat.get(name, [])) for name, conditions in nested["outer"].items())
    assert FilterPolicy(json.dumps(nested), MESSAGE_BODY).wants(Trees(json.dumps({"outer": body}), {})) is wanted


@pytest.mark.parametrize("body", ["", "text", "[]", '"a"', '{"a":'])
def test_a_body_that_is_no_json_object_is_not_wanted(body: str):
    assert not FilterPolicy('{"a":[{"exists":false}]}', MESSAGE_BODY).wants(Trees(body, {}))


def test_a_policy_on_attributes_does_not_look_at_the_body():
    assert FilterPolicy('{"a":[{"exists":false}]}', MESSAGE_ATTRIBUTES).wants(Trees("not JSON", {}))


@pytest.mark.parametrize(
    ("policy", "scope", "said"),
    [
        ("{", MESSAGE_BODY, "FilterPolicy: failed to parse JSON."),
        ('{"a":"b"}', MESSAGE_BODY, '"a" must be an object or an array'),
        ('{"a":[]}', MESSAGE_BODY, "FilterPolicy: Empty arrays are not allowed"),
        ('{"a":[{"b":1}]}', MESSAGE_BODY, "Unrecognized match type b"),
        ('{"a":{"b":["c"]}}', MESSAGE_ATTRIBUTES, "does not support nested filter policy"),
        (json.dumps({name: ["x"] for name in "abcdef"}), MESSAGE_ATTRIBUTES, "can not have more than 5 keys"),
        (json.dumps({"a": list(range(151))}), MESSAGE_ATTRIBUTES, "Filter policy is too complex"),
        (json.dumps({"a": ["x" * 262_145]}), MESSAGE_ATTRIBUTES, "longer than 262144 bytes"),
    ],
)
def test_what_is_no_policy_is_refused_in_words(policy: str, scope: str, said: str):
    with pytest.raises(InvalidTopicRequest) as refused:
        FilterPolicy(policy, scope)
    assert said in str(refused.value)


def test_a_policy_is_as_complex_as_aws_counts():
    """The page's own example: 4 values three levels deep, 3 values two levels deep."""
    policy = {"a": {"b": {"c": ["1", "2", "3", "4"]}}, "d": {"e": ["1", "2", "3"]}}
    assert combinations(policy) == 3 * 4 * 2 * 3
    assert combinations({"$or": [{"a": ["1", "2"]}, {"b": ["1"]}], "c": ["1", "2"]}) == (2 + 1) * 2


@pytest.mark.parametrize("text", ["9" * 200, "1e999999999", "NaN", "-Infinity", "not one"])
def test_a_number_that_cannot_be_compared_is_a_text_and_takes_no_time(text: str):
    attributes = {"n": AttributeValue("Number", text=text)}
    assert attribute_tree(attributes) == {"n": text}
    assert not FilterPolicy('{"n":[{"numeric":["<",1e9]}]}', MESSAGE_ATTRIBUTES).wants(Trees("x", attributes))
