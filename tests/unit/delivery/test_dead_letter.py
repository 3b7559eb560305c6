"""A dead letter's words on the wire, and what is kept beside it."""

from __future__ import annotations

from hypothesis import given, strategies as st

from busway.delivery import Delivery, Failed
from busway.delivery.dead_letter import (
    MESSAGE_CHARS_MAX,
    Source,
    Verdict,
    attributes_of,
    decode_source,
    encode_source,
    source_of,
)

DELIVERY = Delivery(
    event_id="e",
    target_arn="arn:aws:sqs:r:a:q",
    payload=b"\xff{}",
    accepted_at=1.0,
    bus_arn="bus",
    rule_arn="rule",
    target_id="t",
    trace_header="trace",
    message_group_id="g",
)


def test_retries_that_ran_out_are_told_with_their_number():
    verdict = Verdict(Failed("TIMEOUT", "no answer", True), 4, "MaximumRetryAttempts", 2.0)
    assert attributes_of(DELIVERY, verdict) == {
        "RULE_ARN": ("String", "rule"),
        "TARGET_ARN": ("String", "arn:aws:sqs:r:a:q"),
        "ERROR_CODE": ("String", "TIMEOUT"),
        "ERROR_MESSAGE": ("String", "no answer"),
        "EXHAUSTED_RETRY_CONDITION": ("String", "MaximumRetryAttempts"),
        "RETRY_ATTEMPTS": ("String", "3"),
    }


def test_what_is_not_retriable_carries_neither_of_the_two():
    attributes = attributes_of(DELIVERY, Verdict(Failed("NO_RESOURCE", "gone", False)))
    assert set(attributes) == {"RULE_ARN", "TARGET_ARN", "ERROR_CODE", "ERROR_MESSAGE"}


def test_no_attribute_is_empty_or_endless():
    bare = Delivery(event_id="e", target_arn="t", payload=b"", accepted_at=0.0)
    attributes = attributes_of(bare, Verdict(Failed("TIMEOUT", "x" * 5_000, True)))
    assert "RULE_ARN" not in attributes
    assert len(attributes["ERROR_MESSAGE"][1]) == MESSAGE_CHARS_MAX


def test_the_source_says_how_to_hand_it_over_again():
    verdict = Verdict(Failed("TIMEOUT", "no answer", True), 4, "MaximumRetryAttempts", 2.0)
    assert source_of(DELIVERY, verdict, 9.0) == Source(
        kind="rule-target",
        payload=b"\xff{}",
        rule_arn="rule",
        target_id="t",
        target_arn="arn:aws:sqs:r:a:q",
        event_id="e",
        bus_arn="bus",
        error_code="TIMEOUT",
        error_message="no answer",
        attempts=4,
        first_at=2.0,
        failed_at=9.0,
        trace_header="trace",
        message_group_id="g",
    )


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_source_survives_storage(payload: bytes, text: str):
    source = Source(kind="function", payload=payload, error_message=text, attempts=2)
    assert decode_source(encode_source(source)) == source
