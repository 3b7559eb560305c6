"""Dead letters go back to the handler that failed, and nothing else is touched."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from busway.alarm.queues import DeadLetterQueues
from busway.clock import settle
from busway.delivery import Delivered, Failed
from busway.delivery.dead_letter import Source
from busway.engine import Item, Put
from busway.errors import EngineStopped
from busway.pattern import parse
from busway.queue.message import AttributeValue, Outgoing
from busway.redrive import Edit, Redrive, Redriven, Selection
from busway.redrive.back import LEASE_S
from busway.redrive.letters import LOOKED_AT_FIRST, letter_of

from ..inspect.world import FUNCTION, SCOPE, World

UNDELIVERABLE = SCOPE.arn("sqs", "busway-undeliverable-default")
OTHER = SCOPE.arn("lambda", "function:other")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    yield made
    await made.close()


async def fail(world: World, *numbers: int, function: str = FUNCTION) -> list[str]:
    """Events that end in the undeliverable queue of the default bus."""
    world.outside.answers = [Failed("ERROR_FROM_TARGET", "no SMTP server", False)]
    await world.rule(f"r-{function.rsplit(':', 1)[-1]}", {"source": ["shop"]}, function)
    ids = await world.put(*({"n": number} for number in numbers))
    world.outside.answers = [Delivered()]
    world.outside.attempted.clear()
    return ids


async def depth(world: World, queue: str = UNDELIVERABLE) -> int:
    return (await world.engine.queues.counts(queue)).ready


async def test_all_dead_letters_of_a_handler_go_back_to_it(world: World):
    ids = await fail(world, 1, 2, 3)
    assert await depth(world) == 3
    seen: list[int] = []
    report = await world.redrive.redrive(SCOPE, Selection(handler="mail"), seen.append)
    await settle(30)
    assert report == Redriven(redriven=3)
    assert seen == [3]
    assert [delivery.event_id for delivery in world.outside.attempted] == ids
    assert {delivery.target_arn for delivery in world.outside.attempted} == {FUNCTION}
    assert await depth(world) == 0


@pytest.mark.parametrize("by", ["event id", "message id"])
async def test_one_dead_letter_goes_back_and_the_others_stay_as_they_were(world: World, by: str):
    ids = await fail(world, 1, 2, 3)
    before = await world.engine.queues.browse(UNDELIVERABLE, 10)
    letters = await world.redrive.look(SCOPE, Selection())
    wanted = ids[1] if by == "event id" else letters[1].message_id
    report = await world.redrive.redrive(SCOPE, Selection(ids={wanted}))
    await settle(30)
    assert report == Redriven(redriven=1)
    assert [delivery.event_id for delivery in world.outside.attempted] == [ids[1]]
    after = await world.engine.queues.browse(UNDELIVERABLE, 10)
    kept = [(item.id, item.due_at, item.attempts, item.body, item.meta) for item in after]
    assert kept == [(i.id, i.due_at, i.attempts, i.body, i.meta) for i in (before[0], before[2])]
    assert await depth(world) == 2


@pytest.mark.parametrize("seen_by_the_alarm", [True, False])
async def test_a_queue_that_keeps_letters_never_looks_empty_to_its_alarm(world: World, seen_by_the_alarm: bool):
    ids = await fail(world, 1, 2, 3)
    watched = DeadLetterQueues(world.engine, lambda _: True)
    depths: list[int | None] = []

    class Watching:
        """Queues that ask for the depth at every put: the letters are leased then."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.engine.queues, name)

        async def put(self, puts: Sequence[Put], **options: Any) -> Any:
            depths.append(await watched.depth(UNDELIVERABLE))
            return await world.engine.queues.put(puts, **options)

    class Watched:
        journal, records, queues = world.engine.journal, world.engine.records, Watching()

    engine: Any = Watched()
    searched = {"searched": watched.searched} if seen_by_the_alarm else {}
    ways = {"rule-target": world.retarget}
    redrive = Redrive(engine, world.clock, ways, metrics=world.metrics, trail=world.trail, **searched)
    assert (await redrive.redrive(SCOPE, Selection(ids={ids[1]}))).redriven == 1
    assert depths == [3 if seen_by_the_alarm else 0]
    assert await watched.depth(UNDELIVERABLE) == 2


async def test_another_handlers_dead_letters_in_the_same_queue_stay(world: World):
    await fail(world, 1)
    await world.rules.remove_targets("r-mail", None, SCOPE, ["t0"])
    await fail(world, 2, function=OTHER)
    report = await world.redrive.redrive(SCOPE, Selection(handler=FUNCTION))
    assert report.redriven == 1
    assert [letter.handler for letter in await world.redrive.look(SCOPE, Selection())] == [OTHER]


