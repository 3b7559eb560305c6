"""Each kind of target: what it makes of a delivery."""

from __future__ import annotations

import msgspec
import pytest

from busway.arn import Scope
from busway.bus.envelope import Notes, build_envelope, event_id
from busway.clock import ManualClock, SeededEntropy
from busway.delivery import Delivered, Delivery, Failed
from busway.engine import Origin, Put
from busway.engine.memory import MemoryEngine
from busway.errors import (
    FunctionNotFound,
    InvalidStreamRequest,
    ShardThrottled,
    StorageFull,
    StreamBusy,
    StreamNotFound,
)
from busway.metrics import Metrics
from busway.queue.message import decode_meta
from busway.queue.queues import SqsQueues
from busway.targets.bus import BusTarget
from busway.targets.function import FunctionTarget
from busway.targets.queue import QueueTarget
from busway.targets.stream import StreamTarget
from busway.tracing import begun_by

BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/default"
EVENT = build_envelope(
    "0b3f6e0e-6a4b-4c1e-9d63-5d6f2f0a1b2c", "T", "s", "1", "2026-11-23T16:30:00Z", "eu-central-1", [], b'{"n":1.0}'
)


def delivery(target_arn: str, **rest: object) -> Delivery:
    return Delivery(
        event_id="e",
        target_arn=target_arn,
        payload=EVENT,
        accepted_at=1.0,
        bus_arn=BUS,
        subscriber="s",
        rule_arn="rule",
        trace_header="trace",
        origin=Origin("s", 7),
        **rest,
    )


