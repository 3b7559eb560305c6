"""What a target gets of an event: AWS's rules as recorded."""

from __future__ import annotations

import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given, strategies as st

from busway.delivery import InputTransformer, Subscriber
from busway.delivery.transform import check_input, compile_input, is_string_template, partition_key_of
from busway.errors import InvalidTargetInput, UnsendablePayload

EVENT = (
    b'{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"Order Placed","source":"shop",'
    b'"account":"123456789012","time":"2026-11-23T16:30:00Z","region":"eu-central-1","resources":["r:1"],'
    b'"detail":{"user":"baz","price":1.00,"ok":true,"none":null,"quote":"a\\"b","line":"a\\nb",'
    b'"payload":{"acc_id":"0a787ecb-4015","sf_id":"baz"},"level":["HIGH"],"states":["ACTIVE","INACTIVE"],"empty":""}}'
)
ACCEPTED_AT = 1_763_915_401.5
PATHS = {
    name: f"$.detail.{name}"
    for name in ("user", "price", "ok", "none", "quote", "line", "payload", "level", "states", "empty", "missing")
}


def subscriber(**settings: object) -> Subscriber:
    rule = "arn:aws:events:eu-central-1:123456789012:rule/orders/big"
    return Subscriber(name="s", rule_arn=rule, target_id="t", target_arn="a", **settings)


def transformed(template: str, **paths: str) -> bytes:
    transformer = InputTransformer(template, paths or PATHS)
    check_input("t", None, None, transformer)
    return compile_input(subscriber(input_transformer=transformer))(EVENT, ACCEPTED_AT)


def test_without_a_setting_the_whole_event_is_sent():
    assert compile_input(subscriber())(EVENT, ACCEPTED_AT) == EVENT


def test_input_is_sent_as_it_is():
    assert compile_input(subscriber(input='{"a": 1.0}'))(EVENT, ACCEPTED_AT) == b'{"a": 1.0}'


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (None, None),
        ("$.source", '"shop"'),
        ("$.detail.price", "1.00"),
        ("$.nothing.here", "{}"),
        ("no path", "{}"),
    ],
)
def test_a_partition_key_is_json_and_an_empty_object_where_the_path_finds_nothing(path: str | None, key: str | None):
    assert partition_key_of(subscriber(partition_key_path=path))(EVENT) == key


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("$", EVENT),
        ("$.detail.user", b'"baz"'),
        ("$.detail.price", b"1.00"),
        ("$.detail.payload", b'{"acc_id":"0a787ecb-4015","sf_id":"baz"}'),
        ("$.detail-type", b'"Order Placed"'),
        ("$.detail.states[1]", b'"INACTIVE"'),
        ("$.detail.states[-1]", b'"INACTIVE"'),
        ("$.detail.states[*]", b'["ACTIVE","INACTIVE"]'),
        ("$['detail']['level']", b'["HIGH"]'),
        ('$["detail"].payload.*', b'["0a787ecb-4015","baz"]'),
        ("$.detail.none", b"null"),
    ],
)
def test_input_path_sends_the_value_as_it_stands_in_the_event(path: str, payload: bytes):
    assert compile_input(subscriber(input_path=path))(EVENT, ACCEPTED_AT) == payload


@pytest.mark.parametrize("path", ["$.nothing", "$.detail.user.x", "$.detail.level[1]", "$.detail[0]", "detail.user"])
def test_an_input_path_that_finds_nothing_is_never_dropped_in_silence(path: str):
    with pytest.raises(UnsendablePayload, match="found nothing"):
        compile_input(subscriber(input_path=path))(EVENT, ACCEPTED_AT)


@pytest.mark.parametrize(
    ("template", "payload"),
    [
        # A string template keeps its quotation marks.
        ('"Event of <user>"', '"Event of baz"'),
        ('"Event of <user>"\n"costs <price>"', '"Event of baz"\n"costs 1.00"'),
        ('"<payload>"', '"{acc_id:0a787ecb-4015,sf_id:baz}"'),
        ('"<level> <states>"', '"[HIGH] [ACTIVE,INACTIVE]"'),
        ('"<missing>"', '""'),
        ('"<user> <user> <ok> <none>"', '"baz baz true null"'),
        # A JSON template.
        ('{"user": <user>}', '{"user": "baz"}'),
        ('{"a":<payload>,"b":<price>,"c":<ok>,"d":<level>,"e":<none>}',
         '{"a":{"acc_id":"0a787ecb-4015","sf_id":"baz"},"b":1.00,"c":true,"d":["HIGH"],"e":null}'),
        ('{"path":"users/<user>","ok":"<ok>","price":"<price>"}', '{"path":"users/baz","ok":"true","price":"1.00"}'),
        ('{"a": <missing>, "b": "<missing>", "c": <empty>}', '{"a": "", "b": "", "c": ""}'),
        ('{"quote": <quote>, "line": <line>}', '{"quote": "a\\"b", "line": "a\\nb"}'),
        ('["<user>", <level>]', '["baz", ["HIGH"]]'),
        ("<payload>", '{"acc_id":"0a787ecb-4015","sf_id":"baz"}'),
        ("<user>", '"baz"'),
        ("<missing>", '""'),
        ('{"escaped": "\\"<user>\\""}', '{"escaped": "\\"baz\\""}'),
    ],
)  # fmt: skip
def test_the_transformer_fills_placeholders_as_aws_does(template: str, payload: str):
    assert transformed(template).decode() == payload


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ('{"payload": "<payload>"}', '{"payload": "{"acc_id":"0a787ecb-4015","sf_id":"baz"}"}'),
        ('{"payload": "users/<payload>"}', '{"payload": "users/{"acc_id":"0a787ecb-4015","sf_id":"baz"}"}'),
        ('{"quote": "<quote>"}', '{"quote": "a"b"}'),
        ('{"line": "<line>"}', '{"line": "a\nb"}'),
        ("<user> single list item", '"baz" single list item'),
    ],
)
def test_a_result_that_is_no_json_is_not_sent_and_tells_what_it_was(template: str, body: str):
    with pytest.raises(UnsendablePayload) as refused:
        transformed(template)
    assert refused.value.body.decode() == body


