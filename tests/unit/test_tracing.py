"""Both headers of a trace, as strangers send them."""

from __future__ import annotations

import re

import pytest
from botocore.handlers import add_recursion_detection_header
from hypothesis import given, strategies as st

from busway.tracing import (
    HEADER_CHARS_MAX,
    begun_by,
    from_traceparent,
    is_trace,
    of_event,
    of_request,
    parent,
    read_id,
    root,
    sent_from,
    span_id,
    trace_id,
)

EVENT = "7bf73129-1428-4cd3-a780-95db273d1602"
ID, SPAN = "7bf7312914284cd3a78095db273d1602", "53995c3f42cd8ad8"
XRAY = f"Root=1-7bf73129-14284cd3a78095db273d1602;Parent={SPAN};Sampled=1"
digits = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda text: text.strip("0"))
spans = st.text("0123456789abcdef", min_size=16, max_size=16).filter(lambda text: text.strip("0"))


@given(digits, spans, st.integers(0, 255))
def test_an_id_is_the_same_in_both_headers(identity: str, span: str, flags: int):
    header = from_traceparent(f"00-{identity}-{span}-{flags:02x}")
    assert header is not None
    assert (trace_id(header), parent(header)) == (identity, span)
    assert header.endswith(f"Sampled={flags % 2}")
    assert is_trace(header)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ID,
        f"00-{ID}-{SPAN}",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"ff-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01-more",
        f"01-{ID}-{SPAN}-01more",
        f"00-{ID[1:]}-{SPAN}-01",
        f"00-{ID}-{SPAN}-1",
    ],
)
def test_a_traceparent_that_w3c_rules_out_is_ignored(text: str):
    assert from_traceparent(text) is None


def test_what_a_later_version_of_traceparent_adds_is_left_alone():
    assert from_traceparent(f"cc-{ID}-{SPAN}-01-what-comes") == XRAY


@given(st.text())
def test_whatever_a_header_holds_it_is_no_error(text: str):
    made = from_traceparent(text)
    assert made is None or is_trace(made)
    if not is_trace(text):
        assert trace_id(text) == "" or len(text) > HEADER_CHARS_MAX
    assert re.fullmatch("[0-9a-f]{16}|", parent(text))
    assert re.fullmatch("[0-9a-f]{32}|", read_id(text))
    assert parent(sent_from(text, SPAN)) == SPAN


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_bytes_a_request_brings_they_are_no_error(xray: bytes, w3c: bytes):
    of_request({b"traceparent": w3c})
    assert of_request({b"x-amzn-trace-id": xray, b"traceparent": w3c}) in (xray.decode("latin-1"), None)


@pytest.mark.parametrize("header", [f"{XRAY};{'x' * HEADER_CHARS_MAX}", "x", ""])
def test_a_request_whose_header_is_no_trace_has_none(header: str):
    assert of_request({b"x-amzn-trace-id": header.encode()}) is None
    assert of_request({b"x-amzn-trace-id": XRAY.encode()}) == XRAY


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (XRAY, True),
        (f"Self=1-67891234-{'a' * 24};{XRAY}", True),
        (f" {XRAY}", True),
        (f"Root=1-7bf73129-{'A' * 24}", True),
        (f"Root=1-7bf73129-{'a' * 23}", False),
        (f"root=1-7bf73129-{'a' * 24}", False),
        (f"Root=1-7bf73129-{'g' * 24}", False),
        (f"Root=١-7bf73129-{'a' * 24}", False),
        (f"{XRAY};{'x' * (HEADER_CHARS_MAX - len(XRAY) - 1)}", True),
        (f"{XRAY};{'x' * (HEADER_CHARS_MAX - len(XRAY))}", False),
    ],
)
def test_a_trace_header_is_one_with_a_root_in_at_most_500_characters(header: str, valid: bool):
    assert is_trace(header) == valid


def test_an_event_without_a_trace_begins_one_whose_id_is_its_own():
    header = of_event(EVENT, None)
    assert header == "Root=1-7bf73129-14284cd3a78095db273d1602;Sampled=0"
    assert of_event(EVENT, XRAY) == XRAY
    assert root(trace_id(header)) == "1-7bf73129-14284cd3a78095db273d1602"


@given(st.text(max_size=60).filter(lambda text: len(text.replace("-", "")) != 32))
def test_what_has_no_uuid_for_an_id_begins_a_trace_too(identity: str):
    assert is_trace(begun_by(identity))
    assert begun_by(identity) == begun_by(identity)


@pytest.mark.parametrize("text", [ID, root(ID), XRAY, ID.upper()])
def test_a_trace_is_known_by_each_of_its_forms(text: str):
    assert read_id(text) == ID


@pytest.mark.parametrize("text", [EVENT, "", "1-", f"{ID}0", "newest"])
def test_the_id_of_an_event_is_no_id_of_a_trace(text: str):
    assert read_id(text) == ""


def test_each_attempt_has_a_span_of_its_own():
    assert len({span_id(EVENT, 1), span_id(EVENT, 2), span_id(EVENT.replace("7", "8"), 1)}) == 3
    assert re.fullmatch("[0-9a-f]{16}", span_id(EVENT, 1))


def test_what_is_sent_on_names_its_sender_once_and_behind_the_root():
    assert sent_from(XRAY, "1" * 16) == XRAY.replace(SPAN, "1" * 16)
    assert sent_from("Root=1-a-b;Lineage=x:1", SPAN) == f"Root=1-a-b;Parent={SPAN};Lineage=x:1"


def test_aws_s_sdk_sends_on_what_a_handler_was_given(monkeypatch: pytest.MonkeyPatch):
    given_header = sent_from(f"{of_event(EVENT, None)};Lineage=0123abcd:1,4567cdef:2", SPAN)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "place-order")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", given_header)
    request: dict[str, dict[str, str]] = {"headers": {}}
    add_recursion_detection_header(request)
    assert request["headers"] == {"X-Amzn-Trace-Id": given_header}
