import json
from typing import Any

import pytest

from busway.errors import InvalidPattern
from busway.pattern import Pattern, parse
from busway.pattern.parse import RESERVED


def refusal(text: str) -> InvalidPattern:
    with pytest.raises(InvalidPattern) as caught:
        parse(text)
    return caught.value


# Locations that the service itself gave for these texts.
@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ('{"int": 42}', '"int" must be an object or an array', 11),
        ('{"string": "my-value"}', '"string" must be an object or an array', 13),
        ('{"resources": []}', "Empty arrays are not allowed", 17),
        ('{"my_key": [{"EXISTS": true}]}', "Unrecognized match type EXISTS", 28),
        ('{"detail": {"equal": [{"NUMERIC": ["=", 5]}]}}', "Unrecognized match type NUMERIC", 36),
        ('{"detail": {"c-count": [{"numeric": [">", 0, ">", 0]}]}}', "Bad numeric range operator: >", 49),
        ('{"detail": {"c-count": [{"numeric": [">", 0, "<"]}]}}', "Value of < must be numeric", 50),
        ('{"time": [{"prefix": ["2022-07-13"]}]}', "prefix match pattern must be a string", 23),
        ('{"time": [{"prefix": 123}]}', "prefix match pattern must be a string", 25),
        ('["not", "a", "dict", "but valid json"]', "Filter is not an object", 2),
        (
            "{'bad': 'quotation'}",
            "Unexpected character (''' (code 39)): was expecting double-quote to start field name",
            2,
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_where_as_aws_does(text: str, reason: str, column: int):
    wrong = refusal(text)
    assert wrong.reason == reason
    assert wrong.location == f'\n at [Source: (String)"{text}"; line: 1, column: {column}]'
    assert str(wrong) == f"Event pattern is not valid. Reason: {reason}{wrong.location}"


def test_an_error_inside_a_list_of_anything_but_carries_its_location_twice():
    text = '{"detail": {"state": [{"anything-but": {"prefix": [123, "test"]}}]}}'
    once = f'\n at [Source: (String)"{text}"; line: 1, column: 55]'
    assert refusal(text).location == once * 2


@pytest.mark.parametrize(
    ("matcher", "column"),
    [
        # An operator is judged when what follows it was read; numbers and wildcards when their list was.
        ('{"numeric":["!=", 5]}', 26),
        ('{"numeric":["=", 9007199254740993]}', 41),
        ('{"numeric":[">", 5, "<=", 5]}', 35),
        ('{"anything-but":{"wildcard":["a**", "b"]}}', 47),
    ],
)
def test_what_is_judged_behind_its_place_is_located_there(matcher: str, column: int):
    assert refusal(f'{{"a":[{matcher}]}}').location.endswith(f"; line: 1, column: {column}]")
    assert refusal(f'{{"a":[{matcher}]}}').position == (1, column)


@pytest.mark.parametrize("matcher", [{"cidr": "bad"}, {"anything-but": 9007199254740993}])
def test_some_refusals_have_no_location(matcher: Any):
    assert refusal(json.dumps({"a": [matcher]})).location == ""


def test_a_location_counts_lines_and_cuts_long_patterns():
    wrong = refusal('{\n  "a": 5}')
    assert wrong.location.endswith("; line: 2, column: 9]")
    long = '{"a": ["' + "x" * 600 + '"], "b": 5}'
    assert f'{long[:500]}"[truncated {len(long) - 500} chars]; line: 1' in refusal(long).location


def test_a_location_counts_as_java_does_two_for_a_character_beyond_16_bits():
    assert refusal('{"é😀": 5}').position == (1, 10)
    assert refusal('{"😀": ["x"],\n "a": 5}').position == (2, 8)
    long = '{"a": ["' + "😀" * 300 + '"], "b": 5}'
    assert f'{long[:254]}"[truncated {len(long) + 300 - 500} chars]; line: 1' in refusal(long).location
    odd = '{"a":["' + "😀" * 300 + '"], "b": 5}'
    assert f'{odd[:253]}"[truncated {len(odd) + 300 - 500} chars]' in refusal(odd).location


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_a_line_ends_between_tokens_however_it_is_written(line_end: str):
    assert refusal(f'{{{line_end}{line_end} "a": 5}}').position == (3, 8)


@pytest.mark.parametrize("line_end", ["\n", "\r"])
def test_no_line_ends_in_a_string_that_must_not_hold_its_end(line_end: str):
    assert refusal(f'{{"a": ["x{line_end}"]}}').position == (1, 11)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Filter is not an object"),
        ('{"a"', "Unexpected end-of-input: expected close marker for Object"),
        ('{"a', "Unexpected end-of-input in field name"),
        ('{"a":["x', "Unexpected end-of-input: was expecting closing '\"' for a string value"),
        ('{"a" ["x"]}', "Unexpected character ('[' (code 91)): was expecting a colon"),
        ('{"a":["x" "y"]}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Array entries"),
        ('{"a":["x"] "b":["y"]}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object"),
        ('{"a":["x"],}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name"),
        ('{"a":[-]}', "Unexpected character (']' (code 93)) in numeric value: expected digit"),
        ('{"a":[-', "Unexpected end-of-input in numeric value"),
        ('{"a":[1.]}', "Unexpected character (']' (code 93)) in numeric value: Decimal point not followed"),
        ('{"a":[1e]}', "Unexpected character (']' (code 93)) in numeric value: Exponent indicator"),
        ('{"a":[+1]}', "Unexpected character ('+' (code 43)) in numeric value: JSON spec does not allow"),
        ('{"a":["\\q"]}', "Unrecognized character escape 'q' (code 113)"),
        ('{"a":["\\', "Unexpected end-of-input in character escape sequence"),
        ('{"a":["\\u00zz"]}', "Unexpected character ('0' (code 48)): expected a hex-digit"),
        ('{"a":["\t"]}', "Illegal unquoted character ((CTRL-CHAR, code 9))"),
        ('{"a":\x01["x"]}', "Illegal character ((CTRL-CHAR, code 1)): only regular white space"),
    ],
)
def test_text_that_is_not_json_is_refused_in_jacksons_words(text: str, reason: str):
    assert refusal(text).reason.startswith(reason)


@pytest.mark.parametrize(
    ("matcher", "reason"),
    [
        ({"numeric": []}, "Invalid member in numeric match: ]"),
        ({"numeric": ["=", "1"]}, "Value of equals must be numeric"),
        ({"numeric": [">", 0, 5]}, "Bad value in numeric range: 5"),
        ({"numeric": [">", 0, "<", 5, "<", 6]}, "Too many terms in numeric range expression"),
        ({"numeric": [">=", 5, "<=", 5]}, "Bottom must be less than top"),
        ({"numeric": ["=", 9007199254740993]}, "Cannot compare number : 9007199254740993"),
        ({"suffix": {}}, "Suffix expression name not found"),
        ({"prefix": {"equals-ignore-case": "a", "x": 1}}, "Only one key allowed in match expression"),
        ({"exactly": 5}, "exact match pattern must be a string"),
        ({"suffix": 5}, "suffix match pattern must be a string"),
        # What is behind a number is read before the number is compared.
        ({"numeric": ["=", 9007199254740993, 1]}, "Too many elements in numeric expression"),
        ({"numeric": [">", 9007199254740993, 5]}, "Bad value in numeric range: 5"),
        ({"numeric": [">", 9, "<", 9007199254740993]}, "Cannot compare number : 9007199254740993"),
        ({"anything-but": {"wildcard": ["a**", 5]}}, "wildcard match pattern must be a string"),
        ({"anything-but": {"wildcard": ["a", "a**"]}}, "Consecutive wildcard characters at pos 2"),
        ({"wildcard": "a\\b"}, "Invalid escape character at pos 2"),
        ({"wildcard": "é**"}, "Consecutive wildcard characters at pos 3"),
        ({"anything-but": {"suffix": ""}}, "Null prefix/suffix not allowed"),
        ({"anything-but": {"prefix": None}}, "Value of anything-but must be an array or single string/number value."),
        ({"cidr": "10.0.0.0"}, "Malformed CIDR, one '/' required"),
        ({"cidr": "xx.11.xx/8"}, "Nonstandard IP address: xx.11.xx"),
        ({"cidr": "999.1.1.1/8"}, "Invalid IP address: 999.1.1.1"),
    ],
)
def test_operators_refuse_what_does_not_fit(matcher: Any, reason: str):
    assert refusal(json.dumps({"a": [matcher]})).reason == reason


def alternatives_of(sizes: list[int]) -> str:
    groups = {f"g{g}": {"$or": [{f"f{f}": ["x"]} for f in range(size)]} for g, size in enumerate(sizes)}
    return json.dumps(groups)


def test_a_thousand_combinations_are_taken_and_more_refused():
    assert len(parse(alternatives_of([10, 10, 10])).alternatives) == 1_000
    assert refusal(alternatives_of([11, 10, 10])).reason == "$or leads to over 1000 rule combinations"


def test_combinations_are_refused_before_they_are_made():
    assert "combinations" in refusal(alternatives_of([10] * 40)).reason


def test_more_than_256_fields_are_refused():
    parse(json.dumps({f"f{n}": ["x"] for n in range(256)}))
    assert "exceeds max value of 256" in refusal(json.dumps({f"f{n}": ["x"] for n in range(257)})).reason


@pytest.mark.parametrize("levels", [101, 5_000, 200_000])
def test_deep_nesting_is_refused_not_crashed_on(levels: int):
    for text in ('{"a":' * levels, '{"$or":[' * levels, '{"a":' * levels + '["x"]' + "}" * levels):
        assert "nested deeper" in refusal(text).reason
    assert refusal('{"a":[' + "[" * levels).reason == "Match value must be String, number, true, false, or null"


def test_a_hundred_levels_are_taken():
    event = '{"a":' * 100 + '"x"' + "}" * 100
    assert parse('{"a":' * 100 + '["x"]' + "}" * 100).matches(event.encode())


@pytest.mark.parametrize(
    "number",
    [
        "1" * 100_000,
        "-" + "9" * 5_000,
        "1e999999999999",
        "0." + "0" * 9_999 + "1",
        "1e-99999999",
        "1e-99999999999999999999",
    ],
)
def test_numbers_beyond_a_double_equal_their_own_text(number: str):
    pattern = parse(f'{{"a":[{number}]}}')
    assert pattern.matches(f'{{"a":{number}}}'.encode())
    assert not pattern.matches(b'{"a":1}')
    assert not parse('{"a":[{"numeric":[">",0]}]}').matches(f'{{"a":{number}}}'.encode())
    assert parse('{"a":[{"anything-but":5}]}').matches(f'{{"a":{number}}}'.encode())


def test_a_zero_is_zero_however_large_its_exponent():
    assert parse('{"a":[0]}').matches(b'{"a":0e99999999999999999999}')
    assert parse('{"a":[{"numeric":["=",0]}]}').matches(b'{"a":-0.0e-99999999999999999999}')


def test_fields_of_the_same_alternative_are_kept_once():
    pattern = parse('{"$or":[{"a":["x"]},{"a":["x"]}]}')
    assert isinstance(pattern, Pattern)
    assert len(pattern.alternatives) == 1


@pytest.mark.parametrize(
    ("pattern", "event", "matched"),
    [
        ({"a": [{"anything-but": "x"}, {"anything-but": "y"}]}, {"a": "x"}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "x"}, False),
        ({"total": {"numeric": [">", 5]}}, {"total": 9}, False),
        ({"total": {"numeric": [">", 5]}}, {"total": {"numeric": 5}}, True),
        ({"a": {"b": [{"exists": False}]}}, {"a": "text"}, True),
        ({"a": {"b": [{"exists": False}]}}, {}, True),
        ({"exists": ["x"], "numeric": [5]}, {"exists": "x", "numeric": 5}, True),
    ],
)
def test_what_the_page_says_that_surprises_is_so(pattern: Any, event: Any, matched: bool):
    assert parse(json.dumps(pattern)).matches(json.dumps(event).encode()) == matched


def test_every_name_that_aws_keeps_is_refused_in_a_branch_and_taken_outside():
    for name in RESERVED:
        parse(json.dumps({name: ["x"]}))
        wanted = f"{name} is Ruler reserved fieldName which cannot be used inside $or."
        assert refusal(json.dumps({"$or": [{"a": ["x"]}, {"b": {name: ["x"]}}]})).reason == wanted


def test_complexity_counts_what_alternatives_share_once_and_stops_above_ten():
    parse(json.dumps({"a": [{"wildcard": "*:*:*:*:*"}], "$or": [{"b": ["x"]}, {"c": ["y"]}]}))
    assert "too complex" in refusal(json.dumps({"a": [{"wildcard": "*:*:*:*:*:event-bus/*"}]})).reason
