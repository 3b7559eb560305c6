"""Event streams as bytes. Whether a frame is right says botocore, which reads them for boto3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given, strategies as st

from busway.aws.errors import AwsError
from busway.aws.protocols.event_stream import HEADERS_MAX, PAYLOAD_MAX, VALUE_MAX, message
from busway.aws.protocols.json import JsonWire
from busway.aws.shapes import load_model

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
HEADERS = st.dictionaries(TEXTS.filter(lambda name: 0 < len(name.encode()) < 256), TEXTS, max_size=6)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=2_000)), min_size=1, max_size=5)
MODEL = load_model("logs")


def read(data: bytes, step: int | None = None) -> list[tuple[dict[str, Any], bytes]]:
    """The messages in it, as botocore reads them; `step` bytes at a time."""
    buffer, found = EventStreamBuffer(), []
    for start in range(0, len(data), step or len(data)):
        buffer.add_data(data[start : start + (step or len(data))])
        found += [(dict(one.headers), one.payload) for one in buffer]
    return found


@given(messages=MESSAGES, step=st.integers(1, 300))
def test_what_is_written_is_what_botocore_reads_however_it_is_cut(
    messages: list[tuple[dict[str, str], bytes]], step: int
):
    data = b"".join(message(headers, payload) for headers, payload in messages)
    assert read(data, step) == messages


@given(headers=HEADERS, payload=st.binary(max_size=200), place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_bit_that_is_not_as_it_was_written_is_seen(headers: dict[str, str], payload: bytes, place: int, bit: int):
    data = bytearray(message(headers, payload))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(ChecksumMismatch):
        assert read(bytes(data)) is None


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        ({"": "x"}, b""),
        ({"n" * 256: "x"}, b""),
        ({"n": "é" * (VALUE_MAX // 2 + 1)}, b""),
        ({f"n{number}": "x" * 32_000 for number in range(HEADERS_MAX // 32_000 + 1)}, b""),
        ({}, bytes(PAYLOAD_MAX + 1)),
    ],
)
def test_what_no_client_would_take_is_not_written(headers: Mapping[str, str], payload: bytes):
    with pytest.raises(ValueError, match=r"event stream: found .* wanted at most"):
        message(headers, payload)


class Given:
    """An operation's events: some, then an error or a wait."""

    def __init__(self, *events: Mapping[str, Any], ends: Exception | None = None) -> None:
        self.events, self.ends, self.closed = list(events), ends, False

    async def __anext__(self) -> Mapping[str, Any]:
        if self.events:
            return self.events.pop(0)
        raise self.ends or StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


async def streamed(events: Given) -> list[tuple[dict[str, Any], Any]]:
    reply = JsonWire("logs", MODEL).write(MODEL.operations["StartLiveTail"], {"responseStream": events}, "id")
    assert (reply.status, reply.content_type) == (200, b"application/vnd.amazon.eventstream")
    assert reply.stream is not None
    whole = reply.body + b"".join([piece async for piece in reply.stream])
    await reply.stream.aclose()
    assert events.closed
    return [(headers, json.loads(payload) if payload else None) for headers, payload in read(whole)]


def event(name: str) -> dict[str, str]:
    return {":message-type": "event", ":event-type": name, ":content-type": "application/json"}


async def test_an_answer_begins_with_its_initial_response_and_has_a_message_for_each_event():
    update = {"sessionMetadata": {"sampled": False}, "sessionResults": [{"message": "é", "timestamp": 5}]}
    found = await streamed(Given({"sessionStart": {"sessionId": "s", "requestId": None}}, {"sessionUpdate": update}))
    assert found == [
        (event("initial-response"), {}),
        (event("sessionStart"), {"sessionId": "s"}),
        (event("sessionUpdate"), update),
    ]


async def test_an_exception_that_the_stream_may_have_is_its_last_message():
    found = await streamed(Given(ends=AwsError("SessionTimeoutException", "three hours")))
    told = {":message-type": "exception", ":exception-type": "SessionTimeoutException"}
    assert found[1:] == [({**told, ":content-type": "application/json"}, {"message": "three hours"})]


async def test_an_error_that_the_model_does_not_know_is_told_as_one():
    found = await streamed(Given(ends=AwsError("InternalFailure", "ours")))
    assert found[1:] == [
        ({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "ours"}, None)
    ]