def test_values_are_never_escaped_in_a_string_template():
    assert transformed('"<quote>"') == b'"a"b"'


def test_reserved_variables_need_no_path():
    sent = transformed(
        '{"arn": <aws.events.rule-arn>, "name": "<aws.events.rule-name>", "at": <aws.events.event.ingestion-time>}'
    )
    assert msgspec.json.decode(sent) == {
        "arn": "arn:aws:events:eu-central-1:123456789012:rule/orders/big",
        "name": "big",
        "at": "2025-11-23T16:30:01Z",
    }


def test_the_reserved_event_has_its_own_members_and_time():
    assert transformed('{"e": <aws.events.event>}') == (
        b'{"e": {"id":"7bf73129-1428-4cd3-a780-95db273d1602","account":"123456789012","detailType":"Order Placed",'
        b'"time":"2025-11-23T16:30:01Z","source":"shop","region":"eu-central-1","resources":["r:1"],"version":"0"}}'
    )


def test_the_reserved_event_json_is_the_event():
    assert transformed("<aws.events.event.json>") == EVENT


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("{}", "$", None), "Only one of Input, InputPath, or InputTransformer must be provided for target t."),
        ((None, "$", InputTransformer("{}")), "Only one of Input, InputPath, or InputTransformer must be provided"),
        (("{", None, None), "JSON syntax error in Input for target t."),
        ((None, None, InputTransformer('"<who>"')), "InputTemplate for target t contains invalid placeholder who."),
        ((None, None, InputTransformer("<aws.events.nothing>")), "contains invalid placeholder aws.events.nothing."),
        ((None, None, InputTransformer("Instance <i>", {"i": "$.a"})), "Invalid InputTemplate for target t"),
        ((None, None, InputTransformer('{"a": <i>,}', {"i": "$.a"})), "Invalid InputTemplate for target t"),
        ((None, None, InputTransformer("{}", {"AWSi": "$.a"})), "keys can't begin with AWS"),
        ((None, "$..a", None), "Busway can't read the path $..a from character 1 on"),
        ((None, None, InputTransformer("{}", {"a": "$.a[?(@.b)]"})), "Busway can't read the path"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: tuple, text: str):
    with pytest.raises(InvalidTargetInput) as refused:
        check_input("t", *settings)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        (None, None, None),
        ('"text"', None, None),
        (None, "detail", None),
        (None, None, InputTransformer("<i> single list item", {"i": "$.a"})),
        (None, None, InputTransformer('"<i>"\n"<i>"', {"i": "$.a"})),
        (None, None, InputTransformer('{"a": "<i>", "b": <i>}', {"i": "not a path"})),
    ],
)
def test_what_aws_takes_is_taken(settings: tuple):
    check_input("t", *settings)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), min_size=1))
def test_an_unquoted_placeholder_gives_the_value_back_whatever_it_is(value: dict[str, object]):
    event = json.dumps({"detail": value}).encode()
    transformer = InputTransformer('{"it": <it>}', {"it": "$.detail"})
    sent = compile_input(subscriber(input_transformer=transformer))(event, 0.0)
    assert json.loads(sent) == {"it": value}


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_template_or_path_makes_anything_but_the_known_errors(template: str, path: str):
    transformer = InputTransformer(template, {"a": path})
    try:
        check_input("t", None, None, transformer)
        compile_input(subscriber(input_transformer=transformer))(EVENT, 0.0)
    except (InvalidTargetInput, UnsendablePayload):
        pass


def test_a_template_that_names_a_long_value_often_is_refused_before_it_is_made():
    event = EVENT.replace(b'"baz"', b'"' + b"v" * 900_000 + b'"', 1)
    template = '"' + "<user>" * 1_300 + '"'
    payload = compile_input(subscriber(input_transformer=InputTransformer(template, {"user": "$.detail.user"})))
    tracemalloc.start()
    with pytest.raises(UnsendablePayload, match="1170000002 characters; wanted at most 1048576") as refused:
        payload(event, ACCEPTED_AT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.body == event and peak < 20_000_000


def test_a_template_of_many_literals_and_blank_lines_is_judged_in_one_pass():
    # With blanks that can be matched in two ways each, this takes longer than the universe is old.
    assert not is_string_template('"a"' + '\n\n \n"a"' * 200 + " x")
    assert is_string_template(' "a" \n\n \n"b"\n\n "c" \n\n')
    assert not is_string_template('"a" "b"')