async def test_messages_that_users_sent_stay_and_are_counted(world: World):
    await fail(world, 1)
    await world.queues.send(UNDELIVERABLE, [Outgoing("by hand")], "000000000000")
    report = await world.redrive.redrive(SCOPE, Selection(queue="busway-undeliverable-default"))
    assert report == Redriven(redriven=1, skipped=1)
    assert [message.item.body for message in await world.queues.receive(UNDELIVERABLE)] == [b"by hand"]


async def test_a_letter_in_a_consumers_hands_stays_there(world: World):
    await fail(world, 1)
    assert await world.queues.receive(UNDELIVERABLE)
    assert await world.redrive.redrive(SCOPE, Selection()) == Redriven(busy=1)


async def test_a_way_that_takes_longer_than_a_lease_ends_though_a_consumer_holds_the_letter(world: World):
    source = Source(kind="rule-target", payload=b"{}", target_arn=FUNCTION)
    queue, now = await world.queue("dlq"), world.clock.now()
    puts = [world.queues.message_put(queue, b"%d" % number, now=now, source=source) for number in range(450)]
    await world.engine.queues.put(puts)
    (held,) = await world.engine.queues.lease(queue, 1, 3_600)
    lease, leased = world.engine.queues.lease, list[int]()

    async def slow(name: str, limit: int, lease_s: float) -> list[Item]:
        items = await lease(name, limit, lease_s)
        leased.append(len(items))
        assert len(leased) <= 5, "it goes round"
        await world.clock.advance(LEASE_S / 2 + 1)
        return items

    world.engine.queues.lease = slow  # type: ignore[method-assign]
    wanted = Selection(ids={letter_of(held).message_id})
    assert await world.redrive.redrive(SCOPE, wanted) == Redriven(busy=1)
    world.engine.queues.lease = lease  # type: ignore[method-assign]
    others = [item for item in await world.engine.queues.browse(queue, 1_000) if item.id != held.id]
    assert await depth(world, queue) == len(others) == 449
    # One lease each was given back; those that came twice have the other one counted.
    assert sum(item.attempts for item in others) == sum(leased) - 449


async def test_a_letter_that_nothing_takes_back_stays_and_is_named(world: World):
    source = Source(kind="fax", payload=b"{}", target_arn=FUNCTION, event_id="e")
    queue = await world.queue("dlq")
    await world.engine.queues.put([world.queues.message_put(queue, b"{}", now=world.clock.now(), source=source)])
    report = await world.redrive.redrive(SCOPE, Selection())
    assert report.redriven == 0
    assert "nothing takes back dead letters of the kind 'fax'" in report.refused[0].reason
    assert await depth(world, queue) == 1


async def test_many_go_back_page_by_page(world: World):
    source = Source(kind="rule-target", payload=b"{}", target_arn=FUNCTION)
    queue = await world.queue("dlq")
    now = world.clock.now()
    puts = [world.queues.message_put(queue, b"%d" % number, now=now, source=source) for number in range(450)]
    await world.engine.queues.put(puts)
    seen: list[int] = []
    report = await world.redrive.redrive(SCOPE, Selection(), seen.append)
    assert (report.redriven, seen) == (450, [200, 400, 450])


async def test_a_long_queue_of_work_is_not_read_to_its_end_unless_it_is_named(world: World):
    queue = await world.queue("work")
    now = world.clock.now()
    puts = [world.queues.message_put(queue, b"work", now=now) for _ in range(LOOKED_AT_FIRST)]
    source = Source(kind="rule-target", payload=b"{}", target_arn=FUNCTION)
    await world.engine.queues.put([*puts, world.queues.message_put(queue, b"letter", now=now, source=source)])
    assert await world.redrive.look(SCOPE, Selection()) == []
    assert len(await world.redrive.look(SCOPE, Selection(queue="work"))) == 1


async def test_a_death_between_put_and_end_loses_nothing_and_repeats_nothing(world: World):
    await fail(world, 1)
    world.outside.answers = [Failed("THROTTLING", "busy", True)]
    done = world.engine.queues.done

    async def dead(*_: object, **__: object) -> int:
        raise EngineStopped("died before the letter ended")

    world.engine.queues.done = dead  # type: ignore[method-assign]
    with pytest.raises(EngineStopped):
        await world.redrive.redrive(SCOPE, Selection())
    world.engine.queues.done = done  # type: ignore[method-assign]
    assert len(await world.engine.queues.browse(f"delivery/{FUNCTION}", 10)) == 1
    await world.clock.advance(LEASE_S + 1)
    assert (await world.redrive.redrive(SCOPE, Selection())).redriven == 1
    assert len(await world.engine.queues.browse(f"delivery/{FUNCTION}", 10)) == 1
    assert await depth(world) == 0


