"""EventBridge's log of an event, read from records as its schema has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from busway.road.aws.bus_log import Passage, passages_of

EVENT_ID = "7bf73129-1428-4cd3-a780-95db273d1602"
BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/orders"
RULE = "arn:aws:events:eu-west-1:123456789012:rule/orders/shop-prod-one"
TARGET = "arn:aws:lambda:eu-west-1:123456789012:function:shop-prod-one"
CAME = {
    "caller_account_id": "123456789012", "source_time_ms": 1_700_000_000_000, "source": "shop",
    "detail_type": "Order Placed", "resources": [],
}  # fmt: skip
ONE = {"rule_arn": RULE, "target_arn": TARGET}
REFUSED = {"http_status_code": 403, "error_message": "no permission", "aws_service": "AWSLambda"}


def record(kind: str, level: str = "TRACE", details: dict[str, Any] | None = None, **more: Any) -> str:
    told = {"resource_arn": BUS, "event_id": EVENT_ID, "message_type": kind, "log_level": level}
    return json.dumps({**told, "message_timestamp_ms": 1, "details": details or {}, **more})


def read(*records: str) -> Passage:
    (passage,) = passages_of(EVENT_ID, [(float(at), text) for at, text in enumerate(records, 1)])
    return passage


def test_what_matched_and_how_each_invocation_ended_is_told():
    passage = read(
        record("EVENT_INGEST_SUCCESS", "INFO", CAME),
        record("EVENT_RECEIPT", details=CAME),
        record("RULE_MATCH_START", details=CAME),
        record("RULE_MATCH", details={"rule_arn": RULE, "target_arns": [TARGET], "invocation_ids": ["i"]}),
        record("INVOCATION_START", "INFO", {**ONE, "attempt_count": 1}),
        record("INVOCATION_ATTEMPT_START", details={**ONE, "attempt_count": 1}),
        record("INVOCATION_ATTEMPT_SUCCESS", details={**ONE, "attempt_type": "FIRST", "attempt_count": 1}),
        record("INVOCATION_SUCCESS", "INFO", {**ONE, "total_attempts": 1}),
    )
    assert (passage.bus, passage.source, passage.detail_type, passage.received_at) == (
        "orders", "shop", "Order Placed", 1.0,
    )  # fmt: skip
    assert passage.matched == ["shop-prod-one"]
    (delivery,) = passage.deliveries
    assert (delivery.rule, delivery.target, delivery.state, delivery.at) == (
        "shop-prod-one", TARGET, "delivered", 8.0,
    )  # fmt: skip
    assert [(one.attempt, one.outcome) for one in delivery.attempts] == [(1, "ok")]


def test_a_dead_letter_and_why_is_told_whichever_of_its_records_comes_first():
    failed = record("INVOCATION_ATTEMPT_PERMANENT_FAILURE", "ERROR", ONE, error=REFUSED)
    given_up, letter = record("INVOCATION_FAILURE", "ERROR", ONE), record("INVOCATION_DLQ", "ERROR", ONE)
    for ends in ((given_up, letter), (letter, given_up)):
        (delivery,) = read(failed, *ends).deliveries
        assert (delivery.state, delivery.error_code, delivery.error_message) == (
            "dead-lettered", "AWSLambda 403", "no permission",
        )  # fmt: skip


def test_what_is_given_up_without_a_dead_letter_queue_is_dropped():
    (delivery,) = read(record("INVOCATION_FAILURE", "ERROR", ONE, error=REFUSED)).deliveries
    assert delivery.state == "dropped"


def test_an_event_that_no_rule_matched_went_to_nobody():
    passage = read(record("EVENT_INGEST_SUCCESS", "INFO", CAME), record("NO_STANDARD_RULES_MATCHED", "INFO"))
    assert (passage.matched, passage.deliveries) == ([], [])


def test_below_the_level_that_tells_of_rules_nothing_is_said_of_them():
    assert read(record("EVENT_INGEST_SUCCESS", "INFO", CAME)).matched is None


def test_an_event_that_was_not_taken_says_why():
    assert read(record("EVENT_INGEST_FAILURE", "ERROR", CAME, error=REFUSED)).error == "AWSLambda 403: no permission"


def test_the_event_is_whole_only_where_its_detail_is_in_the_log():
    whole = {**CAME, "event_detail": '{"total": 7}'}
    event = json.loads(read(record("EVENT_RECEIPT", details=whole)).event)
    assert event == {
        "version": "0", "id": EVENT_ID, "detail-type": "Order Placed", "source": "shop", "account": "123456789012",
        "time": "2023-11-14T22:13:20Z", "region": "eu-west-1", "resources": [], "detail": {"total": 7},
    }  # fmt: skip
    assert read(record("EVENT_RECEIPT", details=CAME)).event == ""
    assert read(record("EVENT_RECEIPT", details=whole, dropped_fields=["event_detail"])).event == ""
    assert read(record("EVENT_RECEIPT", details={**CAME, "event_detail": '{"total": '})).event == ""


def test_an_event_on_two_buses_has_two_passages():
    other = BUS.replace("orders", "audit")
    texts = [record("EVENT_RECEIPT", details=CAME), record("EVENT_RECEIPT", details=CAME, resource_arn=other)]
    assert [one.bus for one in passages_of(EVENT_ID, [(1.0, text) for text in texts])] == ["orders", "audit"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"message_type": 3}', record("EVENT_RECEIPT").replace(EVENT_ID, "other")]
)
def test_what_is_no_record_of_the_event_says_nothing(text: str):
    assert passages_of(EVENT_ID, [(1.0, text)]) == []


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
KINDS = ("EVENT_RECEIPT", "RULE_MATCH", "INVOCATION_DLQ", "INVOCATION_ATTEMPT_THROTTLE", "EVENT_INGEST_FAILURE")
MEMBERS = ("source_time_ms", "event_detail", "resources", "detail_type", "rule_arn", "target_arns", "attempt_count")


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(MEMBERS), JSON), JSON)
def test_a_record_with_anything_in_it_is_read_or_passed_over_and_the_next_is_read(
    kind: str, details: dict[str, Any], error: Any
):
    texts = [record(kind, details=details, error=error), record("NO_STANDARD_RULES_MATCHED")]
    (passage,) = passages_of(EVENT_ID, [(1.0, text) for text in texts])
    assert passage.matched is not None


def test_a_record_or_a_detail_that_is_nested_too_deeply_says_nothing():
    deep = "[" * 5_000
    whole = {**CAME, "event_detail": '{"a": ' + deep}
    assert read(record("EVENT_RECEIPT", details=whole)).event == ""
    assert passages_of(EVENT_ID, [(1.0, f'{{"message_type": {deep}')]) == []
