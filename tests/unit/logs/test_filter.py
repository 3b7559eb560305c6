"""Filter patterns: the examples of AWS's page, and what an obvious evaluator says of any other."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st

from busway.errors import InvalidLogFilter
from busway.logs.filter import parse_filter

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
BOTH, ERROR, WARN = "ERROR WARN message", "ERROR message", "WARN message"
TRAIL = json.dumps({
    "eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": None, "ThisFlag": True,
    "detail-type": "Order Placed", "a.b": 1,
})  # fmt: skip
USERS = json.dumps({
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
    "actions": ["GET", "PUT", "DELETE"], "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
    "latency": 750.5, "errorCode": 400, "text": "400",
})  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", [BOTH, ERROR, WARN]), ("  ", [BOTH, ERROR, WARN]), ("ERROR", [BOTH, ERROR]), ("ERROR WARN", [BOTH]),
        ("?ERROR ?WARN", [BOTH, ERROR, WARN]), ("ERROR -WARN", [ERROR]), ("-WARN", [ERROR]),
        ('"ERROR message"', [ERROR]), ('?"ERROR message" ?"R W"', [BOTH, ERROR]), ('-"R W" message', [ERROR, WARN]),
        ("?NOTHING message", [BOTH, ERROR, WARN]), ("?ERROR -WARN", [ERROR]), ("error", []), ("RRO", [BOTH, ERROR]),
        ('""', [BOTH, ERROR, WARN]),
    ],
)  # fmt: skip
def test_terms_are_looked_for_as_on_aws(pattern: str, found: list[str]):
    finds = parse_filter(pattern)
    assert [message for message in (BOTH, ERROR, WARN) if finds(message)] == found


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.eventType = "UpdateTrail" }', "{ $.eventType = UpdateTrail }", "{ $.sourceIPAddress != 123.123.* }",
        '{ $.arrayKey[0] = "value" }', "{ $.objectList[1].id = 2 }", "{ $.SomeObject IS NULL }",
        "{ $.SomeOtherObject NOT EXISTS }", "{ $.ThisFlag IS TRUE }", "{$.eventType=*Trail}",
        "{ $.eventType = Update* }", "{ $.eventType = *date* }", "{ $.eventType = * }",
        '{ $.detail-type = "Order Placed" }', "{ $['a.b'] = 1 }", '{ $.["a.b"] = 1 }', "{ $.ThisFlag = true }",
    ],
)  # fmt: skip
def test_a_pattern_of_aws_s_page_finds_its_event(pattern: str):
    assert parse_filter(pattern)(TRAIL)


@pytest.mark.parametrize(
    ("pattern", "is_found"),
    [
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', False),
        ('{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }',
         True),
        ('{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nomatch }',
         False),
        ("{ $.latency >= 500 }", True), ("{ $.latency > +1000 }", False), ("{ $.latency < 10e3 }", True),
        ("{ $.latency <= 750.5 }", True), ("{ $.latency < 750.5 }", False), ("{ $.errorCode != 500 }", True),
        ("{ $.coordinates[2][0] = 7 }", True),
        # Objects, arrays and what is not there compare with nothing, unequal neither.
        ("{ $.users = 1 }", False), ("{ $.users != 1 }", False), ("{ $.nothing != 1 }", False),
        ("{ $.actions[9] != x }", False), ("{ $.user[0] != x }", False), ("{ $.users IS NULL }", False),
        # Ours: texts as JSON writes them.
        ('{ $.errorCode = "400" }', True), ("{ $.errorCode = 4* }", True), ("{ $.text = 400 }", True),
        ("{ $.text > 1 }", False),
    ],
)  # fmt: skip
def test_conditions_are_put_together_as_on_aws_s_page(pattern: str, is_found: bool):
    assert parse_filter(pattern)(USERS) is is_found


@pytest.mark.parametrize("message", ["", "no JSON", "[1]", '{"a":1', '{"a": NaN}', "{" * 100_000, '{"a":' * 100_000])
def test_what_is_no_json_object_is_not_found_by_a_json_pattern(message: str):
    assert not parse_filter("{ $.a NOT EXISTS }")(message)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("[ip, user]", "patterns of columns"), ("%a+%", "regular expressions"), ("{ $.a = %b% }", "regular expr"),
        ("Status: timeout", "Invalid character(s) in term ':'"), ("a-b", "Invalid character(s) in term '-'"),
        ('"open', "Invalid character(s) in term '\"'"), ("{ $.a = 1", "does not end with }"),
        ('{ $."a" = 1 }', "found '$.'; wanted a selector"), ("{ }", "wanted a selector"),
        ("{ $.a }", "found its end; wanted a comparison"), ("{ $.a = }", "found its end; wanted a value"),
        ("{ $.a = 1 $.b = 2 }", "found '$.b'; wanted && or ||"), ("{ ($.a = 1 }", "wanted )"),
        ("{ $.a < b }", "wanted a number"), ("{ $.a IS 1 }", "wanted NULL, TRUE or FALSE"),
        ("{ $.a NOT NULL }", "wanted EXISTS"), ("{ $.a && $.b }", "wanted =, !=, <"), ("{ a = 1 }", "wanted a sel"),
        ("{" + "(" * 500 + " $.a = 1 " + ")" * 500 + "}", "parentheses deeper than 50"),
    ],
)  # fmt: skip
def test_what_is_not_a_pattern_says_what_was_wanted(pattern: str, told: str):
    with pytest.raises(InvalidLogFilter) as refused:
        parse_filter(pattern)
    assert told in str(refused.value)


# --- against an evaluator that says it in plain words ---

NAMES = ("a", "b", "c-d")
WORDS = st.text('xyz*\\" é', max_size=4)
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 1e3])
VALUES = st.none() | st.booleans() | NUMBERS | WORDS
DOCUMENTS = st.recursive(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), VALUES | inner | st.lists(VALUES | inner, max_size=3)),
    max_leaves=8,
)
PATHS = st.lists(st.sampled_from(NAMES) | st.integers(0, 2), min_size=1, max_size=3)


def condition() -> st.SearchStrategy[tuple[Any, ...]]:
    numbers = st.tuples(st.just("number"), PATHS, st.sampled_from(["=", "!=", "<", ">", "<=", ">="]), NUMBERS)
    texts = st.tuples(st.just("text"), PATHS, st.sampled_from(["=", "!="]), WORDS)
    kinds = st.tuples(st.just("is"), PATHS, st.sampled_from([None, True, False]))
    return numbers | texts | kinds | st.tuples(st.just("missing"), PATHS)


EXPRESSIONS = st.recursive(
    condition(), lambda inner: st.tuples(st.sampled_from(["&&", "||"]), inner, inner), max_leaves=5
)


def written(expression: tuple[Any, ...]) -> str:
    if expression[0] in ("&&", "||"):
        return f"({written(expression[1])}) {expression[0]} ({written(expression[2])})"
    selector = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in expression[1])
    match expression[0]:
        case "number":
            return f"{selector} {expression[2]} {expression[3]}"
        case "text":
            escaped = expression[3].replace("\\", "\\\\").replace('"', '\\"')
            return f'{selector} {expression[2]} "{escaped}"'
        case "is":
            return f"{selector} IS {'NULL' if expression[2] is None else str(expression[2]).upper()}"
        case _:
            return f"{selector} NOT EXISTS"


def followed(document: Any, path: list[Any]) -> list[Any]:
    """The value at a path, in a list; nothing for none."""
    for step in path:
        inside: dict[Any, Any] = {}
        if isinstance(step, int) and isinstance(document, list):
            inside = dict(enumerate(cast("list[Any]", document)))
        elif isinstance(step, str) and isinstance(document, dict):
            inside = cast("dict[Any, Any]", document)
        if step not in inside:
            return []
        document = inside[step]
    return [document]


def holds(expression: tuple[Any, ...], document: Any) -> bool:
    if expression[0] == "&&":
        return holds(expression[1], document) and holds(expression[2], document)
    if expression[0] == "||":
        return holds(expression[1], document) or holds(expression[2], document)
    found = followed(document, expression[1])
    if expression[0] == "missing":
        return not found
    if not found:
        return False
    value = found[0]
    if expression[0] == "is":
        return value is expression[2]
    if value is None or isinstance(value, dict | list):
        return False
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    compare, wanted = expression[2:]
    if compare in ("<", ">", "<=", ">="):
        return is_number and {
            "<": value < wanted, ">": value > wanted, "<=": value <= wanted, ">=": value >= wanted
        }[compare]  # fmt: skip
    text = value if isinstance(value, str) else json.dumps(value)
    if expression[0] == "number":
        equal = value == wanted if is_number else text == str(wanted)
    elif wanted == "*":
        equal = True
    elif wanted.startswith("*") and wanted.endswith("*"):
        equal = wanted[1:-1] in text
    elif wanted.startswith("*"):
        equal = text.endswith(wanted[1:])
    elif wanted.endswith("*"):
        equal = text.startswith(wanted[:-1])
    else:
        equal = text == wanted
    return equal if compare == "=" else not equal


@given(EXPRESSIONS, DOCUMENTS)
def test_a_json_pattern_finds_what_the_obvious_evaluator_finds(expression: tuple[Any, ...], document: Any):
    finds = parse_filter(f"{{ {written(expression)} }}")
    assert finds(json.dumps(document, ensure_ascii=False)) is holds(expression, document)


@given(st.text(max_size=40) | st.text("?-\"\\{}$.=<>&|()[]*% aIS'1", max_size=40), st.text(max_size=20))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, message: str):
    try:
        finds = parse_filter(pattern)
    except InvalidLogFilter:
        return
    assert finds(message) in (True, False)