async def test_an_edit_after_such_a_death_is_not_taken_for_what_was_put_before_it(world: World):
    (event_id,) = await fail(world, 1)
    world.outside.answers = [Failed("THROTTLING", "busy", True)]
    done, world.engine.queues.done = world.engine.queues.done, _stopped  # type: ignore[method-assign]
    with pytest.raises(EngineStopped):
        await world.redrive.redrive(SCOPE, Selection())
    world.engine.queues.done = done  # type: ignore[method-assign]
    await world.clock.advance(LEASE_S + 1)
    edit = Edit(b'{"edited":true}', "detail.n")
    totals = [total async for total in world.redrive.run(SCOPE, Selection(ids={event_id}), edit=edit)]
    assert totals[-1].redriven == 1
    bodies = [item.body for item in await world.engine.queues.browse(f"delivery/{FUNCTION}", 10)]
    assert bodies[-1] == b'{"edited":true}' and len(bodies) == 2


async def _stopped(*_: object, **__: object) -> int:
    raise EngineStopped("died before the letter ended")


async def test_an_edited_event_goes_to_the_handler_and_the_trail_says_so(world: World):
    (event_id,) = await fail(world, 1)
    edit = Edit(b'{"n":2}', "detail.n")
    async for _ in world.redrive.run(SCOPE, Selection(ids={event_id}), edit=edit):
        assert await depth(world) == 0
    await settle(30)
    assert [delivery.payload for delivery in world.outside.attempted] == [b'{"n":2}']
    (step,) = world.trail.recent(kind="redriven")
    assert (step.facts["event_id"], step.facts["edited"]) == (event_id, "detail.n")


async def test_an_edited_event_that_cannot_be_stored_keeps_its_letter_as_it_was(world: World):
    (event_id,) = await fail(world, 1)
    (before,) = await world.engine.queues.browse(UNDELIVERABLE, 10)

    async def full(*_: object, **__: object) -> list[int]:
        raise EngineStopped("the disk broke")

    put, world.engine.queues.put = world.engine.queues.put, full  # type: ignore[method-assign]
    with pytest.raises(EngineStopped):
        async for _ in world.redrive.run(SCOPE, Selection(ids={event_id}), edit=Edit(b"{}", "detail")):
            pass
    world.engine.queues.put = put  # type: ignore[method-assign]
    (after,) = await world.engine.queues.browse(UNDELIVERABLE, 10)
    assert (after.id, after.body, after.meta) == (before.id, before.body, before.meta)


async def test_only_events_that_match_a_pattern_go_back(world: World):
    ids = await fail(world, 1, 2, 3)
    pattern = parse('{"detail": {"n": [{"numeric": [">", 1]}]}}')
    found = await world.redrive.look(SCOPE, Selection(pattern=pattern))
    assert [letter.event_id for letter in found] == ids[1:]
    assert (await world.redrive.redrive(SCOPE, Selection(pattern=pattern))).redriven == 2
    assert [letter.event_id for letter in await world.redrive.look(SCOPE, Selection())] == ids[:1]


async def test_what_is_no_event_matches_no_pattern_and_stays(world: World):
    source = Source(kind="rule-target", payload=b"plain text", target_arn=FUNCTION)
    queue = await world.queue("dlq")
    await world.engine.queues.put([world.queues.message_put(queue, b"x", now=world.clock.now(), source=source)])
    assert await world.redrive.redrive(SCOPE, Selection(pattern=parse('{"a": [1]}'))) == Redriven()
    assert await depth(world, queue) == 1


async def test_only_what_failed_with_one_error_goes_back(world: World):
    await fail(world, 1)
    assert await world.redrive.redrive(SCOPE, Selection(error_code="NO_PERMISSIONS")) == Redriven()
    assert (await world.redrive.redrive(SCOPE, Selection(error_code="ERROR_FROM_TARGET"))).redriven == 1


