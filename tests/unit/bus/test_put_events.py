"""What PutEvents takes, what it refuses, and what is stored."""

from __future__ import annotations

import msgspec
import pytest

from busway.bus.buses import arn_of
from busway.bus.envelope import unframe
from busway.bus.put_events import ENTRIES_MAX, TOTAL_BYTES_MAX, EventEntry, check_size, entry_bytes
from busway.errors import InvalidBusRequest, StorageFull

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


async def stored(world, bus: str | None = None):
    arn = arn_of(bus, world.scope)
    return [unframe(entry.data) for entry in await world.engine.journal.read(arn, 0, 100)]


async def test_an_accepted_event_is_in_the_journal_with_its_id(world):
    [result] = await world.put(world.entry('{"n": 1}', resources=["a", "b"], time=86_400.9))
    [(event, _)] = await stored(world)
    assert msgspec.json.decode(event) == {
        "version": "0",
        "id": result.event_id,
        "detail-type": "Order",
        "source": "shop",
        "account": "123456789012",
        "time": "1970-01-02T00:00:00Z",
        "region": "eu-central-1",
        "resources": ["a", "b"],
        "detail": {"n": 1},
    }


async def test_without_a_time_it_is_the_time_of_the_call(world):
    await world.put(world.entry())
    [(event, _)] = await stored(world)
    assert b'"time":"2023-11-14T22:13:20Z"' in event


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"source": None},
            "InvalidArgument",
            "Parameter Source is not valid. Reason: Source is a required argument.",
        ),
        (
            {"detail_type": None},
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is a required argument.",
        ),
        (
            {"detail": None},
            "InvalidArgument",
            "Parameter Detail is not valid. Reason: Detail is a required argument.",
        ),
        ({"detail": "[1]"}, "MalformedDetail", "Detail is malformed."),
        ({"detail": "text"}, "MalformedDetail", "Detail is malformed."),
        ({"source": "aws.ec2"}, "NotAuthorizedForSourceException", "Not authorized for the source."),
        ({"time": 1e99}, "InvalidArgument", "Parameter Time is not valid. Reason: It is out of range."),
    ],
)
async def test_an_entry_with_an_error_is_told_so_and_the_others_are_stored(world, change, code, message):
    bad = msgspec.structs.replace(world.entry(), **change)
    first, second, third = await world.put(world.entry('{"n":1}'), bad, world.entry('{"n":3}'))
    assert (second.event_id, second.error_code, second.error_message) == (None, code, message)
    assert first.event_id and third.event_id and first.event_id != third.event_id
    assert [msgspec.json.decode(event)["detail"] for event, _ in await stored(world)] == [{"n": 1}, {"n": 3}]


async def test_an_event_for_a_missing_bus_is_a_success_that_the_trail_and_a_metric_tell(world):
    with world.trail.follow():
        [result] = await world.put(world.entry(event_bus_name="nowhere"))
    assert result.event_id
    [step] = world.trail.recent(kind="dropped")
    assert not world.trail.recent(kind="accepted")
    assert step.facts["event_id"] == result.event_id and step.facts["bus"] == "nowhere"
    assert world.metrics.value("Busway/Events", "EventsForMissingBus", EventBusName="nowhere") == 1
    assert await stored(world, "nowhere") == []


async def test_a_bus_is_named_by_name_or_by_arn(world):
    await world.room.buses.create("orders", world.scope, {}, {})
    arn = world.scope.arn("events", "event-bus/orders")
    await world.put(world.entry(event_bus_name="orders"), world.entry(event_bus_name=arn), world.entry())
    assert len(await stored(world, "orders")) == 2
    assert len(await stored(world)) == 1


async def test_an_entrys_trace_header_wins_over_the_requests_even_if_it_makes_no_sense(world):
    own = TRACE.replace("5759e988", "00000000")
    await world.put(
        world.entry(), world.entry(trace_header=own), world.entry(trace_header=""), world.entry(trace_header="x"),
        trace=TRACE,
    )  # fmt: skip
    assert [notes.trace_header for _, notes in await stored(world)] == [TRACE, own, None, None]


async def test_a_request_trace_header_that_makes_no_sense_is_left_out(world):
    await world.put(world.entry(), trace="Root=1-abc")
    assert [notes.trace_header for _, notes in await stored(world)] == [None]


async def test_a_full_disk_refuses_the_whole_request_and_stores_nothing(world):
    await world.put(world.entry())
    world.engine.full = True
    with pytest.raises(StorageFull):
        await world.put(world.entry())
    world.engine.full = False
    assert len(await stored(world)) == 1


def test_more_entries_than_ten_are_refused_in_javas_words():
    entries = [EventEntry(source="s", detail="{}", resources=["a", "b"])] * (ENTRIES_MAX + 1)
    with pytest.raises(InvalidBusRequest) as refused:
        check_size(entries)
    text = str(refused.value)
    assert text.startswith(
        "1 validation error detected: Value '[PutEventsRequestEntry(time=null, source=s, resources=[a, b], "
        "detailType=null, detail={}, eventBusName=null, traceHeader=null, kmsKeyIdentifier=null, "
        "internalMetadata=null), PutEventsRequestEntry("
    )
    assert text.endswith(
        "at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10"
    )


def test_an_entry_weighs_what_awss_formula_says():
    heavy = EventEntry(time=1.0, source="é", detail_type="ab", detail="{}", resources=["abc", "d"])
    light = EventEntry(source="é", event_bus_name="not counted", trace_header="not counted")
    assert entry_bytes(heavy) == 14 + 2 + 2 + 2 + 4
    assert entry_bytes(light) == 2


@pytest.mark.parametrize("letter", ["a", "é"])
def test_the_limit_is_on_the_sum_in_bytes(letter: str):
    room = TOTAL_BYTES_MAX - 2 * 8
    text = "x" * (room % len(letter.encode())) + letter * (room // 2 // len(letter.encode()))
    entries = [EventEntry(source="abc", detail_type="abcde", detail=text)] * 2
    check_size(entries)
    entries[1] = EventEntry(source="abc", detail_type="abcde", detail=text + "aa")
    with pytest.raises(InvalidBusRequest, match=r"^Total size of the entries in the request is over the limit\.$"):
        check_size(entries)


async def test_events_are_noted_only_while_somebody_listens(world):
    await world.put(world.entry())
    with world.trail.follow():
        [result] = await world.put(world.entry())
    assert [step.facts["event_id"] for step in world.trail.recent(kind="accepted")] == [result.event_id]
