"""The event byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from busway.bus.envelope import (
    DETAIL_DEPTH_MAX,
    Notes,
    build_envelope,
    check_detail,
    depth,
    event_id,
    frame,
    summary,
    time_text,
    unframe,
)
from busway.errors import CorruptRecord, MalformedDetail, MalformedTime

ID = "0b3f6e0e-6a4b-4c1e-9d63-5d6f2f0a1b2c"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def envelope(detail: str = "{}") -> bytes:
    return build_envelope(
        ID,
        "Order Placed",
        "shop",
        "123456789012",
        "2026-11-23T16:30:00Z",
        "eu-central-1",
        ["r:1"],
        check_detail(detail),
    )


def test_members_stand_in_awss_order_without_spaces():
    assert envelope('{"b": 1, "a": [1, 2]}') == (
        b'{"version":"0","id":"0b3f6e0e-6a4b-4c1e-9d63-5d6f2f0a1b2c","detail-type":"Order Placed","source":"shop",'
        b'"account":"123456789012","time":"2026-11-23T16:30:00Z","region":"eu-central-1","resources":["r:1"],'
        b'"detail":{"b":1,"a":[1,2]}}'
    )


def test_numbers_keep_their_digits_and_repeated_members_stay():
    detail = '{"price": 1.000, "huge": 1e400, "big": 12345678901234567890123, "zero": -0.0, "a": 1, "a": 2}'
    assert check_detail(detail).decode() == detail.replace(": ", ":").replace(", ", ",")


def test_escapes_stay_as_they_were_sent():
    detail = '{"a":"\\u00e9 \\/ é \\n"}'
    assert check_detail(detail) == detail.encode()


@pytest.mark.parametrize(
    "detail",
    [
        "plain text", "", "{", '{"a":1,}', "[1]", '"text"', "1", "null", '{"a":NaN}', '{"a":Infinity}', '{"a":01}',
        "{'a':1}", '{"a":1} x', '{"a":"\\ud800"}', '{"a":"\ud800"}', '{"a":"\t"}', '{"a":"\\x"}', "\ufeff{}",
        '{"a":' * 100_000, '{"a":' * 600 + "1" + "}" * 600, '{"a":' + "[" * 600 + "]" * 600 + "}",
    ],
)  # fmt: skip
def test_anything_but_a_json_object_is_malformed(detail: str):
    with pytest.raises(MalformedDetail):
        check_detail(detail)


def test_detail_nests_as_deep_as_the_limit_says():
    deepest = '{"a":' * DETAIL_DEPTH_MAX + "1" + "}" * DETAIL_DEPTH_MAX
    assert check_detail(deepest) == deepest.encode()


def test_many_shallow_objects_are_no_deep_nesting():
    assert check_detail(json.dumps({"a": [{"[{": i} for i in range(2_000)]}))


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_a_detail_means_the_same_after_it(detail: dict[str, object]):
    text = json.dumps(detail, ensure_ascii=False, indent=1)
    assert json.loads(check_detail(text)) == detail


@given(json_values)
def test_depth_counts_brackets_outside_of_strings(value: object):
    def levels(value: object) -> int:
        if isinstance(value, dict):
            return 1 + max(map(levels, value.values()), default=0)
        return 1 + max(map(levels, value), default=0) if isinstance(value, list) else 0

    assert depth(json.dumps(value).encode()) == levels(value)


def test_time_is_whole_seconds_in_utc():
    assert time_text(0.999) == "1970-01-01T00:00:00Z"
    assert time_text(-0.5) == "1969-12-31T23:59:59Z"
    assert time_text(-62_135_596_800) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("at", [1e300, -1e300, float("nan"), float("inf"), 253_402_300_800])
def test_a_time_that_an_event_cannot_say_is_refused(at: float):
    with pytest.raises(MalformedTime):
        time_text(at)


@given(st.none() | st.text(), st.lists(st.sampled_from(["account", "region"])).map(tuple))
def test_notes_stand_beside_the_event_and_never_in_it(trace: str | None, hops: tuple[str, ...]):
    event = envelope('{"a":"\\n"}')
    assert unframe(frame(event, Notes(trace, hops))) == (event, Notes(trace, hops))
    assert event_id(event) == ID


@pytest.mark.parametrize("entry", [b"", b"x", b"+", b"+{}", b"+{}\nx", b"+no json\n{}", b"!{}"])
def test_an_entry_that_is_no_event_is_corrupt(entry: bytes):
    with pytest.raises(CorruptRecord):
        unframe(entry)


def test_a_summary_is_what_people_ask_for():
    assert summary(envelope()) == {"event_id": ID, "detail_type": "Order Placed", "source": "shop"}
