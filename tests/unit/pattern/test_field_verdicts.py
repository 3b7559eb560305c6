import json
from collections import Counter
from typing import Any

import pytest

from busway.pattern import closest, explain, field_verdicts, on_the_way, parse, suggest
from busway.pattern.event_tree import Scalar
from busway.pattern.exact import StringIs

FIELDS = {f"f{number}": [f"value {number}"] for number in range(20)}


def branches(name: str) -> list[dict[str, list[str]]]:
    return [{f"{name}{number}": ["met"]} for number in range(10)]


# 1,000 alternatives of 23 fields, of which 50 are different.
WIDE = {**FIELDS, "$or": branches("a"), "x": {"$or": branches("b"), "y": {"$or": branches("c")}}}


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Counter[str]:
    """How often the function is called by way of the module."""
    calls: Counter[str] = Counter()
    function = getattr(module, name)

    def counting(*arguments: Any) -> Any:
        calls[name] += 1
        return function(*arguments)

    monkeypatch.setattr(module, name, counting)
    return calls


def text(event: Any) -> bytes:
    return json.dumps(event).encode()


def test_a_field_is_asked_as_often_as_it_has_values_however_many_alternatives_have_it(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: Counter[str] = Counter()

    def accepts(condition: StringIs, value: Scalar) -> bool:
        asked[condition.text] += 1
        return value == condition.text

    monkeypatch.setattr(StringIs, "accepts", accepts)
    event = {**{name: ["another", *wanted] for name, wanted in FIELDS.items()}, "a0": "met"}
    assert explain(parse(json.dumps(WIDE)), text(event)).missed == 2
    # Each value once, and once more which of the entries took it.
    assert max(asked.values()) == 3


def test_the_texts_of_a_missed_field_are_compared_once_however_many_alternatives_have_it(
    monkeypatch: pytest.MonkeyPatch,
):
    compared = counted(monkeypatch, suggest, "likeness")
    event = {name: f"{wanted[0]}!" for name, wanted in FIELDS.items()}
    assert explain(parse(json.dumps(WIDE)), text(event)).missed == 23
    assert compared["likeness"] == len(FIELDS)


def test_alternatives_that_differ_outside_of_arrays_share_what_is_searched_in_them(monkeypatch: pytest.MonkeyPatch):
    searched = counted(monkeypatch, field_verdicts, "first_unmet")
    rows = [{name: wanted[0] for name, wanted in list(FIELDS.items())[half::2]} for half in (0, 1)]
    pattern = {"rows": FIELDS, "$or": branches("a"), "x": {"$or": branches("b"), "y": {"$or": branches("c")}}}
    explanation = explain(parse(json.dumps(pattern)), text({"rows": rows, "a0": "met"}))
    assert (len(explanation.alternatives), explanation.missed) == (1_000, 12)
    # Once for each field that clashes and once for the rest; once more for each two to tell which clash.
    assert searched["first_unmet"] <= len(FIELDS) // 2 + 1 + len(FIELDS) ** 2 // 2


def test_only_of_the_closest_patterns_texts_are_compared(monkeypatch: pytest.MonkeyPatch):
    compared = counted(monkeypatch, suggest, "likeness")
    far = {f"far {number}": parse(json.dumps({"a": ["value"], "b": [str(number)]})) for number in range(50)}
    near = {f"near {number}": parse(json.dumps({"a": ["valeu"], "b": [f"vale {number}"]})) for number in range(5)}
    found = closest({**far, **near}, text({"a": "valeu", "b": "value 3"}), limit=2)
    assert [key for key, _ in found] == ["near 3", "near 0"]
    assert compared["likeness"] == len(near)


def test_a_string_that_holds_json_is_read_once_for_all_fields_and_patterns(monkeypatch: pytest.MonkeyPatch):
    read = counted(monkeypatch, on_the_way, "read_event")
    patterns = {str(number): parse(json.dumps({"detail": {"inner": FIELDS}})) for number in range(5)}
    found = closest(patterns, text({"detail": {"inner": '{"f0": "x"}'}}), limit=5)
    assert all("holds JSON" in str(field.suggestion) for _, told in found for field in told.fields)
    assert read["read_event"] == 1


def test_texts_that_cannot_be_near_are_not_compared(monkeypatch: pytest.MonkeyPatch):
    compared = counted(monkeypatch, suggest, "likeness")
    pattern = parse(json.dumps({"a": [*(f"another {number}" for number in range(100)), "Oslo"]}))
    (field,) = explain(pattern, text({"a": "Oslp"})).fields
    assert (field.likeness, "differ by a typo" in str(field.suggestion)) == (0.75, True)
    # The first one is the nearest so far.
    assert compared["likeness"] == 2
