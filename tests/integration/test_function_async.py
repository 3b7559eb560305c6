"""Asynchronous invocation, from the row in the queue to its end. The clock is moved by hand, workers are real."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from busway.clock import ManualClock
from busway.delivery.dead_letter import Source
from busway.engine import Item
from busway.errors import CorruptRecord, FunctionNotFound, InvalidFunction, StorageFull
from busway.function.definitions.attached import EventInvokeChange
from busway.function.definitions.code_store import Zip
from busway.function.invocation.letters import Work
from busway.queue.message import decode_meta

from .function_workshop import SCOPE, UNDELIVERABLE, Workshop, until, workshop, zipped

FAILS = "def handler(event, context): raise ValueError('no ' + str(event))"
BUS = SCOPE.arn("events", "event-bus/orders")


def source_of(item: Item) -> Source:
    source = decode_meta(item.meta).source
    assert source is not None
    return source


async def attempts(shop: Workshop, request_id: str) -> list[int]:
    """The attempts that were started, by their START lines."""
    lines = await shop.functions.logs.of_request(request_id)
    return [line.attempt for line in lines if line.line.startswith("START")]


async def until_due_again(shop: Workshop, name: str) -> Item:
    """The one event that waits for its retry."""

    async def waiting() -> Item | None:
        items = await shop.items(shop.arn(name))
        ready = [i for i in items if msgspec.json.decode(i.meta, type=Work).errors and i.due_at > shop.clock.now()]
        in_flight = shop.functions.running(shop.arn(name))
        return ready[0] if ready and not in_flight else None

    async with asyncio.timeout(30):
        while (item := await waiting()) is None:
            await asyncio.sleep(0.005)
    return item


async def test_an_event_is_handled_once_and_its_row_ends(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("ok", "def handler(event, context): print('got', event)")
        await shop.put("ok", {"n": 1})
        await shop.until_gone("ok")
        assert await attempts(shop, "r-1") == [1]
        assert "got {'n': 1}" in await shop.lines("ok")
        assert shop.metrics.value("AWS/Lambda", "AsyncEventsReceived", FunctionName="ok") == 1


async def test_a_backlog_is_worked_off_and_none_is_handled_twice(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("ok", "def handler(event, context): print('got', event)")
        now = shop.clock.now()
        puts = [
            shop.functions.invocation_put(shop.arn("ok"), b"%d" % n, request_id=f"r-{n}", now=now) for n in range(500)
        ]
        await shop.engine.queues.put(puts)
        await shop.until_gone("ok")
        got = [line for line in await shop.lines("ok") if line.startswith("got")]
    assert sorted(got) == sorted(f"got {n}" for n in range(500))


async def test_a_function_s_errors_are_retried_after_a_minute_and_after_two_then_dead_lettered(
    tmp_path: Path, clock: ManualClock
):
    async with workshop(tmp_path, clock=clock) as shop:
        arn = await shop.create("bad", FAILS)
        start = clock.now()
        await shop.put("bad", 7, event_id="e-1", bus_arn=BUS, rule_arn="rule", trace_header="Root=1")
        item = await until_due_again(shop, "bad")
        assert item.due_at == start + 60
        await clock.advance(59)
        assert await attempts(shop, "r-1") == [1]
        await clock.advance(1)
        item = await until_due_again(shop, "bad")
        assert item.due_at == start + 180
        await clock.advance(120)
        await shop.until_gone("bad")
        assert await attempts(shop, "r-1") == [1, 2, 3]
        letters = await shop.items(UNDELIVERABLE.replace("default", "orders"))
        kinds = [step.kind for step in shop.trail.recent()]
    assert [item.body for item in letters] == [b"7"]
    source = source_of(letters[0])
    assert (source.kind, source.function_arn, source.event_id, source.request_id) == ("function", arn, "e-1", "r-1")
    assert (source.bus_arn, source.rule_arn, source.payload, source.attempts) == (BUS, "rule", b"7", 3)
    assert (source.error_code, source.error_message, source.trace_header) == ("ValueError", "no 7", "Root=1")
    assert (source.first_at, source.failed_at) == (start, start + 180)
    assert kinds == ["attempt", "retried", "attempt", "retried", "attempt", "dead-lettered"]


@pytest.mark.parametrize(("most", "attempted"), [(None, [1, 2, 3, 4, 5]), (2, [1, 2, 3, 4, 5]), (1, [1, 2])])
async def test_a_tag_names_more_retries_than_aws_has_where_aws_s_most_are_wanted(
    tmp_path: Path, most: int | None, attempted: list[int]
):
    async with workshop(tmp_path, async_retry_s="0,0") as shop:
        arn = await shop.create("bad", FAILS, {"busway:retries": "4"})
        if most is not None:
            change = EventInvokeChange(retries_max=most)
            await shop.functions.attached.put_event_invoke(arn, change, merge=False)
        await shop.put("bad", {"a": 1})
        await shop.until_gone("bad")
        assert await attempts(shop, "r-1") == attempted


@pytest.mark.parametrize("text", ["186", "-1", "many", ""])
async def test_a_tag_that_names_no_number_of_retries_is_refused(tmp_path: Path, text: str):
    async with workshop(tmp_path) as shop:
        with pytest.raises(InvalidFunction, match="Tag busway:retries"):
            await shop.create("bad", FAILS, {"busway:retries": text})
        arn = await shop.create("good", FAILS)
        with pytest.raises(InvalidFunction, match="Tag busway:retries"):
            await shop.functions.attached.tag(arn, {"busway:retries": text})


async def test_a_dead_letter_queue_gets_the_event_itself_with_aws_s_attributes(tmp_path: Path):
    async with workshop(tmp_path, async_retry_s="0,0") as shop:
        queue = (await shop.queues.create(SCOPE, "dead")).arn
        await shop.create("bad", FAILS, dead_letter_arn=queue)
        await shop.put("bad", {"a": 1})
        await shop.until_gone("bad")
        [letter] = await shop.items(queue)
        meta = decode_meta(letter.meta)
    assert letter.body == b'{"a": 1}'
    assert {name: (value.data_type, value.text) for name, value in meta.attributes.items()} == {
        "RequestID": ("String", "r-1"),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "no {'a': 1}"),
    }


async def test_a_dead_letter_queue_that_is_gone_is_counted_and_the_event_kept(tmp_path: Path):
    async with workshop(tmp_path, async_retry_s="0") as shop:
        await shop.create("bad", FAILS, dead_letter_arn=SCOPE.arn("sqs", "gone"))
        await shop.put("bad", 1)
        await shop.until_gone("bad")
        assert len(await shop.items(UNDELIVERABLE)) == 1
        assert shop.metrics.value("AWS/Lambda", "DeadLetterErrors", FunctionName="bad") == 1
        assert shop.metrics.value("AWS/Lambda", "AsyncEventsDropped", FunctionName="bad") == 1


async def test_a_redriven_dead_letter_goes_to_the_same_function_as_a_new_invocation(tmp_path: Path):
    async with workshop(tmp_path, async_retry_s="0") as shop:
        arn = await shop.create("f", FAILS)
        await shop.put("f", 5, event_id="e-1")
        await shop.until_gone("f")
        [letter] = await shop.items(UNDELIVERABLE)
        await shop.functions.registry.update_code(
            arn, Zip(zipped("def handler(event, context): print('now', event, context.aws_request_id)"))
        )
        await shop.engine.queues.put([shop.functions.redrive(source_of(letter), shop.clock.now())])
        await shop.until_gone("f")
        [line] = [line for line in await shop.functions.logs.tail(arn) if line.line.startswith("now")]
    assert line.event_id == "e-1"
    assert line.line.split()[1] == "5"
    assert line.line.split()[2] == line.request_id != "r-1"


async def test_retries_and_age_follow_the_event_invoke_config(tmp_path: Path):
    async with workshop(tmp_path, async_retry_s="0,0") as shop:
        arn = await shop.create("bad", FAILS)
        await shop.functions.attached.put_event_invoke(arn, EventInvokeChange(retries_max=0), merge=False)
        await shop.put("bad", 1)
        await shop.until_gone("bad")
        assert await attempts(shop, "r-1") == [1]


async def test_a_wait_beyond_the_maximum_age_is_not_begun(tmp_path: Path, clock: ManualClock):
    async with workshop(tmp_path, clock=clock) as shop:
        arn = await shop.create("bad", FAILS)
        change = EventInvokeChange(age_s_max=60, on_failure=SCOPE.arn("sqs", "failed"))
        await shop.functions.attached.put_event_invoke(arn, change, merge=False)
        await clock.advance(0.5)
        await shop.put("bad", 1)
        await clock.advance(0.5)
        await shop.until_gone("bad")
        [(_, record, success)] = shop.destinations.sent
    assert not success
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1


async def test_no_attempt_starts_after_the_maximum_age(tmp_path: Path, clock: ManualClock):
    async with workshop(tmp_path, clock=clock) as shop:
        arn = await shop.create("ok", "def handler(event, context): return 1")
        await shop.functions.attached.put_event_invoke(arn, EventInvokeChange(age_s_max=60), merge=False)
        put = shop.functions.invocation_put(arn, b"1", request_id="r-1", now=clock.now() - 61)
        await shop.engine.queues.put([put])
        await shop.until_gone("ok")
        assert await attempts(shop, "r-1") == []
        [letter] = await shop.items(UNDELIVERABLE)
    assert (source_of(letter).error_code, source_of(letter).attempts) == ("EventAgeExceeded", 0)


async def test_an_event_that_grows_too_old_in_line_is_not_started(tmp_path: Path, clock: ManualClock):
    place = tmp_path / "go"
    source = (
        f"import os, time\ndef handler(event, context):\n while not os.path.exists({str(place)!r}): time.sleep(0.01)"
    )
    async with workshop(tmp_path / "data", clock=clock, workers_max=1) as shop:
        arn = await shop.create("slow", source)
        await shop.functions.attached.put_event_invoke(arn, EventInvokeChange(age_s_max=60), merge=False)
        await shop.put("slow", 1, "r-1")
        await shop.put("slow", 2, "r-2")
        await until(lambda: shop.functions.running(arn) == 2)
        await until(lambda: shop.functions.logs.recent(arn))
        await clock.advance(61)
        place.touch()
        await shop.until_gone("slow")
        started = [await attempts(shop, "r-1"), await attempts(shop, "r-2")]
        assert sorted(started) == [[], [1]]


async def test_throttles_use_up_no_attempt_and_wait_longer_each_time(tmp_path: Path, clock: ManualClock):
    async with workshop(tmp_path, clock=clock) as shop:
        arn = await shop.create("f", "def handler(event, context): return 1")
        await shop.functions.attached.put_concurrency(arn, 0)
        start = clock.now()
        await shop.put("f", 1)
        due: list[float] = []
        for wait_s in (1, 2, 4, 8):
            throttles = len(due) + 1
            await until(lambda n=throttles: shop.metrics.value("AWS/Lambda", "Throttles", FunctionName="f") == n)
            [item] = await shop.items(arn)
            due.append(item.due_at - start)
            assert item.attempts == 0
            await clock.advance(wait_s)
        assert due == [1, 3, 7, 15]
        await shop.functions.attached.put_concurrency(arn, 5)
        await clock.advance(16)
        await shop.until_gone("f")
        assert await attempts(shop, "r-1") == [1]


async def test_a_throttled_event_is_given_up_when_it_is_too_old(tmp_path: Path, clock: ManualClock):
    async with workshop(tmp_path, clock=clock) as shop:
        arn = await shop.create("f", "def handler(event, context): return 1")
        await shop.functions.attached.put_concurrency(arn, 0)
        await shop.functions.attached.put_event_invoke(arn, EventInvokeChange(age_s_max=60), merge=False)
        await shop.put("f", 1)
        for _ in range(70):
            await clock.advance(1)
        await shop.until_gone("f")
        [letter] = await shop.items(UNDELIVERABLE)
        assert source_of(letter).error_code == "EventAgeExceeded"
        assert letter.put_at - clock.now() <= -9


@pytest.mark.parametrize("fails", [True, False])
async def test_destinations_get_a_record_of_how_it_ended(tmp_path: Path, fails: bool):
    async with workshop(tmp_path, async_retry_s="0,0") as shop:
        arn = await shop.create("f", FAILS if fails else "def handler(event, context): return {'r': event}")
        change = EventInvokeChange(on_success=SCOPE.arn("sqs", "good"), on_failure=SCOPE.arn("sqs", "bad"))
        await shop.functions.attached.put_event_invoke(arn, change, merge=False)
        await shop.put("f", 3)
        await shop.until_gone("f")
        [(destination, record, success)] = shop.destinations.sent
        assert await shop.items(UNDELIVERABLE) == []
    assert success is not fails
    assert destination.endswith(":bad" if fails else ":good")
    assert list(record) == [
        "version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload",
    ]  # fmt: skip
    assert record["requestContext"] == {
        "requestId": "r-1",
        "functionArn": f"{arn}:$LATEST",
        "condition": "RetriesExhausted" if fails else "Success",
        "approximateInvokeCount": 3 if fails else 1,
    }
    assert record["requestPayload"] == 3
    if fails:
        assert record["responsePayload"]["errorMessage"] == "no 3"
    else:
        assert record["responsePayload"] == {"r": 3}


async def test_a_dead_letter_queue_and_a_destination_both_get_it(tmp_path: Path):
    async with workshop(tmp_path, async_retry_s="0") as shop:
        queue = (await shop.queues.create(SCOPE, "dead")).arn
        arn = await shop.create("bad", FAILS, dead_letter_arn=queue)
        change = EventInvokeChange(on_failure=SCOPE.arn("sqs", "failed"))
        await shop.functions.attached.put_event_invoke(arn, change, merge=False)
        await shop.put("bad", 1)
        await shop.until_gone("bad")
        assert len(await shop.items(queue)) == len(shop.destinations.sent) == 1


async def test_a_destination_that_takes_nothing_costs_no_event(tmp_path: Path):
    async with workshop(tmp_path, async_retry_s="0") as shop:
        shop.destinations.refuse = True
        arn = await shop.create("bad", FAILS)
        change = EventInvokeChange(on_failure=SCOPE.arn("sqs", "failed"))
        await shop.functions.attached.put_event_invoke(arn, change, merge=False)
        await shop.put("bad", 1)
        await shop.until_gone("bad")
        assert len(await shop.items(UNDELIVERABLE)) == 1
        assert shop.metrics.value("AWS/Lambda", "DestinationDeliveryFailures", FunctionName="bad") == 1


async def test_a_dead_letter_that_can_not_be_stored_is_stored_later(tmp_path: Path, clock: ManualClock):
    async with workshop(tmp_path, clock=clock) as shop:
        arn = await shop.create("bad", FAILS)
        await shop.functions.attached.put_event_invoke(arn, EventInvokeChange(retries_max=0), merge=False)
        put, refused = shop.engine.queues.put, []

        async def refuse_once(puts, *, accepted=False):
            if accepted and not refused:
                refused.append(puts)
                raise StorageFull("full, for once")
            return await put(puts, accepted=accepted)

        shop.engine.queues.put = refuse_once
        await shop.put("bad", 1)
        await until(lambda: refused)
        assert len(await shop.items(arn)) == 1
        await clock.advance(2)
        await shop.until_gone("bad")
        assert len(await shop.items(UNDELIVERABLE)) == 1


async def test_what_is_queued_for_a_deleted_function_is_put_aside(tmp_path: Path, clock: ManualClock):
    async with workshop(tmp_path, clock=clock) as shop:
        arn = await shop.create("bad", FAILS)
        await shop.put("bad", 1)
        await until_due_again(shop, "bad")
        await shop.functions.registry.delete(arn)
        with pytest.raises(FunctionNotFound):
            await shop.put("bad", 2)
        await clock.advance(60)
        await shop.until_gone("bad")
        [letter] = await shop.items(UNDELIVERABLE)
        assert source_of(letter).error_code == "ResourceNotFoundException"


async def test_the_clock_may_be_moved_while_an_event_is_handled(tmp_path: Path, clock: ManualClock):
    """Its lease runs out by that; it is still handled once."""
    place = tmp_path / "go"
    source = (
        f"import os, time\ndef handler(event, context):\n while not os.path.exists({str(place)!r}): time.sleep(0.01)"
    )
    async with workshop(tmp_path / "data", clock=clock) as shop:
        arn = await shop.create("slow", source)
        await shop.put("slow", 1)
        await until(lambda: shop.functions.logs.recent(arn))
        for _ in range(3):
            await clock.advance(3_600)
        place.touch()
        await shop.until_gone("slow")
        assert await attempts(shop, "r-1") == [1]


async def test_an_event_under_way_is_due_again_after_a_shutdown_without_an_attempt_used(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("hang", "import time\ndef handler(event, context): time.sleep(600)", timeout_s=900)
        await shop.put("hang", 1)
        await until(lambda: shop.functions.logs.recent(arn))
        await shop.functions.close()
        [item] = await shop.items(arn)
        assert item.attempts == 0
        assert item.due_at <= shop.clock.now()
        assert msgspec.json.decode(item.meta, type=Work).errors == 0


async def test_a_server_that_stops_lets_what_runs_finish(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("slow", "import time\ndef handler(event, context): time.sleep(0.3)")
        await shop.put("slow", 1)
        await until(lambda: shop.functions.logs.recent(arn))
        await shop.functions.close(drain_s=20)
        assert await shop.items(arn) == []


async def test_invocations_of_the_worker_that_dies_are_retried_like_errors(tmp_path: Path):
    async with workshop(tmp_path, async_retry_s="0,0") as shop:
        await shop.create("die", "import os\ndef handler(event, context): os._exit(1)")
        await shop.put("die", 1)
        await shop.until_gone("die")
        assert await attempts(shop, "r-1") == [1, 2, 3]
        [letter] = await shop.items(UNDELIVERABLE)
    assert source_of(letter).error_code == "Runtime.ExitError"


async def test_the_live_feed_shows_an_event_s_way(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        with shop.trail.follow():
            await shop.create("ok", "def handler(event, context): return 1")
            await shop.put("ok", 1, event_id="e-1")
            await shop.until_gone("ok")
            steps = shop.trail.recent(event_id="e-1")
    assert [(step.kind, step.facts["request_id"], step.facts["attempt"]) for step in steps] == [
        ("attempt", "r-1", 1),
        ("delivered", "r-1", 1),
    ]


async def test_lines_can_be_followed_and_are_found_after_a_restart(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("ok", "def handler(event, context): print(event)")
        following = shop.functions.logs.follow(arn)
        await shop.put("ok", "hello", event_id="e-1")
        assert (await anext(following)).line == "START RequestId: r-1 Version: $LATEST"
        await shop.until_gone("ok")
        following.close()
    files = list((tmp_path / "logs" / "ok").iterdir())
    lines = [json.loads(text) for file in files for text in file.read_text().splitlines()]
    assert [(line["line"], line["request_id"], line["event_id"], line["attempt"]) for line in lines][1] == (
        "hello", "r-1", "e-1", 1,
    )  # fmt: skip
    async with workshop(tmp_path) as shop:
        assert [line.line for line in await shop.functions.logs.of_request("r-1")][1] == "hello"


async def test_a_fault_while_events_are_taken_up_ends_no_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = ManualClock()
    async with workshop(tmp_path, clock=clock) as shop:
        lease, failed = shop.engine.queues.lease, []

        async def fails_once(queue: str, limit: int, lease_s: float) -> list[Item]:
            if not failed:
                failed.append(queue)
                raise RuntimeError("a fault of ours")
            return await lease(queue, limit, lease_s)

        monkeypatch.setattr(shop.engine.queues, "lease", fails_once)
        await shop.create("f", "def handler(event, context): return event")
        await shop.put("f", 1)
        await until(lambda: failed)
        await clock.advance(2)
        await shop.until_gone("f")


async def test_a_function_whose_queue_is_corrupt_stands_still_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with workshop(tmp_path) as shop:

        async def corrupt(queue: str, limit: int, lease_s: float) -> list[Item]:
            raise CorruptRecord(f"{queue}: found a wrong checksum")

        monkeypatch.setattr(shop.engine.queues, "lease", corrupt)
        await shop.create("f", "def handler(event, context): return event")
        [step] = await until(lambda: shop.trail.recent(kind="halted"))
        assert step.facts["function"] == shop.arn("f") and "wrong checksum" in step.facts["error_message"]
