import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from busway.pattern import parse, traps, value_sets
from busway.pattern.conditions import Condition, Conditions
from busway.pattern.event_tree import Scalar
from busway.pattern.exact import StringIs
from busway.pattern.numbers import NumberIs
from busway.pattern.rule_set import lint
from busway.pattern.value_sets import accepting, apart, covers, point

from .random_patterns import LISTS

MANY = 400


def conditions(text: str) -> Conditions:
    ((_, found),) = parse(f'{{"detail": {{"a": {text}}}}}').alternatives[0].fields
    return found


def values(begin: int) -> Conditions:
    return conditions(
        json.dumps([value for number in range(begin, begin + MANY) for value in (number, f"x{number}")])
    )


def test_of_two_lists_of_exact_values_no_two_are_compared(monkeypatch: pytest.MonkeyPatch):
    def compared(*_: Any) -> bool:
        raise AssertionError("two exact values were compared")

    for name in ("_apart", "_implies"):
        monkeypatch.setattr(value_sets, name, compared)
    for kind in (StringIs, NumberIs):
        monkeypatch.setattr(kind, "accepts", compared)
    whole, part, other = values(0), values(0)[10:], values(MANY)
    assert (covers(whole, part), covers(part, whole), covers(whole, other)) == (True, False, False)
    assert (apart(whole, part), apart(whole, other)) == (False, True)


def test_a_number_is_the_same_value_in_each_spelling():
    assert covers(conditions("[5, true]"), conditions("[5.0, 50e-1]"))
    assert apart(conditions("[1, true]"), conditions('["1", null, 0, false]'))


def test_of_exact_values_none_is_called_needless_by_trying_all_others(monkeypatch: pytest.MonkeyPatch):
    tried: list[Sequence[Condition]] = []

    def counted(whole: Sequence[Condition], part: Sequence[Condition]) -> bool:
        tried.append(part)
        return covers(whole, part)

    monkeypatch.setattr(traps, "covers", counted)
    pattern = parse(json.dumps({"detail": {"a": [f"x{number % (MANY - 1)}" for number in range(MANY)]}}))
    (found,) = traps.traps("rule", pattern)
    assert (found.code, found.message) == ("needless-value", 'detail.a: "x0" adds nothing to "x0"')
    assert len(tried) <= 4


def test_values_of_two_rules_are_asked_of_each_other_once_each(monkeypatch: pytest.MonkeyPatch):
    asked: list[Scalar] = []

    def accepts(condition: StringIs, value: Scalar) -> bool:
        asked.append(value)
        return value == condition.text

    monkeypatch.setattr(StringIs, "accepts", accepts)
    texts = [[f"x{number}" for number in range(begin, begin + MANY)] for begin in (0, MANY // 2)]
    report = lint({str(at): parse(json.dumps({"detail": {"a": texts[at]}})) for at in (0, 1)})
    assert [(each.code, each.event and each.event["detail"]) for each in report.findings] == [
        ("overlap", {"a": f"x{MANY // 2}"})
    ]
    # Each value of its own condition, and the event that was found of both patterns.
    assert len(asked) <= 2 * MANY + 2 * MANY


@given(LISTS, LISTS)
def test_a_list_covers_a_single_value_exactly_if_it_accepts_it(one: str, other: str):
    whole, part = conditions(one), conditions(other)
    accepts = accepting(whole)
    for condition in part:
        for value in point(condition):
            accepted = any(each.accepts(value) for each in whole)
            assert covers(whole, [condition]) == accepts(value) == accepted
            assert apart(whole, [condition]) != accepted