class Invocations:
    """One function, "f"; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def invocation_put(self, function_arn: str, payload: bytes, **facts: object) -> Put:
        if not function_arn.endswith(":f"):
            raise FunctionNotFound(function_arn)
        self.asked.append(facts)
        return Put(function_arn, payload, 0.0)


class Forwards:
    """Buses by ARN and what was passed on to them."""

    def __init__(self, *arns: str) -> None:
        self.taken: dict[str, list[tuple[bytes, Notes]]] = {arn: [] for arn in arns}
        self.full = False

    async def forward(self, arn: str, event: bytes, notes: Notes) -> bool:
        if self.full:
            raise StorageFull("the disk is full")
        if arn in self.taken:
            self.taken[arn].append((event, notes))
        return arn in self.taken


async def test_a_queue_gets_a_message_with_the_trace_header_and_the_same_id_each_time():
    clock = ManualClock()
    queues = SqsQueues(MemoryEngine(clock), clock, SeededEntropy(1), Metrics(clock))
    await queues.open()
    arn = (await queues.create(Scope(), "q")).arn
    target = QueueTarget(queues)
    first, again = (target.local(delivery(arn, message_group_id="g"), 5.0) for _ in range(2))
    assert isinstance(first, Put) and isinstance(again, Put)
    assert (first.queue, first.body, first.origin) == (arn, EVENT, Origin("s", 7))
    meta = decode_meta(first.meta)
    assert (meta.trace_header, meta.group_id) == ("trace", "g")
    assert meta.message_id == decode_meta(again.meta).message_id
    assert decode_meta(target.local(delivery(arn, target_id="x"), 5.0).meta).message_id == meta.message_id
    gone = target.local(delivery(arn + "2"), 5.0)
    assert isinstance(gone, Failed) and gone.code == "NO_RESOURCE" and not gone.retriable


async def test_a_fifo_queue_takes_an_event_of_a_group_once_by_its_content():
    clock = ManualClock()
    engine = MemoryEngine(clock)
    queues = SqsQueues(engine, clock, SeededEntropy(1), Metrics(clock))
    await queues.open()
    by_content = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    arn = (await queues.create(Scope(), "q.fifo", by_content)).arn
    put = QueueTarget(queues).local(delivery(arn, message_group_id="g"), clock.now())
    assert isinstance(put, Put) and put.group == "g" and put.once is not None
    (item_id,) = await engine.queues.put([put], accepted=True)
    again = msgspec.structs.replace(put, origin=Origin("s", 8))
    assert await engine.queues.put([again], accepted=True) == [-item_id]
    ended = await engine.queues.outcomes("s")
    assert [(end.offset, end.outcome) for end in ended] == [(8, "duplicate")]


@pytest.mark.parametrize(
    ("attributes", "group", "words"),
    [
        ({"ContentBasedDeduplication": "true"}, None, "must contain the parameter MessageGroupId"),
        ({}, "g", "ContentBasedDeduplication enabled or MessageDeduplicationId"),
    ],
)
async def test_what_a_fifo_queue_cannot_take_is_a_dead_letter(
    attributes: dict[str, str], group: str | None, words: str
):
    clock = ManualClock()
    queues = SqsQueues(MemoryEngine(clock), clock, SeededEntropy(1), Metrics(clock))
    await queues.open()
    arn = (await queues.create(Scope(), "q.fifo", {"FifoQueue": "true", **attributes})).arn
    failed = QueueTarget(queues).local(delivery(arn, message_group_id=group), clock.now())
    assert isinstance(failed, Failed) and words in failed.message
    assert (failed.code, failed.retriable) == ("SDK_CLIENT_ERROR", False)


def test_a_function_gets_an_invocation_with_the_same_request_id_each_time():
    functions = Invocations()
    target = FunctionTarget(functions)
    for _ in range(2):
        assert isinstance(target.local(delivery("arn:aws:lambda:r:a:function:f"), 5.0), Put)
    one, two = functions.asked
    assert one == two
    assert (one["event_id"], one["bus_arn"], one["rule_arn"], one["trace_header"]) == ("e", BUS, "rule", "trace")
    assert one["origin"] == Origin("s", 7)
    gone = target.local(delivery("arn:aws:lambda:r:a:function:g"), 5.0)
    assert isinstance(gone, Failed) and gone.code == "NO_RESOURCE" and not gone.retriable


OTHER = BUS.replace("default", "other")
ABROAD = OTHER.replace("eu-central-1", "us-east-1")


def bus_target(forwards: Forwards) -> BusTarget:
    return BusTarget(forwards, ManualClock(), SeededEntropy(1))


async def test_another_bus_in_the_region_gets_the_same_event_and_the_hop_is_noted():
    forwards = Forwards(OTHER)
    assert await bus_target(forwards).attempt(delivery(OTHER)) == Delivered()
    assert forwards.taken[OTHER] == [(EVENT, Notes("trace", ("account",)))]


async def test_a_bus_in_another_region_gets_a_new_id_and_time_and_the_rest_as_it_was():
    forwards = Forwards(ABROAD)
    await bus_target(forwards).attempt(delivery(ABROAD))
    [(event, notes)] = forwards.taken[ABROAD]
    sent, was = msgspec.json.decode(event), msgspec.json.decode(EVENT)
    assert notes.hops == ("region",)
    assert sent.pop("id") != was.pop("id") and sent.pop("time") != was.pop("time")
    assert sent == was and list(sent) == list(was) and event.endswith(b'"detail":{"n":1.0}}')


async def test_an_event_that_began_its_own_trace_stays_in_it_in_another_region():
    forwards = Forwards(ABROAD, OTHER)
    for arn in (ABROAD, OTHER):
        await bus_target(forwards).attempt(
            msgspec.structs.replace(delivery(arn), event_id=event_id(EVENT), trace_header=None)
        )
    [(_, abroad)], [(_, within)] = forwards.taken[ABROAD], forwards.taken[OTHER]
    assert abroad.trace_header == begun_by(event_id(EVENT))
    assert within.trace_header is None


@pytest.mark.parametrize(
    ("hops", "arn", "code"),
    [
        ((), OTHER, None),
        (("region",), OTHER, None),
        (("account",), ABROAD, None),
        (("account",), OTHER, "THIRD_ACCOUNT_HOP_DETECTED"),
        (("region",), ABROAD, "THIRD_REGION_HOP_DETECTED"),
        (("account", "region"), OTHER, "THIRD_ACCOUNT_HOP_DETECTED"),
    ],
)
def test_a_second_hop_of_the_same_kind_is_refused(hops: tuple[str, ...], arn: str, code: str | None):
    refused = bus_target(Forwards()).local(delivery(arn, hops=hops), 0.0)
    assert refused is None if code is None else (isinstance(refused, Failed) and refused.code == code)


async def test_a_full_disk_is_retried():
    forwards = Forwards(OTHER)
    forwards.full = True
    outcome = await bus_target(forwards).attempt(delivery(OTHER))
    assert isinstance(outcome, Failed) and outcome.retriable


@pytest.mark.parametrize("target", [QueueTarget, FunctionTarget])
async def test_what_the_router_finishes_needs_no_attempt(target):
    outcome = await target(None).attempt(delivery("arn:aws:x:r:a:y"))
    assert isinstance(outcome, Failed) and not outcome.retriable


class Records:
    """A stream; remembers what was put into it, or refuses with `fault`."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.put: list[tuple[str, bytes, str | None]] = []
        self._fault = fault

    async def put_record(self, arn: str, data: bytes, partition_key: str | None) -> None:
        if self._fault is not None:
            raise self._fault
        self.put.append((arn, data, partition_key))


@pytest.mark.parametrize(("given", "key"), [(None, "e"), ('"c1"', '"c1"'), ("{}", "{}")])
async def test_a_stream_gets_the_payload_under_its_partition_key_or_the_events_id(given: str | None, key: str):
    records = Records()
    target = StreamTarget(records)
    sent = delivery("arn:aws:kinesis:r:1:stream/s", partition_key=given)
    assert target.local(sent, 5.0) is None
    assert await target.attempt(sent) == Delivered()
    assert records.put == [("arn:aws:kinesis:r:1:stream/s", EVENT, key)]


@pytest.mark.parametrize(
    ("fault", "code", "retriable"),
    [
        (StreamNotFound("s", "1"), "NO_RESOURCE", False),
        (InvalidStreamRequest("too large"), "INVALID_PARAMETER", False),
        (ShardThrottled("shardId-0", "s", "1"), "THROTTLING", True),
        (StreamBusy("s", "1", "DELETING"), "INTERNAL_ERROR", True),
        (StorageFull("the disk is full"), "INTERNAL_ERROR", True),
    ],
)
async def test_a_stream_that_refuses_says_whether_to_try_again(fault: Exception, code: str, retriable: bool):
    outcome = await StreamTarget(Records(fault)).attempt(delivery("arn:aws:kinesis:r:1:stream/s"))
    assert outcome == Failed(code, str(fault), retriable)
