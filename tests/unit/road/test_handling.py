from __future__ import annotations

from typing import Any

import pytest

from busway import Event, ScheduledEvent, handler
from busway.errors import EventMismatch, InvalidHandler
from busway.handling import duration_s


class Order(Event, source="shop", detail_type="Order"):
    total: int


RAW: dict[str, Any] = {"id": "1", "source": "shop", "detail-type": "Order", "detail": {"total": 5}}


@handler(Order, retries=1, max_age="2h", timeout="1m", alert="pagerduty", env=["LEVEL"], filter={"total": [5]})
def double(event: Order) -> int:
    """Twice the total."""
    return event.total * 2


@handler(Order)
async def later(event: Order) -> str:
    return event.envelope.id


def test_in_a_test_a_handler_is_the_plain_function():
    assert double(Order(total=4)) == 8
    assert (double.__name__, double.__doc__) == ("double", "Twice the total.")


def test_under_lambda_it_parses_the_envelope_and_gives_the_result():
    assert double(RAW, object()) == 10


async def test_an_async_handler_is_awaited_in_a_test():
    assert await later(Order.from_envelope(RAW)) == "1"


def test_an_async_handler_runs_to_its_end_under_lambda():
    assert later(RAW, object()) == "1"


def test_a_malformed_event_fails_before_the_function_runs():
    with pytest.raises(EventMismatch, match=r"detail\.total"):
        double({**RAW, "detail": {}}, object())


def test_anything_else_is_a_type_error_that_says_what_is_wanted():
    with pytest.raises(TypeError, match="wanted a Order or an event as a JSON object"):
        double(5)  # type: ignore[call-overload]


def test_the_options_are_plain_data():
    options = double.options
    assert (options.retries, options.max_age_s, options.timeout_s, options.alert) == (1, 7200, 60, "pagerduty")
    assert options.env == ("LEVEL",)


def test_the_pattern_is_source_detail_type_and_the_filter_over_the_detail():
    assert double.pattern() == {"source": ["shop"], "detail-type": ["Order"], "detail": {"total": [5]}}
    assert later.pattern() == {"source": ["shop"], "detail-type": ["Order"]}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"retries": 186}, "retries=186; wanted 0 to 185"),
        ({"retries": -1}, "retries=-1; wanted 0 to 185"),
        ({"max_age": "30s"}, "max_age is 30 seconds; AWS allows 60 to 21600"),
        ({"max_age": "7h"}, "max_age is 25200 seconds"),
        ({"timeout": "16m"}, "timeout is 960 seconds; AWS allows 1 to 900"),
        ({"timeout": "soon"}, "'soon' is no duration"),
        ({"memory_mb": 64}, "memory_mb is 64 MB; AWS allows 128 to 10240"),
        ({"alert": "page me"}, "alert='page me'"),
        ({"name": ""}, "name=''"),
        ({"env": ["AWS_PROFILE"]}, "none that begins with AWS_"),
        ({"env": "LEVEL"}, "wanted a list"),
        ({"secrets": "KEY"}, "secrets='KEY'; wanted a list"),
        ({"secrets": ["AWS_KEY"]}, "secrets names 'AWS_KEY'"),
        ({"secrets": ["A-B"]}, "secrets names 'A-B'"),
        ({"env": ["KEY"], "secrets": ["KEY"]}, "'KEY' is in env and in secrets"),
    ],
)
def test_what_aws_would_refuse_is_refused_when_the_handler_is_defined(options: dict[str, Any], problem: str):
    with pytest.raises(InvalidHandler, match=problem.replace("(", r"\(")):
        handler(Order, **options)


def test_a_handler_needs_an_event_that_a_rule_can_find():
    with pytest.raises(InvalidHandler, match="names no source"):
        handler(Event)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("3m", 180), (" 6h ", 21_600), (45, 45)])
def test_durations_are_read_as_people_write_them(text: str | int, seconds: int):
    assert duration_s(text) == seconds


def test_a_schedule_and_the_event_it_makes_go_together():
    @handler(ScheduledEvent, schedule="rate(5 minutes)", concurrency=2)
    def poll(event: ScheduledEvent) -> str:
        return event.envelope.id

    assert (poll.options.schedule, poll.options.concurrency) == ("rate(5 minutes)", 2)
    assert poll(ScheduledEvent.sample()) == ScheduledEvent.sample().envelope.id
    for wrong in ({"schedule": None}, {"schedule": "every day"}, {"schedule": "rate(1 day)", "filter": {"a": [1]}}):
        with pytest.raises(InvalidHandler, match=r"schedule|scheduled"):
            handler(ScheduledEvent, **wrong)
    with pytest.raises(InvalidHandler, match="concurrency is 0"):
        handler(ScheduledEvent, schedule="rate(1 day)", concurrency=0)


def test_permissions_name_what_a_handler_may_do_on_aws():
    wanted = {
        "s3:GetObject": "arn:aws:s3:::receipts/*",
        "sqs:SendMessage": ["arn:aws:sqs:*:*:a", "arn:aws:sqs:*:*:b"],
    }
    made = handler(Order, permissions=wanted)(lambda _: None)
    assert made.options.permissions == {
        "s3:GetObject": ("arn:aws:s3:::receipts/*",),
        "sqs:SendMessage": ("arn:aws:sqs:*:*:a", "arn:aws:sqs:*:*:b"),
    }


@pytest.mark.parametrize(
    "permissions",
    [{"s3": "*"}, {"S3:GetObject": "*"}, {"s3:GetObject": "receipts"}, {"s3:GetObject": []}, ["s3:GetObject"]],
)
def test_permissions_that_iam_would_refuse_are_refused_here(permissions: Any):
    with pytest.raises(InvalidHandler, match="permissions"):
        handler(Order, permissions=permissions)
