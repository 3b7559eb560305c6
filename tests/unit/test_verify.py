"""The proof that nothing was lost: it holds after everything that may happen, and fails on a planted fault."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from busway.bus.record import TargetSpec
from busway.clock import settle
from busway.delivery import Failed
from busway.engine import Origin, Put
from busway.verify import Report, verify

from .inspect.world import FUNCTION, SCOPE, World

BUS = SCOPE.arn("events", "event-bus/default")
OUTBOX = f"delivery/{FUNCTION}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    yield made
    await made.close()


async def proved(world: World) -> Report:
    report = await verify(world.engine, world.clock)
    for account in report.accounts:
        there = sum(account.outcomes.values()) + account.pending + account.unrouted
        assert account.expected == there + account.missing - account.extra
    return report


async def test_an_empty_folder_proves_itself(world: World):
    report = await proved(world)
    assert (report.ok, report.events, report.expected) == (True, 0, 0)


async def test_delivered_and_pending_make_up_what_matched(world: World):
    queue = await world.queue("orders")
    await world.rule("big", {"detail": {"price": [{"numeric": [">", 10]}]}}, queue)
    await world.put(*({"price": price} for price in (5, 15, 25)))
    (message,) = await world.queues.receive(queue)
    await world.queues.remove(queue, [message.receipt.handle()])
    report = await proved(world)
    assert report.ok
    assert (report.events, report.expected, report.pending) == (3, 2, 1)
    assert sum(report.outcomes.values()) == 1


async def test_each_rule_counts_where_the_event_lies(world: World):
    queue = await world.queue("orders")
    await world.put({"n": 0})
    await world.rule("r", {"source": ["shop"]}, queue)
    await world.put({"n": 1})
    await world.rules.set_state("r", None, SCOPE, False)
    await world.put({"n": 2})
    await world.rules.set_state("r", None, SCOPE, True)
    await world.put({"n": 3})
    await world.rules.remove_targets("r", None, SCOPE, ["t0"])
    await world.put({"n": 4})
    await world.rule("r", {"source": ["shop"]}, queue)
    await world.put({"n": 5})
    report = await proved(world)
    assert report.ok
    assert (report.events, report.expected) == (6, 3)
    assert len(report.accounts) == 2


async def test_dead_letters_and_retries_are_accounted_for(world: World):
    world.outside.answers = [Failed("ERROR_FROM_TARGET", "no", False), Failed("THROTTLING", "busy", True)]
    await world.rule("r", {"source": ["shop"]}, FUNCTION)
    await world.put({"n": 1})
    await world.put({"n": 2})
    report = await proved(world)
    assert report.ok
    assert (report.expected, report.outcomes, report.pending) == (2, {"dead-lettered": 1}, 1)


@pytest.mark.parametrize("named", [True, False], ids=["its own queue", "the bus's"])
async def test_what_found_no_target_is_dead_lettered_as_long_as_its_letter_lies_there(world: World, named: bool):
    letters = await world.queue("letters") if named else None
    await world.rule("r", {"source": ["shop"]})
    spec = TargetSpec(id="t0", arn=SCOPE.arn("sqs", "gone"), dead_letter_arn=letters)
    await world.rules.put_targets("r", None, SCOPE, [spec])
    await world.put({"n": 1})
    assert letters is None or len(await world.engine.queues.browse(letters, 10)) == 1
    report = await proved(world)
    assert (report.ok, report.expected, report.outcomes, report.pending) == (True, 1, {"dead-lettered": 1}, 0)


async def test_what_is_accepted_and_not_routed_is_pending(world: World):
    queue = await world.queue("orders")
    await world.rule("r", {"source": ["shop"]}, queue)
    await settle(30)
    await world.router.close()
    await world.put({"n": 1}, {"n": 2})
    report = await proved(world)
    assert report.ok
    assert (report.expected, report.unrouted, report.pending) == (2, 2, 0)


async def test_work_that_was_put_before_the_position_moved_is_no_extra(world: World):
    queue = await world.queue("orders")
    await world.rule("r", {"source": ["shop"]}, queue)
    await settle(30)
    await world.router.close()
    (first,) = (await proved(world)).accounts or (None,)
    assert first is None
    await world.put({"n": 1})
    offset = await world.engine.journal.head(BUS)
    name = await subscriber(world)
    await world.engine.queues.put([Put(queue, b"{}", 0.0, origin=Origin(name, offset))])
    report = await proved(world)
    assert (report.ok, report.pending, report.unrouted) == (True, 1, 0)


async def subscriber(world: World) -> str:
    """The name of the one subscriber there is."""
    bus = world.buses.by_arn(BUS)
    assert bus is not None
    (rule,) = bus.rules.values()
    definition = rule.current
    assert definition is not None
    return f"{rule.arn}#{definition.targets[0].id}#{definition.targets[0].since}"


async def test_a_planted_skip_is_found_and_named(world: World):
    queue = await world.queue("orders")
    await world.rule("r", {"source": ["shop"]}, queue)
    put = world.engine.queues.put

    async def all_but_one(puts: list[Put], *, accepted: bool = False) -> list[int]:
        return await put([one for one in puts if b'"n":2' not in one.body], accepted=accepted)

    world.engine.queues.put = all_but_one  # type: ignore[method-assign]
    ids = await world.put({"n": 1}, {"n": 2}, {"n": 3})
    report = await proved(world)
    assert not report.ok
    assert (report.expected, report.pending, report.missing, report.extra) == (3, 2, 1, 0)
    (offender,) = report.missing_first
    assert (offender.event_id, offender.subscriber) == (ids[1], await subscriber(world))


async def test_a_planted_extra_is_found_and_named(world: World):
    queue = await world.queue("orders")
    await world.rule("r", {"detail": {"n": [1]}}, queue)
    ids = await world.put({"n": 1}, {"n": 2})
    name = await subscriber(world)
    offset = await world.engine.journal.head(BUS)
    await world.engine.queues.put([Put(queue, b"{}", 0.0, origin=Origin(name, offset))])
    report = await proved(world)
    assert not report.ok
    assert (report.expected, report.missing, report.extra) == (1, 0, 1)
    assert [(o.event_id, o.offset) for o in report.extra_first] == [(ids[1], offset)]


async def test_a_skip_that_is_made_up_by_an_extra_is_found(world: World):
    """Numbers would agree; sets do not."""
    queue = await world.queue("orders")
    await world.rule("r", {"detail": {"n": [1]}}, queue)
    await settle(30)
    await world.router.close()
    await world.put({"n": 1}, {"n": 2})
    head = await world.engine.journal.head(BUS)
    await world.engine.queues.put([Put(queue, b"{}", 0.0, origin=Origin(await subscriber(world), head))])
    await world.engine.journal.advance(BUS, "router", head)
    report = await proved(world)
    assert (report.ok, report.expected, report.pending) == (False, 1, 1)
    assert (report.missing, report.extra) == (1, 1)


async def test_what_is_no_longer_retained_is_left_out(world: World):
    queue = await world.queue("orders")
    await world.rule("r", {"source": ["shop"]}, queue)
    await world.put({"n": 1})
    await world.clock.advance(world.kit.settings.retention_s + 61)
    await world.put({"n": 2})
    report = await proved(world)
    assert (report.ok, report.events, report.expected) == (True, 1, 1)


async def test_a_change_that_stands_only_in_the_journal_counts(world: World):
    """The process died between the journal and the rule's record."""
    queue = await world.queue("orders")
    await world.rule("r", {"source": ["shop"]}, queue)
    await world.put({"n": 1})
    for value in await world.engine.records.list("rule/"):
        await world.engine.records.delete(value.key)
    report = await proved(world)
    assert (report.ok, report.expected) == (True, 1)
