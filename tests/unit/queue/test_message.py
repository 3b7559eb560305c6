"""Checksums, sizes, checks and receipt handles of messages."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given, strategies as st

from busway.delivery.dead_letter import Source
from busway.errors import InvalidMessage, InvalidQueueRequest, InvalidReceiptHandle, MissingQueueParameter
from busway.queue.message import (
    AttributeValue,
    MessageMeta,
    Outgoing,
    Receipt,
    check_outgoing,
    chosen_attributes,
    decode_meta,
    encode_meta,
    md5_of_attributes,
    md5_of_body,
    message_size,
    read_receipt,
    trace_attributes,
)

LIMIT = 1_048_576
text_values = st.builds(
    lambda kind, text: AttributeValue(kind, text=text),
    st.sampled_from(["String", "String.url", "Number", "Number.int"]),
    st.text(min_size=1, max_size=30),
)
binary_values = st.builds(
    lambda kind, data: AttributeValue(kind, binary=data),
    st.sampled_from(["Binary", "Binary.gif"]),
    st.binary(min_size=1, max_size=30),
)
names = st.text(alphabet="abcXYZ019_-.é", min_size=1, max_size=12)


def independent_md5(attributes: dict[str, AttributeValue]) -> str:
    """AWS's documented algorithm written a second time: one buffer, struct for lengths, bytes order of the model."""
    buffer = b""
    for name, value in sorted(attributes.items(), key=lambda pair: pair[0].encode("utf-16-be")):
        buffer += struct.pack(">I", len(name.encode())) + name.encode()
        buffer += struct.pack(">I", len(value.data_type)) + value.data_type.encode("ascii")
        if value.binary is not None:
            buffer += struct.pack(">BI", 2, len(value.binary)) + value.binary
        else:
            assert value.text is not None
            buffer += struct.pack(">BI", 1, len(value.text.encode())) + value.text.encode()
    return hashlib.md5(buffer).hexdigest()


@given(st.dictionaries(names, text_values | binary_values, min_size=1, max_size=10))
def test_the_checksum_of_attributes_is_the_documented_one(attributes: dict[str, AttributeValue]):
    assert md5_of_attributes(attributes) == independent_md5(attributes)


def test_checksums_that_aws_published():
    # The example of AWS's Java and JavaScript SDK tests, and the empty case.
    assert md5_of_body(b"This is a test message") == "fafb00f5732ab283681e124bf8747ed1"
    assert md5_of_attributes({}) is None
    assert md5_of_attributes(trace_attributes(None)) is None


@given(st.dictionaries(names, text_values | binary_values, max_size=10))
def test_what_is_kept_beside_a_body_comes_back(attributes: dict[str, AttributeValue]):
    source = Source(kind="rule-target", payload=b"\x00\xff", rule_arn="r", attempts=3)
    meta = MessageMeta(message_id="m", sent_ms=1, sender="s", attributes=attributes, source=source)
    assert decode_meta(encode_meta(meta)) == meta


def test_a_size_counts_names_types_and_values():
    attributes = {"né": AttributeValue("String", text="é"), "b": AttributeValue("Binary", binary=b"123")}
    assert message_size(b"body", attributes) == 4 + (3 + 6 + 2) + (1 + 6 + 3)


