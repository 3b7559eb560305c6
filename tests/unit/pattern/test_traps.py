import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from hypothesis import given, settings, strategies as st

from busway.pattern import parse
from busway.pattern.findings import Finding
from busway.pattern.outline import overridden
from busway.pattern.traps import traps

from .random_patterns import EVENTS, PATTERNS, WITH_OR, json_text, object_text, read_json

Members: TypeAlias = "tuple[tuple[str, Any], ...]"
PAGE = Path(__file__).parents[3] / "docs/patterns.md"
GOOD = {"source": ["shop"], "detail-type": ["Order Placed"], "detail": {"total": [{"numeric": [">", 100]}]}}


def found(pattern: Any) -> list[Finding]:
    return traps("r", parse(pattern if isinstance(pattern, str) else json.dumps(pattern)))


def of_detail(**lists: Any) -> dict[str, Any]:
    return {"source": ["shop"], "detail": lists}


# A pattern for each code, what is found in it, and words of what is said.
EXAMPLES: dict[str, tuple[Any, str, str]] = {
    "overridden": ('{"source": ["a"], "source": ["b"]}', "error", "source is given more than once"),
    "overridden-in-branch": (
        {"source": ["x"], "detail": {"s": ["x"]}, "$or": [{"detail": {"s": ["y"]}}, {"detail": {"t": ["z"]}}]},
        "warning",
        "its list outside of $or does not count where that in $or[0] does",
    ),
    "never": ({"source": [5]}, "error", "source wants the number 5, but source is always a string"),
    "text-behind": ('{"source": ["a"]} x', "warning", '"x" behind the closing brace is not read'),
    "branch-never": (
        {"$or": [{"source": [None]}, {"region": ["r"]}]},
        "warning",
        "a branch of $or can never match: source wants null",
    ),
    "needless-branch": (
        {"$or": [{"source": ["a"]}, {"source": ["a"], "region": ["r"]}]},
        "warning",
        'the branch of $or with region "r" and source "a" adds nothing',
    ),
    "needless-value": (of_detail(a=["xy", {"prefix": "x"}]), "warning", '"xy" adds nothing to a string that begins'),
    "accepts-all": (of_detail(a=[{"anything-but": "x"}, {"anything-but": "y"}]), "warning", "accept every value"),
    "asterisk": (of_detail(a=["img-*"]), "warning", 'the * in "img-*" is an asterisk'),
    "beyond-a-double": (of_detail(a=[9007199254740993]), "warning", "more digits than a double keeps"),
    "not-its-own-text": (of_detail(a=[{"equals-ignore-case": "ǅ"}]), "warning", "does not accept"),
    "object-is-absent": (
        of_detail(a=[{"exists": False}], **{"a.b": ["x"]}),
        "warning",
        "detail.a: exists: false does not keep out an object there, such as one with detail.a.b: only values exist",
    ),
    "value-and-object": (of_detail(a=[{"exists": True}], **{"a.b": ["x"]}), "warning", "only a list that holds both"),
    "brackets": (
        of_detail(total={"numeric": [">", 5]}),
        "warning",
        'the operator numeric stands in a list: "total": [{"numeric": …}]',
    ),
    "network": (of_detail(ip=["10.0.0.0/8"]), "warning", 'addresses in it are meant by {"cidr": "10.0.0.0/8"} only'),
    "space": (of_detail(a=["DE "]), "warning", '"DE " has a space at its end, which counts'),
    "accepts-null": (of_detail(a=[{"anything-but": {"prefix": "x"}}]), "note", "accepts null and every number too"),
    "address": (of_detail(ip=["10.0.0.1"]), "note", '"10.0.0.1" is compared as an address'),
    "quoted-literal": (of_detail(a=["true"]), "note", '"true" is a string'),
    "beyond-documented": (of_detail(a=[{"numeric": [">", 6e9]}]), "note", "AWS documents numeric matching"),
    "absent-in-lists": (
        of_detail(items={"discount": [{"exists": False}], "sku": ["A"]}),
        "note",
        "exists: false is asked before detail.items.sku has chosen an element",
    ),
}


@pytest.mark.parametrize("code", EXAMPLES)
def test_each_trap_is_found_and_said(code: str):
    pattern, level, words = EXAMPLES[code]
    (finding,) = [each for each in found(pattern) if each.code == code]
    assert (finding.level, finding.rules) == (level, ("r",))
    assert words in finding.message


@pytest.mark.parametrize("code", EXAMPLES)
def test_each_trap_is_in_the_page_s_table(code: str):
    assert f"| `{code}` | {EXAMPLES[code][1]} |" in PAGE.read_text()


def test_an_ordinary_pattern_has_none():
    assert found(GOOD) == []
    assert found({"detail": {"coupon": [{"exists": False}], "state": ["a", "b", {"prefix": "x"}]}}) == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ({"Source": ["shop"]}, "no event has a member 'Source'; did you mean source?"),
        ({"detail_type": ["x"]}, "did you mean detail-type?"),
        ({"state": ["x"]}, "did you mean detail.state?"),
        ({"detail": ["x"]}, "detail is an object, never a value"),
        ({"source": {"name": ["x"]}}, "source has nothing in it"),
        ({"account": [123456789012]}, "account is always a string"),
        ({"source": [{"exists": False}]}, "source is always a string"),
        ({"region": [{"anything-but": {"wildcard": "*"}}]}, "region is always a string"),
        ({"resources": [1]}, "resources is a list of strings"),
        (of_detail(a=[{"numeric": ["<", -1.7976931348623157e308]}]), "no value is that"),
    ],
)
def test_what_can_never_match_says_why(pattern: Any, words: str):
    (finding,) = [each for each in found(pattern) if each.code == "never"]
    assert words in finding.message


