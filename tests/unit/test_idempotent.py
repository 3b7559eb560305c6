"""`once` where a test or a script runs it, and against a DynamoDB table as on AWS."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from busway import Event, handler, idempotent, once
from busway.errors import OnceUnavailable, StillRunning
from busway.idempotent import KEEP_HOURS, RESULT_BYTES_MAX, Memory, Server, Table, choose


class Order(Event, source="shop", detail_type="Order"):
    total: int


class Till:
    """Charges orders, and counts."""

    def __init__(self) -> None:
        self.charged: list[int] = []

    def charge(self, total: int, tip: int = 0) -> dict[str, int]:
        self.charged.append(total + tip)
        return {"receipt": len(self.charged)}

    async def charge_later(self, total: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return self.charge(total)


@pytest.fixture
def till() -> Till:
    return Till()


def test_a_step_runs_once_for_a_key_and_gives_what_it_gave(till: Till):
    assert [once("o-1", till.charge, 5, tip=1) for _ in range(3)] == [{"receipt": 1}] * 3
    assert once("o-2", till.charge, 7) == {"receipt": 2}
    assert till.charged == [6, 7]


async def test_an_async_step_is_awaited(till: Till):
    assert [await once("o-1", till.charge_later, 5) for _ in range(2)] == [{"receipt": 1}] * 2
    assert await once("o-1", partial(till.charge_later, 5)) == {"receipt": 1}, "a partial is the step that it calls"


def test_two_steps_of_one_event_do_not_take_each_other_s_place(till: Till):
    def mail(total: int) -> str:
        return f"mailed {total}"

    assert once("o-1", till.charge, 5) == {"receipt": 1}
    assert once("o-1", mail, 5) == "mailed 5"


def test_each_test_begins_with_nothing_done(till: Till):
    assert once("o-1", till.charge, 5) == {"receipt": 1}


def test_a_step_that_raises_runs_again(till: Till):
    def declined(total: int) -> None:
        till.charge(total)
        raise ValueError("declined")

    for _ in range(2):
        with pytest.raises(ValueError, match="declined"):
            once("o-1", declined, 5)
    assert till.charged == [5, 5]


async def test_an_async_step_that_is_cancelled_runs_again(till: Till):
    async def slow(total: int) -> dict[str, int]:
        if not till.charged:
            till.charge(0)
            await asyncio.Event().wait()
        return till.charge(total)

    task = asyncio.create_task(once("o-1", slow, 5))
    while not till.charged:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await once("o-1", slow, 5) == {"receipt": 2}


def test_while_a_step_runs_nobody_else_runs_it():
    began, go, results = threading.Event(), threading.Event(), list[int]()

    def slow() -> int:
        began.set()
        go.wait(30)
        return 1

    thread = threading.Thread(target=lambda: results.append(once("o-1", slow)))
    thread.start()
    began.wait(30)
    with pytest.raises(StillRunning, match=r"slow#o-1\): another invocation runs this step"):
        once("o-1", slow)
    go.set()
    thread.join()
    assert (results, once("o-1", slow)) == ([1], 1)


@pytest.mark.parametrize("result", [{1, 2}, "x" * RESULT_BYTES_MAX], ids=["no JSON", "too large"])
def test_a_result_that_can_not_be_kept_is_told_and_a_repeat_gives_none(caplog: pytest.LogCaptureFixture, result: Any):
    def give() -> Any:
        return result

    with caplog.at_level(logging.WARNING, "busway"):
        assert once("k", give) == result
    assert "the result is not kept" in caplog.text
    assert once("k", give) is None


@pytest.mark.parametrize("key", ["", None, 5])
def test_a_key_that_names_nothing_is_refused(till: Till, key: Any):
    with pytest.raises(ValueError, match=r"wanted a text such as event\.envelope\.id"):
        once(key, till.charge, 1)


def test_a_plain_function_that_gives_a_coroutine_is_no_step(till: Till):
    with pytest.raises(TypeError, match="wanted an async function itself"):
        once("k", lambda: till.charge_later(1))  # type: ignore[arg-type]


def test_how_long_it_is_remembered_can_be_said(till: Till):
    once_a_week = once.keeping(hours=168)
    assert [once_a_week("k", till.charge, 1) for _ in range(2)] == [{"receipt": 1}] * 2
    with pytest.raises(ValueError, match="wanted 1 to 8784"):
        once.keeping(hours=0)


def test_where_steps_are_kept_follows_from_what_runs_the_handler():
    assert isinstance(choose({}), Memory)
    assert isinstance(choose({"BUSWAY_WORKER": "m/1/"}), Server)
    on_aws = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_LAMBDA_FUNCTION_NAME": "f"}
    assert isinstance(choose({**on_aws, "BUSWAY_ONCE_TABLE": "steps"}), Table)
    with pytest.raises(OnceUnavailable, match="without BUSWAY_ONCE_TABLE") as caught:
        choose(on_aws)
    assert "DynamoDB" in caught.value.hint


def test_a_server_that_is_out_of_reach_is_told_as_such():
    with pytest.raises(OnceUnavailable, match="could not be asked"):
        Server("127.0.0.1:1").claim("k", "x")
    with pytest.raises(OnceUnavailable, match="none that it started"):
        Server("").claim("k", "x")


# --- on AWS ---

NOW = 1_700_000_000.4


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> tuple[Table, Stubber]:
    monkeypatch.setattr("busway.idempotent.time.time", lambda: NOW)
    monkeypatch.setattr("busway.idempotent.os.urandom", lambda size: b"\0" * size)
    client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    stub = Stubber(client)
    stub.activate()
    return Table("steps", "f", client), stub


def claim_of(row_id: dict[str, str]) -> dict[str, Any]:
    return {
        "TableName": "steps",
        "Item": {
            "id": row_id, "state": {"S": "claimed"}, "claimant": {"S": "x"}, "until": {"N": "1700000901"},
        },
        "ConditionExpression": "attribute_not_exists(id) OR #until <= :now",
        "ExpressionAttributeNames": {"#until": "until"},
        "ExpressionAttributeValues": {":now": {"N": "1700000000"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }  # fmt: skip


def refused(stub: Stubber, found: dict[str, Any]) -> None:
    stub.add_client_error(
        "put_item", "ConditionalCheckFailedException", "no", http_status_code=400, modeled_fields={"Item": found}
    )


def test_a_claim_is_a_conditional_put_that_ends_with_the_longest_invocation(table: tuple[Table, Stubber]):
    store, stub = table
    row_id = {"S": store._id("k")}  # pyright: ignore[reportPrivateUsage]
    stub.add_response("put_item", {}, claim_of(row_id))
    assert not store.claim("k", "x").completed
    stub.assert_no_pending_responses()


def test_a_claim_ends_with_its_invocation_where_the_context_says_when(table: tuple[Table, Stubber]):
    store, stub = table
    wanted = claim_of({"S": store._id("k")})  # pyright: ignore[reportPrivateUsage]
    wanted["Item"]["until"] = {"N": "1700000031"}
    stub.add_response("put_item", {}, wanted)
    token = idempotent.remaining_ms.set(lambda: 30_000)
    try:
        store.claim("k", "x")
    finally:
        idempotent.remaining_ms.reset(token)


def test_what_stands_in_the_table_decides(table: tuple[Table, Stubber]):
    store, stub = table
    refused(stub, {"state": {"S": "done"}, "result": {"S": '{"receipt":1}'}})
    assert store.claim("k", "x").result == '{"receipt":1}'
    refused(stub, {"state": {"S": "claimed"}, "claimant": {"S": "y"}})
    with pytest.raises(StillRunning):
        store.claim("k", "x")
    refused(stub, {"state": {"S": "claimed"}, "claimant": {"S": "x"}})
    assert not store.claim("k", "x").completed, "an answer that was lost: the claim is ours"


def test_a_completion_never_takes_the_place_of_an_earlier_one(table: tuple[Table, Stubber]):
    store, stub = table
    stub.add_response(
        "put_item",
        {},
        {
            "TableName": "steps",
            "Item": {
                "id": {"S": store._id("k")},  # pyright: ignore[reportPrivateUsage]
                "state": {"S": "done"},
                "result": {"S": "5"},
                "until": {"N": str(1_700_000_000 + KEEP_HOURS * 3600)},
            },
            "ConditionExpression": "attribute_not_exists(id) OR #state <> :done",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":done": {"S": "done"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    store.complete("k", "x", "5", KEEP_HOURS * 3600)
    refused(stub, {"state": {"S": "done"}})
    store.complete("k", "x", "6", 1)
    stub.assert_no_pending_responses()


def test_only_the_claimant_gives_its_claim_up(table: tuple[Table, Stubber]):
    store, stub = table
    stub.add_client_error("delete_item", "ConditionalCheckFailedException", "no", http_status_code=400)
    store.release("k", "x")
    stub.assert_no_pending_responses()


def test_on_aws_a_handler_keeps_its_events_from_being_handled_twice(
    monkeypatch: pytest.MonkeyPatch, table: tuple[Table, Stubber]
):
    handled: list[int] = []

    @handler(Order)
    def receive(event: Order) -> int:
        handled.append(event.total)
        return event.total

    @handler(Order, once=False)
    def receive_all(event: Order) -> int:
        handled.append(event.total)
        return event.total

    store, stub = table
    raw = {"id": "e-1", "source": "shop", "detail-type": "Order", "detail": {"total": 5}}
    monkeypatch.setattr(idempotent, "_chosen", store)
    monkeypatch.setenv("BUSWAY_ONCE_TABLE", "steps")
    stub.add_response("put_item", {})
    stub.add_response("put_item", {})
    assert receive(raw, object()) == 5
    refused(stub, {"state": {"S": "done"}, "result": {"S": "5"}})
    assert receive(raw, object()) == 5
    assert handled == [5]
    assert receive_all(raw, object()) == 5
    monkeypatch.setenv("BUSWAY_WORKER", "m/1/")
    assert receive(raw, object()) == 5, "in a worker of Busway the server does it"
    assert handled == [5, 5, 5]
