"""What logs and letters on AWS know of an event, put together as a tree."""

from __future__ import annotations

from typing import Any

from busway.road.aws.attempt_log import AwsAttempt
from busway.road.aws.bus_log import BusAttempt, BusDelivery, Passage
from busway.road.aws.event_tree import event_tree
from busway.road.aws.history import History, Invocation
from busway.road.aws.letter import AwsLetter

NAME = "shop-prod-one"
FUNCTION = f"arn:aws:lambda:eu-west-1:123456789012:function:{NAME}"
STREAM = f"arn:aws:kinesis:eu-west-1:123456789012:stream/{NAME}"


def history(**about: Any) -> History:
    known: dict[str, Any] = {"groups": [], "since": 0.0, "invocations": [], "lines": [], "letters": [], "cut": False}
    return History(**{**known, **about})


def invoked(outcome: str, began_at: float, request_id: str = "r", lines: int = 0) -> Invocation:
    printed = [{"at": began_at, "line": f"line {number}"} for number in range(lines)]
    failed = outcome == "failed"
    attempt = AwsAttempt(
        1, began_at, 12.0, outcome, "ValueError" if failed else "", "no" if failed else "", printed, 3
    )  # fmt: skip
    return Invocation(NAME, request_id, [attempt])


def letter(**about: Any) -> AwsLetter:
    known: dict[str, Any] = {"message_id": "m", "queue": f"{NAME}-dead-letters", "kind": "function", "handler": NAME}
    return AwsLetter(
        **{**known, "payload": '{"id": "e", "source": "shop"}', "failed_at": 9.0, "event_id": "e", **about}
    )


def passage(*deliveries: BusDelivery) -> Passage:
    return Passage("orders", 1.0, "shop", "Order Placed", "", [one.rule for one in deliveries], "", list(deliveries))


def test_what_the_function_did_with_it_stands_with_the_rule_that_led_there():
    found = history(
        passages=[passage(BusDelivery(NAME, FUNCTION, "delivered", 2.0))], invocations=[invoked("ok", 3.0)]
    )
    event = event_tree("e", found, {})
    assert (event["detail_type"], event["bus"], event["accepted_at"]) == ("Order Placed", "orders", 1.0)
    (delivery,) = event["deliveries"]
    assert (delivery["rule"], delivery["state"], delivery["at"]) == (NAME, "delivered", 3.012)
    assert [one["began_at"] for one in delivery["attempts_seen"]] == [3.0]


def test_batches_of_a_stream_stand_with_the_rule_that_filled_it():
    found = history(passages=[passage(BusDelivery(NAME, STREAM, "delivered", 2.0))], invocations=[invoked("ok", 3.0)])
    (delivery,) = event_tree("e", found, {})["deliveries"]
    assert (delivery["target"], len(delivery["attempts_seen"])) == (STREAM, 1)


def test_what_the_bus_could_not_hand_over_shows_its_attempts():
    refused = [BusAttempt(1, 2.0, "failed", "AWSLambda 403", "no"), BusAttempt(2, 4.0, "throttled")]
    told = BusDelivery(NAME, FUNCTION, "dead-lettered", 5.0, "AWSLambda 403", "no", refused)
    by_rule = letter(kind="rule", handler=FUNCTION, error_code="NO_PERMISSIONS")
    (delivery,) = event_tree("e", history(passages=[passage(told)], letters=[by_rule]), {})["deliveries"]
    assert [(one["attempt"], one["outcome"]) for one in delivery["attempts_seen"]] == [
        (1, "failed"),
        (2, "throttled"),
    ]
    assert (delivery["state"], delivery["error_code"], delivery["at"]) == ("dead-lettered", "NO_PERMISSIONS", 9.0)


def test_an_event_that_went_well_after_it_was_sent_back_is_delivered():
    again = [invoked("failed", 3.0, "r1"), invoked("ok", 20.0, "r2")]
    (delivery,) = event_tree("e", history(invocations=again), {})["deliveries"]
    assert (delivery["state"], [one["outcome"] for one in delivery["attempts_seen"]]) == (
        "delivered",
        ["failed", "ok"],
    )


def test_without_a_log_of_the_bus_it_begins_with_the_first_thing_that_is_known():
    event = event_tree("e", history(invocations=[invoked("failed", 3.0)], letters=[letter()]), {})
    assert (event["accepted_at"], event["rules_known"], event["source"]) == (3.0, False, "shop")
    (delivery,) = event["deliveries"]
    assert (delivery["rule"], delivery["state"], delivery["dead_letter_queue"]) == (
        "", "dead-lettered", f"{NAME}-dead-letters",
    )  # fmt: skip


def test_of_many_lines_the_first_and_the_last_are_told_and_the_rest_counted():
    (delivery,) = event_tree("e", history(invocations=[invoked("ok", 3.0, lines=50)]), {})["deliveries"]
    (attempt,) = delivery["attempts_seen"]
    assert attempt["lines_first"][0] == "line 0" and attempt["lines_last"][-1] == "line 49"
    assert len(attempt["lines_first"]) + len(attempt["lines_last"]) + attempt["lines_left_out"] == 50 + 3


def test_an_event_that_nothing_matched_names_the_closest_rule():
    rules = [
        {"rule": "off", "matched": False, "missed": 1, "enabled": False},
        {"rule": "near", "matched": False, "missed": 1, "enabled": True},
    ]
    event = event_tree("e", history(passages=[passage()], rules=rules), {})
    assert (event["matched"], event["closest"]) == ([], [{"rule": "near", "missed": 1}])
