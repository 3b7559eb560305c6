"""Handlers of batches: which records are reported as failed, and which error fails the whole."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from hypothesis import given, strategies as st
from pydantic import Field

from busway import Event, batch_handler
from busway.batch_handling import BatchHandler
from busway.errors import EventMismatch, InvalidHandler


class Order(Event, source="shop", detail_type="Order"):
    total: int
    customer_id: Annotated[str, Field(alias="customer-id")] = "c"


class Refused(Exception):
    pass


def envelope(number: int, **detail: Any) -> str:
    shape = {"id": f"e-{number}", "source": "shop", "detail-type": "Order", "detail": {"total": number, **detail}}
    return json.dumps(shape)


def stream(bodies: Sequence[str]) -> dict[str, Any]:
    """An event of a Kinesis stream; record n has the sequence number 100 + n."""
    return {
        "Records": [
            {
                "eventSource": "aws:kinesis",
                "eventID": f"shardId-0:{100 + number}",
                "kinesis": {
                    "partitionKey": "k",
                    "sequenceNumber": str(100 + number),
                    "data": base64.b64encode(body.encode()).decode(),
                },
            }
            for number, body in enumerate(bodies)
        ]
    }


def queue(bodies: Sequence[str], groups: str = "") -> dict[str, Any]:
    """An event of a queue, of a FIFO queue if each message has a letter for its group; message n is m-n."""
    return {
        "Records": [
            {
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q" + (".fifo" if groups else ""),
                "messageId": f"m-{number}",
                "body": body,
                "attributes": {"MessageGroupId": groups[number]} if groups else {},
            }
            for number, body in enumerate(bodies)
        ]
    }


def orders(*numbers: int) -> list[str]:
    return [envelope(number) for number in numbers]


def failed(answer: Any) -> list[str]:
    assert list(answer) == ["batchItemFailures"]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


class Till:
    """Handlers of both forms that refuse some totals, and note what they were given."""

    def __init__(self, refuse: Sequence[int] = ()) -> None:
        self.given: list[int] = []
        refused = set(refuse)

        @batch_handler(Order)
        def each(event: Order) -> None:
            self.given.append(event.total)
            if event.total in refused:
                raise Refused(event.total)

        @batch_handler(Order)
        def together(events: list[Order]) -> list[Order]:
            self.given += [event.total for event in events]
            return [event for event in events if event.total in refused]

        self.each: BatchHandler[Any, Any] = each
        self.together: BatchHandler[Any, Any] = together

    def form(self, name: str) -> BatchHandler[Any, Any]:
        return getattr(self, name)


FORMS = pytest.mark.parametrize("form", ["each", "together"])


@FORMS
@pytest.mark.parametrize("make", [stream, queue], ids=["stream", "queue"])
def test_a_batch_that_succeeds_reports_nothing(form: str, make: Callable[[list[str]], dict[str, Any]]):
    till = Till()
    assert failed(till.form(form)(make(orders(1, 2, 3)), object())) == []
    assert till.given == [1, 2, 3]


@FORMS
def test_of_a_queue_each_failure_is_reported_and_the_others_are_done(form: str):
    till = Till(refuse=[2, 4])
    assert failed(till.form(form)(queue(orders(1, 2, 3, 4)), object())) == ["m-1", "m-3"]
    assert till.given == [1, 2, 3, 4]


def test_of_a_stream_nothing_behind_a_failure_is_run():
    till = Till(refuse=[2, 4])
    assert failed(till.each(stream(orders(1, 2, 3, 4)), object())) == ["101"]
    assert till.given == [1, 2]


def test_of_a_stream_handled_together_the_first_failure_says_it_all():
    assert failed(Till(refuse=[2, 4]).together(stream(orders(1, 2, 3, 4)), object())) == ["101"]


@FORMS
def test_of_a_fifo_queue_a_failure_holds_up_its_group_alone(form: str):
    till = Till(refuse=[2])
    assert failed(till.form(form)(queue(orders(1, 2, 3, 4, 5), "abaab"), object())) == ["m-1", "m-4"]
    assert till.given == ([1, 2, 3, 4] if form == "each" else [1, 2, 3, 4, 5])


@pytest.mark.parametrize("make", [stream, queue], ids=["stream", "queue"])
def test_a_batch_of_which_nothing_succeeded_fails_with_the_first_error(make: Callable[[list[str]], dict[str, Any]]):
    with pytest.raises(Refused, match="1"):
        Till(refuse=[1, 2]).each(make(orders(1, 2)), object())


def test_a_handler_of_lists_that_raises_fails_the_whole_batch():
    @batch_handler(Order)
    def post(events: list[Order]) -> None:
        raise Refused(len(events))

    with pytest.raises(Refused, match="2"):
        post(queue(orders(1, 2)), object())


@FORMS
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "is no event: Expecting property name"),
        ('"text"', "found str, wanted a JSON object"),
        (envelope(2, total="much"), "detail.total: Input should be a valid integer"),
        (json.dumps({"id": "x", "source": "other", "detail-type": "Order", "detail": {}}), "is not a Order"),
    ],
)
def test_what_is_no_event_fails_alone_with_a_clear_line(
    form: str, body: str, said: str, capsys: pytest.CaptureFixture[str]
):
    till = Till()
    assert failed(till.form(form)(queue([envelope(1), body, envelope(3)]), object())) == ["m-1"]
    assert till.given == [1, 3]
    line = capsys.readouterr().out
    assert line.startswith("[ERROR] message m-1 failed: EventMismatch: ")
    assert said in line
    assert failed(till.form(form)(stream([envelope(1), body, envelope(3)]), object())) == ["101"]
    assert till.given == [1, 3, 1]
    with pytest.raises(EventMismatch):
        till.form(form)(stream([body, envelope(3)]), object())


def test_data_that_is_no_base64_is_that_record_s_failure():
    event = stream(orders(1, 2))
    event["Records"][1]["kinesis"]["data"] = "%%%="
    assert failed(Till().each(event, object())) == ["101"]


def test_a_failure_s_traceback_begins_in_the_handler(capsys: pytest.CaptureFixture[str]):
    Till(refuse=[2]).each(queue(orders(1, 2)), object())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[ERROR] message m-1 failed: Refused: 2"
    assert "test_batch_handling.py" in lines[1] and "in each" in lines[1]
    assert not any("busway/batch" in line for line in lines)


def test_an_async_handler_runs_to_its_end_in_one_event_loop():
    loops: set[int] = set()

    @batch_handler(Order)
    async def each(event: Order) -> None:
        import asyncio

        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        if event.total == 2:
            raise Refused

    @batch_handler(Order)
    async def together(events: list[Order]) -> list[Order]:
        return events[1:]

    assert failed(each(queue(orders(1, 2, 3)), object())) == ["m-1"]
    assert len(loops) == 1
    assert failed(together(queue(orders(1, 2, 3)), object())) == ["m-1", "m-2"]


def test_in_a_test_a_handler_is_the_plain_function():
    till = Till(refuse=[2])
    one, two = Order.sample(total=1), Order.sample(total=2)
    assert till.together([one, two]) == [two]
    with pytest.raises(Refused):
        till.each(two)


@pytest.mark.parametrize("given_back", [5, ["e-1"], [Order(total=1).sample()]])
def test_giving_back_what_was_not_in_the_batch_fails_it(given_back: Any):
    @batch_handler(Order)
    def post(events: list[Order]) -> Any:
        return given_back

    with pytest.raises(TypeError, match="wanted the events of the batch to try again, or None"):
        post(queue(orders(1)), object())


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": [{"eventSource": "aws:s3"}]}, {"id": "e"}])
def test_another_event_than_a_batch_is_a_type_error_that_says_what_is_wanted(event: dict[str, Any]):
    with pytest.raises(TypeError, match="wanted Lambda's event of a Kinesis stream or an SQS queue"):
        Till().each(event, object())


@given(refused=st.sets(st.integers(0, 9)), count=st.integers(1, 10), groups=st.text("abc", min_size=10, max_size=10))
def test_nothing_is_lost_and_order_is_kept_whatever_fails(refused: set[int], count: int, groups: str):
    """Tried again as Lambda does, until all are settled or given up, each sees its events in their order."""
    till = Till(refuse=sorted(refused))
    left, settled = list(range(count)), list[int]()
    for _ in range(2 * count):
        if not left:
            break
        try:
            event = queue(orders(*left), "".join(groups[n] for n in left))
            again = {left[int(name[2:])] for name in failed(till.each(event, object()))}
        except Refused:
            again = set(left)
        done = [n for n in left if n not in again]
        settled += done
        # The first of each group that fails is given up in the end.
        heads = {next(n for n in left if groups[n] == group) for group in {groups[n] for n in left if n in again}}
        left = [n for n in left if n in again and not (n in heads and n in refused)]
    assert sorted(settled) == [n for n in range(count) if n not in refused]
    for group in "abc":
        assert [n for n in settled if groups[n] == group] == sorted(n for n in settled if groups[n] == group)


# --- what may be asked for ---


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": 0}, "size is 0 events; AWS allows 1 to 10000"),
        ({"window": "6m"}, "window is 360 seconds; AWS allows 0 to 300"),
        ({"parallelism": 11}, "parallelism is 11 batches at a time; AWS allows 1 to 10"),
        ({"retries": -1}, "retries is -1"),
        ({"max_age": "30s"}, "max_age is 30 seconds; AWS allows 60"),
        ({"order_by": "customer"}, "the fields of Order are: total, customer_id"),
        ({"source": "topic"}, "wanted 'stream' or 'queue'"),
        ({"source": "queue", "bisect": True}, "bisect belongs to a stream"),
        ({"source": "queue", "order_by": "total"}, "order_by belongs to a stream"),
        ({"source": "queue", "max_age": "2h"}, "max_age belongs to a stream"),
        ({"source": "queue", "parallelism": 1}, "AWS allows 2 to 1000"),
        ({"source": "queue", "window": 0}, "size is 100 without a window"),
    ],
)
def test_what_aws_would_refuse_is_refused_when_the_handler_is_defined(options: dict[str, Any], problem: str):
    with pytest.raises(InvalidHandler, match=problem):
        batch_handler(Order, **options)


def test_the_options_are_plain_data():
    @batch_handler(Order, size=10, window="1m", order_by="customer_id", retries=3, filter={"total": [5]})
    def each(event: Order) -> None:
        """Handles one."""

    assert (each.batch.size, each.batch.window_s, each.batch.order_by) == (10, 60, "$.detail.customer-id")
    assert (each.options.retries, each.options.max_age_s, each.__doc__) == (3, 21_600, "Handles one.")
    assert each.pattern() == {"source": ["shop"], "detail-type": ["Order"], "detail": {"total": [5]}}
    assert not each.takes_list


def test_order_may_follow_any_path_of_the_event():
    for given_path, path in (("customer-id", "$.detail.customer-id"), ("$.account", "$.account")):
        assert batch_handler(Order, order_by=given_path)(_nothing).batch.order_by == path


def _nothing(events: Sequence[Order]) -> None:
    """A handler of lists, by another name for them."""


@pytest.mark.parametrize(
    "function", [lambda: 1, lambda event: 1, lambda a, b: 1], ids=["nothing", "no annotation", "two"]
)
def test_a_function_must_say_whether_it_takes_one_event_or_many(function: Any):
    with pytest.raises(InvalidHandler, match=r"wanted events: list\[Order\], or event: Order"):
        batch_handler(Order)(function)


def test_an_annotation_that_can_not_be_read_is_told():
    def each(event: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    with pytest.raises(InvalidHandler, match="'Nowhere' can't be read"):
        batch_handler(Order)(each)


def test_what_a_batch_handler_imports_is_light():
    code = (
        "import sys; from busway import Event, batch_handler; "
        "print([m for m in sys.modules if m.split('.')[0] in ('asyncio', 'msgspec', 'botocore', 'boto3', 'httpx') or "
        "(m.startswith('busway.') and m.split('.')[1] not in "
        "('event', 'handling', 'idempotent', 'batch', 'batch_handling', 'errors'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
