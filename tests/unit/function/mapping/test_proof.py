"""The proof of streams' mappings: it holds after all that may happen, and finds a checkpoint that was moved."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from busway.function.mapping.proof import MappingAccount, prove
from busway.function.mapping.record import MappingChange
from busway.verify import verify

from .mapping_world import FAILURES, SCOPE, STREAM, HandlerFailed, World

EVENT = '{"id":"e-%d","source":"shop","detail-type":"Order","detail":{}}'


def refuse(*bad: str) -> Any:
    async def handler(event: dict[str, Any]) -> None:
        if any(base64.b64decode(record["kinesis"]["data"]).decode() in bad for record in event["Records"]):
            raise HandlerFailed("poison")

    return handler


async def proved(world: World) -> MappingAccount:
    """The account of the one shard."""
    (account,) = await prove(world.engine, world.clock)
    parts = account.handled + account.given_up + account.filtered_out + account.pending + account.missing
    assert account.records == parts
    assert account.given_up == account.on_file + account.letters_gone + account.untold
    assert (await verify(world.engine, world.clock)).ok is (account.missing == 0)
    return account


async def test_what_is_handled_given_up_filtered_out_and_pending_makes_up_the_records(world: World):
    await world.stream()
    await world.queues.create(SCOPE, "failures")
    world.runner.handler = refuse("bad")
    unwanted = '{"data":[{"anything-but":"no"}]}'
    mapping = await world.map(
        STREAM, retries_max=1, batch_size=2, bisect=True, on_failure=FAILURES, filters=(unwanted,)
    )
    await world.put(*(("k", text) for text in ("one", "no", "bad", "two", "no", "three")))
    await world.pass_time(5)
    account = await proved(world)
    assert (account.records, account.handled, account.given_up, account.filtered_out) == (6, 3, 1, 2)
    await world.mappings.update(mapping.uuid, MappingChange(enabled=False))
    await world.pass_time(1)
    await world.put(("k", "later"))
    account = await proved(world)
    assert (account.handled, account.pending, account.missing) == (3, 1, 0)


async def test_what_was_there_before_the_mapping_is_not_its_business(world: World):
    await world.stream()
    await world.put(("k", "before"))
    await world.map(STREAM, position="LATEST")
    await world.put(("k", "after"))
    await world.pass_time(1)
    account = await proved(world)
    assert (account.records, account.handled) == (1, 1)


@pytest.mark.parametrize("lanes", [1, 4])
async def test_a_restart_in_the_middle_leaves_nothing_unaccounted(world: World, lanes: int):
    await world.stream()
    world.runner.handler = refuse("3")
    await world.map(STREAM, lanes=lanes, batch_size=1)
    await world.put(*((f"k{number}", str(number)) for number in range(8)))
    await world.pass_time(1)
    await world.restart()
    assert (await proved(world)).pending > 0
    world.runner.handler = refuse()
    await world.pass_time(5)
    account = await proved(world)
    assert (account.handled, account.missing) == (8, 0)


async def test_a_checkpoint_that_was_moved_past_records_is_found_and_they_are_named(world: World):
    await world.stream()
    mapping = await world.map(STREAM)
    await world.put(("k", EVENT % 1))
    await world.pass_time(1)
    await world.mappings.update(mapping.uuid, MappingChange(enabled=False))
    await world.pass_time(1)
    _, number = await world.put(("k", EVENT % 2), ("k", EVENT % 3))
    (shard,) = world.streams.shards(STREAM)
    await world.engine.journal.advance(shard.journal, mapping.uuid, await world.streams.head(shard))
    account = await proved(world)
    assert (account.handled, account.missing, account.pending) == (1, 2, 0)
    assert [lost.event_id for lost in account.missing_first] == ["e-2", "e-3"]
    assert account.missing_first[1].sequence_number == number


async def test_without_an_on_failure_queue_what_is_given_up_is_counted_as_untold(world: World):
    await world.stream()
    world.runner.handler = refuse("bad")
    await world.map(STREAM, retries_max=0, batch_size=1)
    await world.put(("k", "bad"), ("k", "good"))
    await world.pass_time(1)
    account = await proved(world)
    assert (account.handled, account.given_up, account.untold) == (1, 1, 1)


async def test_what_is_past_the_retention_is_left_out_and_its_pages_are_forgotten(world: World):
    await world.stream()
    mapping = await world.map(STREAM)
    await world.put(("k", "one"))
    await world.clock.advance(86_400 + 400)
    await world.streams.trim()
    await world.put(("k", "two"))
    await world.pass_time(1)
    account = await proved(world)
    assert (account.records, account.handled) == (1, 1)
    assert len(await world.engine.journal.read(f"mapping/{mapping.uuid}", 0, 10)) == 1