def test_a_message_may_be_as_large_as_the_limit_and_no_larger():
    assert len(check_outgoing(Outgoing("a" * LIMIT), LIMIT)) == LIMIT
    for message in (
        Outgoing("a" * (LIMIT + 1)),
        Outgoing("é" * (LIMIT // 2) + "a"),
        Outgoing("a" * LIMIT, attributes={"n": AttributeValue("String", text="v")}),
    ):
        with pytest.raises(InvalidQueueRequest, match="Message must be shorter than 1048576 bytes"):
            check_outgoing(message, LIMIT)


@given(st.text(min_size=1, max_size=50))
def test_a_body_holds_exactly_the_characters_that_aws_carries(body: str):
    carried = all(
        c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" for c in body
    )
    if carried:
        assert check_outgoing(Outgoing(body), LIMIT) == body.encode()
    else:
        with pytest.raises(InvalidMessage, match="Invalid characters found"):
            check_outgoing(Outgoing(body), LIMIT)


@pytest.mark.parametrize("body", ["\x00", "a\x0bb", "\ufffe", "\ud800"])
def test_a_body_with_other_characters_is_refused(body: str):
    with pytest.raises(InvalidMessage):
        check_outgoing(Outgoing(body), LIMIT)


def test_an_empty_body_is_missing():
    with pytest.raises(MissingQueueParameter, match=r"The request must contain the parameter MessageBody\."):
        check_outgoing(Outgoing(""), LIMIT)


@pytest.mark.parametrize("delay_s", [-1, 901])
def test_a_delay_is_at_most_a_quarter_of_an_hour(delay_s: int):
    with pytest.raises(InvalidQueueRequest, match=f"Value {delay_s} for parameter DelaySeconds is invalid"):
        check_outgoing(Outgoing("a", delay_s=delay_s), LIMIT)


def test_a_group_id_has_no_spaces():
    with pytest.raises(InvalidQueueRequest, match="MessageGroupId can only include"):
        check_outgoing(Outgoing("a", group_id="a b"), LIMIT)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AWS.x", AttributeValue("String", text="v"), "does not start with AWS"),
        ("a..b", AttributeValue("String", text="v"), "twice in a row"),
        (".a", AttributeValue("String", text="v"), "is invalid"),
        ("a b", AttributeValue("String", text="v"), "is invalid"),
        ("n" * 257, AttributeValue("String", text="v"), "is invalid"),
        ("a", AttributeValue("", text="v"), "non-empty message attribute type"),
        ("a", AttributeValue("Text", text="v"), "the set of supported type prefixes is Binary, Number, and String"),
        ("a", AttributeValue("String"), "must contain non-empty message attribute value"),
        ("a", AttributeValue("Binary", text="v"), "message attribute type 'Binary'"),
        ("a", AttributeValue("Number", text="one"), "Can.t cast the value of message"),
        ("a", AttributeValue("Number", text="NaN"), "to a number"),
        ("a", AttributeValue("String", text="\x00"), "characters in its value"),
    ],
)  # fmt: skip
def test_a_bad_attribute_is_refused(name: str, value: AttributeValue, reason: str):
    with pytest.raises(InvalidQueueRequest, match=reason):
        check_outgoing(Outgoing("a", attributes={name: value}), LIMIT)


def test_ten_attributes_are_the_most():
    attributes = {f"n{i}": AttributeValue("Number.int", text="1") for i in range(10)}
    check_outgoing(Outgoing("a", attributes=attributes), LIMIT)
    with pytest.raises(InvalidQueueRequest, match=r"Number of message attributes \[11\] exceeds"):
        check_outgoing(Outgoing("a", attributes={**attributes, "x": AttributeValue("String", text="1")}), LIMIT)


@pytest.mark.parametrize(
    ("asked", "given_names"),
    [
        ([], set[str]()),
        (["All"], {"order.id", "order.city", "orders", "other"}),
        ([".*"], {"order.id", "order.city", "orders", "other"}),
        (["other", "missing"], {"other"}),
        (["order.*"], {"order.id", "order.city", "orders"}),
        (["order.id.*", "other"], {"order.id", "other"}),
    ],
)
def test_a_receiver_gets_the_attributes_it_asks_for(asked: list[str], given_names: set[str]):
    held = {name: AttributeValue("String", text="v") for name in ("order.id", "order.city", "orders", "other")}
    assert set(chosen_attributes(held, asked)) == given_names


@given(st.integers(0, 2**62), st.integers(0, 2**31), st.integers(0, 2**45))
def test_a_receipt_handle_comes_back_whole(item_id: int, token: int, received_ms: int):
    receipt = Receipt("arn:aws:sqs:us-east-1:000000000000:orders", item_id, token, received_ms)
    assert read_receipt(receipt.handle(), receipt.queue_arn) == receipt


@given(st.text(max_size=40))
def test_any_other_text_is_no_receipt_handle(text: str):
    with pytest.raises(InvalidReceiptHandle):
        read_receipt(text, "arn:aws:sqs:us-east-1:000000000000:orders")


def test_a_handle_of_another_queue_is_refused():
    handle = Receipt("arn:aws:sqs:us-east-1:000000000000:a", 1, 1, 1).handle()
    with pytest.raises(InvalidReceiptHandle, match="is not a valid receipt handle"):
        read_receipt(handle, "arn:aws:sqs:us-east-1:000000000000:b")
