from __future__ import annotations

import msgspec

from busway.function.invocation.letters import (
    Work,
    dead_letter_attributes,
    destination_record,
    error_message,
    error_type,
)

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:mail"
ERROR = b'{"errorMessage":"no","errorType":"ValueError","requestId":"r","stackTrace":[]}'
WORK = Work(request_id="r-1", received_at=0.0)


def test_a_failed_invocation_s_record_is_aws_s_member_by_member():
    record = destination_record(
        WORK, FUNCTION, b'{"id":1}', ERROR, condition="RetriesExhausted", attempts=3, at=1_700_000_000.5
    )
    assert record == (
        b'{"version":"1.0","timestamp":"2023-11-14T22:13:20.500Z","requestContext":{"requestId":"r-1",'
        b'"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:mail:$LATEST",'
        b'"condition":"RetriesExhausted","approximateInvokeCount":3},"requestPayload":{"id":1},'
        b'"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},'
        b'"responsePayload":' + ERROR + b"}"
    )


def test_a_successful_invocation_s_record_has_no_function_error():
    record = destination_record(WORK, FUNCTION, b"[]", b"null", condition="Success", attempts=1, at=0.0)
    assert record.endswith(
        b'"requestPayload":[],"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},'
        b'"responsePayload":null}'
    )


def test_an_event_that_was_never_tried_has_no_response():
    record = destination_record(WORK, FUNCTION, b"{}", None, condition="EventAgeExceeded", attempts=0, at=0.0)
    assert set(msgspec.json.decode(record)) == {"version", "timestamp", "requestContext", "requestPayload"}


def test_a_result_that_is_no_json_becomes_a_string_in_the_record():
    record = destination_record(WORK, FUNCTION, b"{}", b"NaN \xff", condition="Success", attempts=1, at=0.0)
    assert msgspec.json.decode(record)["responsePayload"] == "NaN \ufffd"


def test_a_dead_letter_has_aws_s_three_attributes():
    assert dead_letter_attributes(WORK, ERROR) == {
        "RequestID": ("String", "r-1"),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "no"),
    }


def test_a_dead_letter_s_message_is_cut_to_a_kilobyte_of_whole_characters():
    error = msgspec.json.encode({"errorMessage": "x" + "ä" * 2000})
    message = dead_letter_attributes(WORK, error)["ErrorMessage"][1]
    assert message == "x" + "ä" * 511


def test_an_error_without_message_is_quoted_whole():
    assert error_message(b"[1]") == "[1]"
    assert error_type(b"\xff") == ""
