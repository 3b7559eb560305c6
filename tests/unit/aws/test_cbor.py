"""Our CBOR beside another implementation, and beside bytes that mean harm."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given, strategies as st

from busway.aws.errors import AwsError
from busway.aws.protocols import Received
from busway.aws.protocols.cbor import CONTENT_TYPE, CborWire, refuse_in_cbor
from busway.aws.protocols.cbor_values import DEPTH_MAX, VALUES_MAX, Moment, NotCbor, decode, encode
from busway.aws.shapes import load_model

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**64), 2**64 - 1), st.floats(allow_nan=False), st.text(), st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(), inner, max_size=5))
)


@given(VALUES)
def test_what_we_write_others_read(value: Any):
    assert cbor2.loads(encode(value)) == value


@given(VALUES, st.booleans())
def test_what_others_write_we_read(value: Any, indefinite: bool):
    assert decode(cbor2.dumps(value, indefinite_containers=indefinite)) == value


@given(st.floats(allow_nan=False), st.booleans())
def test_numbers_with_fewer_bits_are_read(value: float, canonical: bool):
    assert decode(cbor2.dumps(value, canonical=canonical)) == value


def test_not_a_number_is_one():
    assert math.isnan(decode(b"\xf9\x7e\x00"))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\x7f\x61a\x62bc\xff", "abc"),
        (b"\x5f\x41a\x42bc\xff", b"abc"),
        (b"\x5f\xff", b""),
        (b"\xbf\xff", {}),
        (b"\xbf\x61a\x9f\x01\xff\xff", {"a": [1]}),
        (b"\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x00", 1_700_000_000_000),
        (b"\xd8\x23\x61a", "a"),
        (b"\xf7", None),
    ],
)
def test_pieces_and_tags_are_read_as_their_values(raw: bytes, value: Any):
    assert decode(raw) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(raw: bytes):
    with suppress(NotCbor):
        decode(raw)


@given(VALUES, st.data())
def test_a_value_that_is_cut_short_is_refused(value: Any, data: st.DataObject):
    raw = encode(value)
    with pytest.raises(NotCbor):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff", b"\x01\x02", b"\x1f", b"\x1c", b"\x3f", b"\xfc", b"\xf8\x20", b"\xa1\x01\x01", b"\x62\xc3\x28",
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xbb" + b"\xff" * 8,
        b"\x5f\x61a\xff", b"\x5f\x5f\xff\xff", b"\x81" * 100_000, b"\xc1" * 100_000, b"\x9f" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_cbor_is_refused_at_once(raw: bytes):
    with pytest.raises(NotCbor):
        decode(raw)


def test_nesting_is_bounded():
    assert decode(b"\x81" * DEPTH_MAX + b"\x01")
    with pytest.raises(NotCbor, match="too deeply"):
        decode(b"\x81" * (DEPTH_MAX + 1) + b"\x01")


@pytest.mark.parametrize("value", [object(), 2**64, -(2**64) - 1])
def test_what_has_no_form_is_not_written(value: Any):
    with pytest.raises(TypeError):
        encode(value)


def test_a_time_is_written_as_tagged_milliseconds():
    assert encode(Moment(1_700_000_000_123)) == b"\xc1\x1b" + (1_700_000_000_123).to_bytes(8)


# The protocol, on Kinesis's model.

MODEL = load_model("kinesis")
WIRE = CborWire(MODEL)


def read(operation: str, body: bytes) -> dict[str, Any]:
    return WIRE.read(MODEL.operations[operation], {}, Received("POST", b"/", b"", {}, body))


def test_a_request_of_the_sdk_for_java_is_read():
    body = cbor2.dumps({"StreamName": "s", "Records": [{"Data": b"\x00\xff", "PartitionKey": "k"}]})
    assert read("PutRecords", body) == {"StreamName": "s", "Records": [{"Data": b"\x00\xff", "PartitionKey": "k"}]}


def test_a_time_is_read_as_milliseconds():
    body = b"\xa1\x69Timestamp\xc1\x1b" + (1_700_000_000_123).to_bytes(8)
    assert read("GetShardIterator", body) == {"Timestamp": 1_700_000_000.123}


def test_an_answer_has_bytes_and_milliseconds():
    record = {"Data": b"\x00", "ApproximateArrivalTimestamp": 1.5, "SequenceNumber": "1", "PartitionKey": "k"}
    reply = WIRE.write(MODEL.operations["GetRecords"], {"Records": [record], "NextShardIterator": None}, "id")
    assert (reply.status, reply.content_type) == (200, CONTENT_TYPE)
    assert decode(reply.body) == {"Records": [{**record, "ApproximateArrivalTimestamp": 1500}]}


def test_an_error_is_a_map_of_type_and_message():
    reply = WIRE.refuse(AwsError("ResourceNotFoundException", "Stream s not found."), "id")
    assert (reply.status, reply.content_type) == (400, CONTENT_TYPE)
    assert decode(reply.body) == {"__type": "ResourceNotFoundException", "message": "Stream s not found."}


@pytest.mark.parametrize(
    "value", [["x"], {"Records": "x"}, {"Records": [{"Data": "text"}]}, {"StreamName": 1}, {"Records": [{"Data": 1}]}]
)
def test_what_is_not_of_the_models_types_is_refused(value: Any):
    with pytest.raises(AwsError) as refused:
        read("PutRecords", encode(value))
    assert refused.value.code == "SerializationException"


@pytest.mark.parametrize("at", ["x", 10**18, True])
def test_what_is_no_time_is_refused(at: Any):
    with pytest.raises(AwsError) as refused:
        read("GetShardIterator", encode({"Timestamp": at}))
    assert refused.value.code == "SerializationException"


def test_a_refusal_of_rpc_v2_is_in_its_own_words():
    reply = refuse_in_cbor(AwsError("UnsupportedOperationException", "no", 501))
    assert (reply.status, decode(reply.body)["__type"]) == (501, "UnsupportedOperationException")


def test_a_request_of_tiny_values_is_refused_before_it_holds_up_the_others():
    few = b"\x9f" + b"\x80" * (VALUES_MAX - 2) + b"\xff"
    assert len(decode(few)) == VALUES_MAX - 2
    with pytest.raises(NotCbor, match=f"more than {VALUES_MAX} values"):
        decode(b"\x9f" + b"\x80" * (VALUES_MAX + 1) + b"\xff")