async def test_a_pattern_takes_a_batch_when_one_of_its_records_matches(world: World):
    record = {
        "kinesis": {"partitionKey": "k", "sequenceNumber": "1", "data": "", "approximateArrivalTimestamp": 1.0},
        "eventID": "shard:1", "eventSourceARN": "arn",
    }  # fmt: skip
    records = [json.loads(json.dumps(record)) for _ in range(2)]
    for number, one in enumerate(records):
        one["kinesis"]["data"] = base64.b64encode(b'{"n":%d}' % number).decode()
    source = Source(kind="batch", payload=json.dumps({"Records": records}).encode(), function_arn=FUNCTION)
    queue = await world.queue("dlq")
    await world.engine.queues.put([world.queues.message_put(queue, b"x", now=world.clock.now(), source=source)])
    assert len(await world.redrive.look(SCOPE, Selection(pattern=parse('{"n": [1]}')))) == 1
    assert await world.redrive.look(SCOPE, Selection(pattern=parse('{"n": [2]}'))) == []


async def test_who_stops_asking_stops_it_after_a_page_and_the_rest_stays(world: World):
    source = Source(kind="rule-target", payload=b"{}", target_arn=FUNCTION)
    queue, now = await world.queue("dlq"), world.clock.now()
    puts = [world.queues.message_put(queue, b"%d" % number, now=now, source=source) for number in range(450)]
    await world.engine.queues.put(puts)
    run = world.redrive.run(SCOPE, Selection())
    assert (await anext(run)).redriven == 200
    await run.aclose()
    assert await depth(world, queue) == 250


async def test_a_redrive_shows_in_the_trail_and_tells_whoever_watches_the_queue(world: World):
    ids = await fail(world, 1)
    told: list[str] = []
    world.queues.listeners.append(told.append)
    await world.redrive.redrive(SCOPE, Selection())
    (step,) = world.trail.recent(kind="redriven")
    assert (step.facts["event_id"], step.facts["target"]) == (ids[0], FUNCTION)
    assert UNDELIVERABLE in told
    assert world.metrics.value("Busway/DeadLetters", "Redriven", Handler=FUNCTION) == 1


async def test_another_accounts_dead_letters_are_not_seen(world: World):
    await fail(world, 1)
    other = SCOPE.__class__("111111111111")
    assert await world.redrive.redrive(other, Selection()) == Redriven()


async def test_what_a_redrive_policy_put_aside_goes_back_to_its_queue_with_its_attributes(world: World):
    dead = (await world.queues.create(SCOPE, "dead")).arn
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})
    work = (await world.queues.create(SCOPE, "work", {"RedrivePolicy": policy, "VisibilityTimeout": "0"})).arn
    attributes = {"colour": AttributeValue("String", "red")}
    await world.queues.send(work, [Outgoing("job", attributes=attributes)], SCOPE.account)
    for _ in range(2):
        await world.queues.receive(work, 1)
    (letter,) = await world.redrive.look(SCOPE, Selection(handler="work"))
    assert letter.source is not None
    assert (letter.source.kind, letter.source.attempts, letter.source.error_code) == ("queue", 1, "ReceivedTooOften")
    assert (await world.redrive.redrive(SCOPE, Selection(handler="work"))).redriven == 1
    (message,) = await world.queues.receive(work, 1)
    assert (message.item.body, message.meta.attributes) == (b"job", attributes)
    assert await depth(world, dead) == 0


async def test_letters_of_a_fifo_queue_go_back_in_their_order_and_one_alone_leaves_the_others_in_theirs(world: World):
    dead = (await world.queues.create(SCOPE, "dead.fifo", {"FifoQueue": "true"})).arn
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})
    about = {"FifoQueue": "true", "RedrivePolicy": policy, "VisibilityTimeout": "0"}
    work = (await world.queues.create(SCOPE, "work.fifo", about)).arn
    bodies = ["a", "b", "c", "d"]
    sent = [Outgoing(body, group_id="g", deduplication_id=body) for body in bodies]
    await world.queues.send(work, sent, SCOPE.account)
    for _ in range(8):
        await world.queues.receive(work, 10)
    letters = await world.redrive.look(SCOPE, Selection(queue="dead.fifo"))
    assert [letter.item.body.decode() for letter in letters] == bodies
    assert (await world.redrive.redrive(SCOPE, Selection(ids={letters[1].message_id}))).redriven == 1
    left = await world.redrive.look(SCOPE, Selection(queue="dead.fifo"))
    assert [letter.item.body.decode() for letter in left] == ["a", "c", "d"]
    assert (await world.redrive.redrive(SCOPE, Selection(handler="work.fifo"))).redriven == 3
    found = await world.engine.queues.browse(work, 10)
    assert [item.body.decode() for item in found] == ["b", "a", "c", "d"]
    assert (await world.engine.queues.counts(dead)).ready == 0
