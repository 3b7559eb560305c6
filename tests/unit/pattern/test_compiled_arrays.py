"""The compiled matcher says what the reference says of long arrays, and of many alternatives that look into them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.unit.pattern.agreeing import agree
from tests.unit.pattern.test_events import ROWS

pytestmark = pytest.mark.needs("matcher")

VALUES = st.sampled_from(["v", "w", "", "1", 1, -1, 1.5, True, None])
CONDITIONS = [
    "v",
    "w",
    1,
    1.5,
    None,
    {"prefix": "v"},
    {"anything-but": ["v", "w"]},
    {"exists": False},
    {"wildcard": "*"},
]
LISTS = st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2)


@pytest.mark.parametrize(("pattern", "event"), ROWS.values(), ids=ROWS.keys())
def test_it_agrees_on_long_arrays(pattern: Any, event: Callable[[int], Any]):
    either = {"$or": [pattern, {"never": [1]}]} if "$or" not in pattern else pattern
    agree([json.dumps(pattern), json.dumps(either)], [json.dumps(event(rows)).encode() for rows in (1, 400)])


@settings(max_examples=20, deadline=None)
@given(
    st.lists(VALUES, min_size=1, max_size=4),
    st.lists(LISTS, min_size=1, max_size=4),
    st.sampled_from([1, 300, 1_200]),
)
def test_it_agrees_on_values_that_are_repeated(values: list[Any], lists: list[Any], times: int):
    texts = [json.dumps({"a": conditions, "b": {"c": conditions}}) for conditions in lists]
    texts += [json.dumps({"b": {"c": lists[0], "d": conditions}}) for conditions in lists]
    rows = [{"c": value, "d": other} for value, other in zip(values, reversed(values), strict=True)]
    agree(texts, [json.dumps({"a": values * times, "b": rows * times}).encode()])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 99), VALUES, max_size=80), min_size=1, max_size=5), LISTS, LISTS)
def test_it_agrees_on_more_alternatives_and_fields_than_are_asked_together(
    rows: list[dict[int, Any]], some: list[Any], others: list[Any]
):
    asked = [{f"n{one}": some, f"n{one * 7 % 100}": others, f"n{one + 1}": some} for one in range(100)]
    texts = [json.dumps({"a": fields}) for fields in asked]
    wide = {f"n{one}": [{"exists": False}, *some] for one in range(100)}
    texts += [json.dumps({"$or": [{"a": fields} for fields in asked]}), json.dumps({"a": wide})]
    agree(texts, [json.dumps({"a": [{f"n{name}": value for name, value in row.items()} for row in rows]}).encode()])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(VALUES, max_size=3), min_size=1, max_size=4), LISTS, LISTS)
def test_it_agrees_where_a_field_leads_several_ways(lists: list[Any], some: list[Any], others: list[Any]):
    patterns = [{"a": some, "a.b": others}, {"a": {"b": some, "c": others}}, {"a.b": some, "a": {"d": others}}]
    texts = [json.dumps(pattern) for pattern in patterns]
    several = json.dumps([[*one, [*one, {"b": one, "c": one}]] for one in lists])
    repeated = ",".join(f'"a":{json.dumps([{"b": one, "c": one[:1]}, {"b": one[:1], "d": 1}])}' for one in lists)
    agree(texts, [f'{{"a":{several}}}'.encode(), f"{{{repeated}}}".encode(), f'{{"a.b":1,{repeated}}}'.encode()])
