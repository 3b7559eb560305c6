"""Whose a dead letter on AWS is, how it failed and where it goes back to, from what AWS writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from busway.pattern import parse
from busway.road.aws.letter import Wanted, groups_of, read_letter, told, way_back

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:shop-prod-one"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:shop-prod-one"
EVENT = json.dumps({"id": "e-1", "source": "shop", "detail-type": "Order", "detail": {"total": 5}})


def message(body: str = EVENT, attributes: dict[str, str] | None = None, **system: str) -> dict[str, Any]:
    return {
        "MessageId": "m-1", "ReceiptHandle": "r", "Body": body, "Attributes": {"SentTimestamp": "1000", **system},
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()
        },
    }  # fmt: skip


def letter(*args: Any, **kwargs: Any) -> Any:
    return read_letter(message(*args, **kwargs), "shop-prod-one-dead-letters", "shop-prod-one")


def test_what_a_rule_could_not_deliver_says_target_error_and_tries():
    attributes = {
        "RULE_ARN": "rule", "TARGET_ARN": FUNCTION, "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not allowed",
        "RETRY_ATTEMPTS": "3", "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }  # fmt: skip
    found = letter(EVENT, attributes)
    assert (found.kind, found.handler, found.error_code, found.error_message, found.attempts) == (
        "rule", FUNCTION, "NO_PERMISSIONS", "not allowed", 4,
    )  # fmt: skip
    assert (found.event_id, found.failed_at, found.payload) == ("e-1", 1.0, EVENT)
    assert (way_back(found).service, way_back(found).to) == ("lambda", FUNCTION)


def test_what_a_function_gave_up_is_of_the_function_whose_queue_it_is():
    found = letter(EVENT, {"RequestID": "q", "ErrorCode": "200", "ErrorMessage": "no post"})
    assert (found.kind, found.handler, found.error_code, found.error_message, found.request_id) == (
        "function", "shop-prod-one", "", "no post", "q",
    )  # fmt: skip
    assert way_back(found).to == "shop-prod-one"
    assert letter(EVENT, {"RequestID": "q", "ErrorCode": "429", "ErrorMessage": "x"}).error_code == "429"


def test_what_a_destination_was_told_has_the_payload_inside():
    record = {
        "version": "1.0",
        "requestContext": {
            "requestId": "q", "functionArn": f"{FUNCTION}:$LATEST", "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": json.loads(EVENT),
        "responsePayload": {"errorType": "KeyError", "errorMessage": "b"},
    }  # fmt: skip
    found = letter(json.dumps(record))
    assert (found.handler, found.error_code, found.error_message, found.attempts, found.event_id) == (
        FUNCTION, "KeyError", "b", 3, "e-1",
    )  # fmt: skip
    assert json.loads(found.payload) == json.loads(EVENT)


def test_records_of_a_stream_stay_as_nothing_there_has_their_payload():
    record = {
        "requestContext": {"functionArn": FUNCTION, "condition": "RetryAttemptsExhausted"},
        "KinesisBatchInfo": {},
    }
    found = letter(json.dumps(record))
    assert (found.kind, found.handler, found.error_code) == ("stream", FUNCTION, "RetryAttemptsExhausted")
    assert way_back(found).service == "" and "the records lie in the stream" in way_back(found).reason


def test_what_a_queue_put_aside_goes_back_to_that_queue():
    found = letter(DeadLetterQueueSourceArn=QUEUE, ApproximateReceiveCount="6")
    assert (found.kind, found.handler, found.error_code) == ("queue", QUEUE, "ReceivedTooOften")
    assert (way_back(found).service, way_back(found).to) == ("sqs", QUEUE)


@pytest.mark.parametrize("body", [EVENT, "text", "[]", "{}", "\ud800"])
def test_what_somebody_put_there_by_hand_stays(body: str):
    assert "nothing in it says what failed" in way_back(letter(body)).reason


def test_another_target_than_a_function_or_a_queue_is_left_alone():
    found = letter(EVENT, {"TARGET_ARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/x"})
    assert "no function and no queue" in way_back(found).reason


def test_letters_are_chosen_by_id_error_and_pattern():
    found = letter(EVENT, {"TARGET_ARN": FUNCTION, "ERROR_CODE": "TIMEOUT"})
    assert Wanted().takes(found)
    assert Wanted(frozenset({"e-1"})).takes(found) and Wanted(frozenset({"m-1"})).takes(found)
    assert not Wanted(frozenset({"other"})).takes(found)
    assert Wanted(error_code="TIMEOUT").takes(found) and not Wanted(error_code="THROTTLING").takes(found)
    assert Wanted(pattern=parse('{"detail": {"total": [5]}}')).takes(found)
    assert not Wanted(pattern=parse('{"detail": {"total": [6]}}')).takes(found)
    assert not Wanted(pattern=parse('{"detail": {"total": [6]}}')).takes(letter("text"))


def test_a_letter_without_an_event_is_not_taken_for_one_without_an_id():
    assert not Wanted(frozenset({""})).takes(letter("text"))


def test_groups_are_by_handler_and_error_and_what_sqs_alone_needs_is_not_told():
    one = letter(EVENT, {"TARGET_ARN": FUNCTION, "ERROR_CODE": "TIMEOUT"})
    other = letter(EVENT, {"TARGET_ARN": FUNCTION, "ERROR_CODE": "THROTTLING"})
    assert [(group.error_code, group.count) for group in groups_of([one, other, one])] == [
        ("TIMEOUT", 2), ("THROTTLING", 1),
    ]  # fmt: skip
    assert "receipt" not in told(one) and "attributes" not in told(one)


@pytest.mark.parametrize("body", ["[" * 5_000, '{"id": "e", "source": ' + "[" * 5_000, '{"n": 1e400}', "\ud800"])
def test_a_letter_that_cannot_be_read_is_one_without_an_event(body: str):
    assert letter(body).event_id == ""
