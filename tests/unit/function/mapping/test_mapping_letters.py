"""What is kept with a given-up batch, so that it can be redriven; and what an answer says of a redriven record."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from busway.function.mapping.letters import batch_source
from busway.function.mapping.report import FAILED_ITEMS, reported_failure
from busway.function.mapping.retry import EXHAUSTED, TOO_OLD, GivenUp
from busway.stream.record import StreamEntry

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


@dataclass
class Answer:
    payload: bytes
    function_error: str | None = None
    request_id: str = "r"
    executed_version: str = "$LATEST"


def entry(data: bytes) -> StreamEntry:
    return StreamEntry(offset=1, sequence_number="100", partition_key="k", data=data, arrived_at=5.0)


def given_up(*data: bytes, condition: str = EXHAUSTED) -> GivenUp:
    return GivenUp(tuple(entry(one) for one in data), condition, 3)


EVENT = json.dumps({"id": "e-1", "source": "shop", "detail-type": "Order", "detail": {}}).encode()


def test_a_single_event_s_letter_is_found_by_its_id_and_tells_the_handler_s_error():
    error = Answer(b'{"errorType":"Refused","errorMessage":"no"}', "Unhandled")
    source = batch_source(given_up(EVENT), ARN, b"{}", error, request_id="r", now=9.0)
    assert (source.kind, source.function_arn, source.event_id) == ("batch", ARN, "e-1")
    assert (source.error_code, source.error_message, source.attempts) == ("Refused", "no", 3)
    assert (source.first_at, source.failed_at) == (5.0, 9.0)


@pytest.mark.parametrize("data", [b"\xff", b"5", b'{"id":5}', b"{}"])
def test_what_is_no_event_has_no_id(data: bytes):
    assert batch_source(given_up(data), ARN, b"{}", None, request_id="r", now=9.0).event_id == ""


def test_of_several_events_none_names_the_letter():
    assert batch_source(given_up(EVENT, EVENT), ARN, b"{}", None, request_id="r", now=9.0).event_id == ""


def test_a_letter_says_when_nothing_was_raised():
    reported = batch_source(given_up(EVENT), ARN, b"{}", Answer(b"{}"), request_id="r", now=9.0)
    assert (reported.error_code, "batchItemFailures" in reported.error_message) == (EXHAUSTED, True)
    aged = batch_source(given_up(EVENT, condition=TOO_OLD), ARN, b"{}", None, request_id="r", now=9.0)
    assert (aged.error_code, "too old" in aged.error_message) == (TOO_OLD, True)


@pytest.mark.parametrize("answer", [b"", b"null", b"{}", b'{"batchItemFailures":[]}'])
def test_an_answer_that_reports_nothing_is_a_success(answer: bytes):
    assert reported_failure(answer) is None


def test_an_answer_that_reports_its_record_is_an_error():
    error = reported_failure(b'{"batchItemFailures":[{"itemIdentifier":"100"}]}')
    assert error is not None
    assert json.loads(error)["errorType"] == FAILED_ITEMS