def test_what_a_bus_may_have_is_not_called_impossible():
    for pattern in (
        {"replay-name": ["again"]},
        {"replay-name": [{"exists": False}]},
        {"resources": [{"exists": False}]},
        {"resources": [{"suffix": "/x"}]},
        {"other": [{"exists": False}]},
    ):
        assert [each for each in found(pattern) if each.level == "error"] == []


def without_each_list(members: Members, prefix: str = "", way: str = "", place: str = "") -> Iterator[Any]:
    """The path and the place of each list, and the pattern without it; without the objects too that this empties."""
    for at, (name, value) in enumerate(members):
        before, after = members[:at], members[at + 1 :]
        if name == "$or":
            for number, branch in enumerate(value):
                inside = f"{way}$or[{number}]"
                for *which, left in without_each_list(branch, prefix, f"{inside}.", inside):
                    yield *which, (*before, (name, [*value[:number], left, *value[number + 1 :]]), *after)
        elif isinstance(value, tuple):
            inner = cast(Members, value)
            for *which, left in without_each_list(inner, f"{prefix}{name}.", f"{way}{name}.", place):
                yield *which, (*before, *(((name, left),) if left else ()), *after)
        else:
            yield prefix + name, place, (*before, *after)


@settings(max_examples=60, deadline=None)
@given(WITH_OR, st.lists(EVENTS, min_size=1, max_size=5))
def test_a_list_that_is_an_error_can_be_taken_out_and_no_verdict_changes(text: str, events: list[str]):
    def verdicts(pattern: str) -> list[bool]:
        return [parse(pattern).matches(event.encode()) for event in events]

    errors = {(each.path, each.place) for each in overridden(parse(text).outline) if each.never}
    assert {path for path, _ in errors} == {each.field for each in found(text) if each.code == "overridden"}
    lists = [((path, place), json_text(left)) for path, place, left in without_each_list(read_json(text))]
    for error in errors:
        # Of several lists at one place one is meant; without the only list of a branch there is no pattern.
        left = [pattern for which, pattern in lists if which == error]
        assert any("{}" in pattern or verdicts(pattern) == verdicts(text) for pattern in left)


def test_of_two_equal_values_the_second_is_needless():
    assert [each.message for each in found(of_detail(a=["x", "x"]))] == ['detail.a: "x" adds nothing to "x"']


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ([{"exists": True}, {"exists": False}], "accept every value and that there is none, so nothing is asked"),
        ([{"anything-but": "x"}, "x", {"exists": False}], "accept every value and that there is none"),
        ([{"anything-but": "x"}, "x"], "together accept every value;"),
    ],
)
def test_a_list_that_accepts_all_says_what_all_is(lists: list[Any], words: str):
    (said,) = [each.message for each in found(of_detail(a=lists)) if each.code == "accepts-all"]
    assert words in said


@pytest.mark.parametrize(
    "matcher",
    [
        "a*",
        {"prefix": "a*"},
        {"anything-but": "a*"},
        {"anything-but": ["b", "a*"]},
        {"anything-but": {"suffix": "a*"}},
    ],
)
def test_an_asterisk_is_found_under_anything_but_too(matcher: Any):
    assert [each.code for each in found(of_detail(a=[matcher])) if each.level == "warning"] == ["asterisk"]


@pytest.mark.parametrize(
    ("pattern", "brackets"),
    [
        ({"s": {"prefix": ["x"]}}, '"s": [{"prefix": …}]'),
        ({"s": {"anything-but": ["x"]}}, '"s": [{"anything-but": …}]'),
        (of_detail(s={"anything-but": {"prefix": ["x"]}}), '"s": [{"anything-but": …}]'),
        ({"source": {"prefix": ["x"]}}, '"source": [{"prefix": …}]'),
        (of_detail(prefix=["x"]), None),
        (of_detail(parameters={"prefix": ["x"], "bucket": ["b"]}), None),
        (of_detail(s=[{"prefix": "x"}]), None),
    ],
)
def test_an_operator_outside_of_a_list_is_found_where_it_is_alone(pattern: Any, brackets: str | None):
    said = [each.message for each in found(pattern) if each.code == "brackets"]
    assert [text.endswith(brackets or "") for text in said] == ([] if brackets is None else [True])


@pytest.mark.parametrize(
    ("matcher", "space"),
    [
        (" DE", True),
        ("DE\t", True),
        ({"equals-ignore-case": "de "}, True),
        ({"anything-but": ["DE "]}, True),
        ({"prefix": " Order"}, True),
        ({"prefix": "Order "}, False),
        ({"suffix": " placed"}, False),
        ({"suffix": "placed "}, True),
        ({"suffix": {"equals-ignore-case": " placed"}}, False),
        ("New York", False),
        ("", False),
    ],
)
def test_a_space_is_found_at_the_ends_of_a_value(matcher: Any, space: bool):
    assert ("space" in [each.code for each in found(of_detail(a=[matcher]))]) == space


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.0", "a/8", "10.0.0.0/99", "10.0.0.1/32"])
def test_what_is_no_network_or_every_address_is_not_taken_for_one(text: str):
    assert "network" not in [each.code for each in found(of_detail(ip=[text]))]


@settings(max_examples=200, deadline=None)
@given(PATTERNS)
def test_any_pattern_can_be_looked_at_and_nothing_is_said_twice(text: str):
    for pattern in (text, object_text([("detail", text)])):
        said = [(each.code, each.message) for each in found(pattern)]
        assert len(set(said)) == len(said)
        assert json.dumps([each.as_dict() for each in found(pattern)])
