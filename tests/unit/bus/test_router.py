"""From accepted to queued: what is matched by which rules, and what a crash between two calls can do."""

from __future__ import annotations

import json

import msgspec
import pytest

from busway.bus.matching import MatchingRules, ReferenceRules, expected
from busway.bus.put_events import EventEntry
from busway.bus.record import RuleChange, RuleDefinition, TargetSpec, decode_rule, encode_change, rule_key
from busway.bus.router import READER
from busway.clock import settle
from busway.delivery import Delivered, Failed, InputTransformer, RetryPolicy
from busway.errors import EngineStopped

ANY = '{"source":["shop"]}'
OUTSIDE_ARN = "arn:aws:outside:eu-central-1:123456789012:there"


def to(arn: str, id: str = "t", **rest: object) -> TargetSpec:
    return TargetSpec(id=id, arn=arn, **rest)


def bus_arn(world, name: str = "default") -> str:
    return world.scope.arn("events", f"event-bus/{name}")


async def numbers(world, queue: str) -> list[int]:
    return [body["detail"]["n"] for body in await world.bodies(queue)]


async def position(world, bus: str = "default") -> int:
    return await world.engine.journal.position(bus_arn(world, bus), READER)


async def test_a_queue_gets_the_event_byte_for_byte_in_one_row(world):
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.run()
    [result] = await world.put(world.entry('{"n": 1.00}'))
    [item] = await world.items(queue)
    [stored] = [e for e in await world.engine.journal.read(bus_arn(world), 0, 10) if e.data[:1] == b"{"]
    assert item.body == stored.data and result.event_id.encode() in item.body
    assert item.origin is not None and item.origin.offset == stored.offset
    assert await world.engine.queues.names() == [queue]


async def test_only_matching_rules_get_it_and_each_of_their_targets_once(world):
    one, two, other = [await world.queue(name) for name in ("one", "two", "other")]
    await world.rule("r", '{"detail":{"n":[1]}}', to(one, "a"), to(two, "b"))
    await world.rule("s", '{"detail":{"n":[2]}}', to(other))
    await world.run()
    await world.put(world.entry('{"n":1}'), world.entry('{"n":2}'), world.entry('{"n":3}'))
    assert [await numbers(world, queue) for queue in (one, two, other)] == [[1], [1], [2]]


async def test_an_event_is_matched_by_the_rules_that_stand_before_it(world):
    queue = await world.queue("orders")
    await world.put(world.entry('{"n":1}'))
    await world.rule("r", ANY, to(queue))
    await world.put(world.entry('{"n":2}'))
    await world.room.rules.set_state("r", None, world.scope, False)
    await world.put(world.entry('{"n":3}'))
    await world.room.rules.set_state("r", None, world.scope, True)
    await world.put(world.entry('{"n":4}'))
    await world.room.rules.remove_targets("r", None, world.scope, ["t"])
    await world.room.rules.delete("r", None, world.scope)
    await world.put(world.entry('{"n":5}'))
    await world.run()
    assert await numbers(world, queue) == [2, 4]


@pytest.mark.parametrize("routed_before", [0, 1, 2, 3])
async def test_that_holds_too_for_a_router_that_starts_in_the_middle(world, routed_before: int):
    """A restart at any event: the rule set is rebuilt from the versions at the position."""
    queue = await world.queue("orders")
    await world.rule("r", '{"detail":{"kind":["a"]}}', to(queue))

    async def put(number: int) -> None:
        if number == routed_before:
            await world.stop()
        await world.put(*(world.entry(json.dumps({"n": number * 10 + i, "kind": k})) for i, k in enumerate("ab")))
        await world.rule("r", json.dumps({"detail": {"kind": ["ab"[(number + 1) % 2]]}}))

    await world.run()
    for number in range(4):
        await put(number)
    await world.stop()
    again = await (await world.again().start()).run()
    assert await numbers(again, queue) == [0, 11, 20, 31]
    await again.stop()


async def test_a_change_whose_record_was_never_written_is_repaired_by_the_router(world):
    """The process died between the append of a change and the write of its record."""
    queue = await world.queue("orders")
    arn = await world.rule("r", ANY, to(queue))
    kept = decode_rule((await world.engine.records.get(rule_key(arn))).data)
    await world.engine.records.delete(rule_key(arn))
    again = await world.again().start()
    assert again.room.buses.get(None, world.scope).rules == {}
    await again.run()
    await again.put(world.entry('{"n":1}'))
    assert await numbers(again, queue) == [1]
    assert decode_rule((await world.engine.records.get(rule_key(arn))).data) == kept
    assert (await again.room.rules.describe("r", None, world.scope)).targets[0].arn == queue
    await again.stop()


async def test_a_repaired_change_does_not_undo_a_newer_one(world):
    queue = await world.queue("orders")
    arn = await world.rule("r", ANY, to(queue))
    record = decode_rule((await world.engine.records.get(rule_key(arn))).data)
    lost = msgspec.structs.replace(record, versions=record.versions[:1])
    await world.engine.records.put(rule_key(arn), msgspec.json.encode(lost))
    again = await world.again().start()
    await again.rule("r", '{"source":["newer"]}')
    await again.run()
    rule = await again.room.rules.describe("r", None, world.scope)
    assert rule.pattern == '{"source":["newer"]}'
    assert [v.offset for v in again.room.buses.get(None, world.scope).rules[arn].versions] == sorted(
        v.offset for v in again.room.buses.get(None, world.scope).rules[arn].versions
    )
    await again.stop()


async def test_a_crash_between_put_and_advance_repeats_nothing(world):
    """The position was lost, the put wasn't: the same puts come again and are left out."""
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.run()
    await world.put(*(world.entry(json.dumps({"n": n})) for n in range(5)))
    await world.stop()
    world.engine.journal._logs[bus_arn(world)].positions[READER] = 0
    again = await (await world.again().start()).run()
    assert await numbers(again, queue) == [0, 1, 2, 3, 4]
    await again.stop()


async def test_a_crash_before_the_put_loses_nothing(world):
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.put(*(world.entry(json.dumps({"n": n})) for n in range(5)))
    assert await position(world) == 0
    await world.run()
    assert await numbers(world, queue) == [0, 1, 2, 3, 4]


async def test_the_position_moves_only_after_the_work_is_queued(world):
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.run()
    before = await position(world)
    put, world.engine.queues.put = world.engine.queues.put, _failing
    await world.put(world.entry('{"n":1}'))
    assert await position(world) == before
    world.engine.queues.put = put
    await world.clock.advance(2)
    assert await numbers(world, queue) == [1]
    assert await position(world) > before


async def _failing(*args: object, **options: object) -> list[int]:
    raise RuntimeError("the engine is not well")


async def test_a_stopped_engine_ends_the_router(world):
    await world.run()
    await world.put(world.entry())
    await world.engine.close()
    await settle(30)
    assert all(task.done() for task in world.router._tasks.values())
    with pytest.raises(EngineStopped):
        await world.put(world.entry())


async def test_a_corrupt_entry_halts_its_bus_and_no_other(world):
    queue = await world.queue("orders")
    await world.room.buses.create("orders", world.scope, {}, {})
    await world.rule("r", ANY, to(queue))
    await world.run()
    await world.engine.journal.append(bus_arn(world, "orders"), [b"?"])
    await world.put(world.entry('{"n":1}'))
    assert await numbers(world, queue) == [1]
    assert list(world.router.halted) == [bus_arn(world, "orders")]


async def test_a_missing_queue_makes_a_dead_letter_with_awss_attributes(world):
    letters = await world.queue("letters")
    gone = world.scope.arn("sqs", "gone")
    rule = await world.rule("r", ANY, to(gone, dead_letter_arn=letters))
    await world.run()
    await world.put(world.entry('{"n":1}'))
    assert await numbers(world, letters) == [1]
    [attributes] = await world.letters(letters)
    assert attributes.pop("ERROR_MESSAGE")
    assert attributes == {"RULE_ARN": rule, "TARGET_ARN": gone, "ERROR_CODE": "NO_RESOURCE"}
    assert world.metrics.value("AWS/Events", "FailedInvocations", RuleName="r") == 1
    assert [step.facts["error_code"] for step in world.trail.recent(kind="dead-lettered")] == ["NO_RESOURCE"]


async def test_without_a_dead_letter_queue_it_goes_to_the_buss_undeliverable_queue(world):
    await world.rule("r", ANY, to(world.scope.arn("sqs", "gone")))
    await world.run()
    await world.put(world.entry('{"n":1}'))
    assert await numbers(world, world.undeliverable()) == [1]


async def test_a_result_that_is_no_json_is_a_dead_letter_of_what_was_attempted(world):
    queue, letters = await world.queue("orders"), await world.queue("letters")
    transformer = InputTransformer('{"payload": "<d>"}', {"d": "$.detail"})
    retry = RetryPolicy(retries_max=0)
    await world.rule("r", ANY, to(queue, input_transformer=transformer, dead_letter_arn=letters, retry=retry))
    await world.run()
    await world.put(world.entry('{"n":"x"}'))
    [item] = await world.items(letters)
    assert item.body == b'{"payload": "{"n":"x"}"}'
    [attributes] = await world.letters(letters)
    assert attributes["ERROR_CODE"] == "INVALID_JSON" and "RETRY_ATTEMPTS" not in attributes
    assert await world.items(queue) == []


async def test_dead_letters_of_a_repeated_batch_come_once(world):
    await world.rule("r", ANY, to(world.scope.arn("sqs", "gone")))
    await world.run()
    await world.put(world.entry())
    await world.stop()
    world.engine.journal._logs[bus_arn(world)].positions[READER] = 0
    again = await (await world.again().start()).run()
    assert len(await again.items(world.undeliverable())) == 1
    await again.stop()


async def test_a_target_with_a_fault_of_ours_stops_neither_the_bus_nor_other_targets(world):
    queue = await world.queue("orders")
    again = await world.again(**{"lambda": world.broken()}).start()
    await again.rule("r", ANY, to(world.scope.arn("lambda", "function:f"), "f"), to(queue, "q"))
    await again.run()
    await again.put(world.entry('{"n":1}'), world.entry('{"n":2}'))
    assert await numbers(again, queue) == [1, 2]
    assert [a["ERROR_CODE"] for a in await again.letters(world.undeliverable())] == ["INTERNAL_ERROR"] * 2
    await again.stop()


async def test_an_event_that_the_matcher_cannot_read_stops_nothing(world, monkeypatch):
    """One pass fails, so each pattern is asked by itself, and the one that fails too makes a dead letter."""
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.run()

    def fail(self: object, event: bytes) -> list[str]:
        raise RecursionError("too deep")

    for implementation in ("matcher.Matcher", "compiled.CompiledMatcher"):
        monkeypatch.setattr(f"busway.pattern.{implementation}.match", fail)
    await world.put(world.entry('{"n":1}'))
    assert await numbers(world, queue) == [1]
    monkeypatch.setattr("busway.pattern.Pattern.matches", fail)
    await world.put(world.entry('{"n":2}'))
    assert await numbers(world, queue) == [1]
    assert await numbers(world, world.undeliverable()) == [2]


async def test_work_for_the_outside_waits_in_the_outbox_until_it_is_delivered(world):
    outside = world.outside(Failed("THROTTLING", "later", True), Delivered())
    again = await world.again(outside=outside).start()
    await _put_outside_rule(again)
    await again.run()
    await again.put(world.entry('{"n":1}'))
    assert len(outside.attempts) == 1
    await again.clock.advance(2)
    assert len(outside.attempts) == 2
    assert await again.engine.queues.names() == []
    [subscriber] = again.room.rules_at(bus_arn(world), 1 << 60)[0].subscribers
    [ended] = await again.engine.queues.outcomes(subscriber.name)
    assert (ended.outcome, ended.attempts) == ("delivered", 2)
    await again.stop()


async def _put_outside_rule(world) -> None:
    """PutTargets refuses kinds that Busway doesn't have; the journal takes any."""
    await world.put(world.entry())
    arn = world.scope.arn("events", "rule/outside")
    definition = RuleDefinition(
        arn=arn, name="outside", bus_arn=bus_arn(world), created_by="1", pattern=ANY, targets=(to(OUTSIDE_ARN),)
    )
    await world.engine.journal.append(bus_arn(world), [encode_change(RuleChange(arn, definition))])


async def test_a_rule_of_another_version_that_does_not_compile_takes_part_in_nothing(world):
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    arn = world.scope.arn("events", "rule/odd")
    odd = RuleDefinition(arn=arn, name="odd", bus_arn=bus_arn(world), created_by="1", pattern='{"a":[{"new":1}]}')
    await world.engine.journal.append(bus_arn(world), [encode_change(RuleChange(arn, odd))])
    await world.run()
    await world.put(world.entry('{"n":1}'))
    assert await numbers(world, queue) == [1]


async def test_matches_are_counted_by_rule_under_awss_names(world):
    queue = await world.queue("orders")
    await world.room.buses.create("b", world.scope, {}, {})
    await world.rule("r", ANY, to(queue, "1"), to(queue, "2"))
    await world.rule("s", ANY, to(queue), bus="b")
    await world.run()
    await world.put(world.entry(), world.entry(), world.entry(event_bus_name="b"), world.entry(source="x"))
    value = world.metrics.value
    assert (
        value("AWS/Events", "MatchedEvents", RuleName="r") == value("AWS/Events", "TriggeredRules", RuleName="r") == 2
    )
    assert value("AWS/Events", "Invocations", RuleName="r") == 4
    assert value("AWS/Events", "Invocations", EventBusName="b", RuleName="s") == 1
    assert value("AWS/Events", "PutEventsEntriesCount") == 4


async def test_a_listener_sees_each_event_matched_and_queued(world):
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.run()
    with world.trail.follow():
        [result] = await world.put(world.entry())
    steps = [(step.kind, step.facts["event_id"]) for step in world.trail.recent()]
    assert steps == [(kind, result.event_id) for kind in ("accepted", "matched", "queued")]


async def test_retention_forgets_what_is_old_and_routed_and_nothing_else(world):
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.put(world.entry('{"n":1}'))
    bus = world.room.buses.get(None, world.scope)
    await world.clock.advance(world.settings.retention_s + 1)
    assert await world.router.trim(bus) == 0
    await world.run()
    assert await numbers(world, queue) == [1]
    await world.put(world.entry('{"n":2}'))
    assert await world.router.trim(bus) == 3
    assert len(await world.engine.journal.read(bus.arn, 0, 10)) == 1


async def test_versions_that_no_retained_event_needs_are_forgotten(world):
    queue = await world.queue("orders")
    arn = await world.rule("r", ANY, to(queue))
    gone = await world.rule("gone", ANY)
    await world.room.rules.delete("gone", None, world.scope)
    await world.run()
    await world.put(world.entry())
    await world.clock.advance(world.settings.retention_s + 1)
    await world.put(world.entry())
    bus = world.room.buses.get(None, world.scope)
    await world.router.trim(bus)
    assert len(bus.rules[arn].versions) == 1 and bus.rules[arn].current.targets
    assert gone not in bus.rules and await world.engine.records.get(rule_key(gone)) is None


async def test_a_deleted_bus_delivers_what_it_took_and_is_then_forgotten(world):
    queue = await world.queue("orders")
    buses, rules = world.room.buses, world.room.rules
    await buses.create("b", world.scope, {}, {})
    await world.rule("r", ANY, to(queue), bus="b")
    await world.put(world.entry('{"n":1}', event_bus_name="b"))
    await rules.remove_targets("r", "b", world.scope, ["t"])
    await rules.delete("r", "b", world.scope)
    await buses.delete("b", world.scope)
    await world.run()
    assert await numbers(world, queue) == [1]
    bus = next(bus for bus in buses.all() if bus.name == "b")
    await world.clock.advance(world.settings.retention_s + 1)
    await world.router.trim(bus)
    assert [bus.name for bus in buses.all() if bus.name == "b"] == []
    assert await world.engine.records.get(f"bus/{bus.arn}") is None


async def test_both_ways_of_matching_say_the_same_of_a_whole_journal(world):
    queue = await world.queue("orders")
    await world.rule("a", '{"detail":{"n":[{"numeric":["<",3]}]}}', to(queue, "1"), to(queue, "2"))
    await world.put(*(world.entry(json.dumps({"n": n})) for n in range(5)))
    await world.rule("a", '{"detail":{"n":[{"numeric":[">",3]}]}}')
    await world.rule("b", ANY, to(queue))
    await world.put(*(world.entry(json.dumps({"n": n})) for n in range(5)))
    entries = await world.engine.journal.read(bus_arn(world), 0, 100)
    one_pass, one_by_one = (
        sorted(expected(entries, rules), key=lambda found: (found[0], found[1].name))
        for rules in (MatchingRules(), ReferenceRules())
    )
    assert one_pass == one_by_one and len(one_pass) == 3 * 2 + 1 * 2 + 5
    await world.run()
    queued = {(item.origin.offset, item.origin.subscriber) for item in await world.items(queue)}
    assert queued == {(offset, subscriber.name) for offset, subscriber in one_pass}


async def test_an_event_is_found_by_its_id_before_and_after_a_restart(world):
    await world.room.buses.create("b", world.scope, {}, {})
    results = await world.put(*(world.entry(event_bus_name=bus) for bus in ("b", "default", "b")), trace=None)
    [traced] = await world.put(world.entry(), trace="Root=1-5759e988-bd862e3fe1be46a994272793")
    again = await world.again().start()
    for room in (world.room, again.room):
        for result in (*results, traced):
            found = await room.find_event(result.event_id)
            assert found is not None and result.event_id.encode() in found.event
        assert await room.find_event("00000000-0000-4000-8000-000000000000") is None


async def test_a_full_disk_holds_routing_up_and_loses_nothing(world):
    queue = await world.queue("orders")
    await world.rule("r", ANY, to(queue))
    await world.put(world.entry('{"n":1}'))
    world.engine.full = True
    await world.run()
    assert await numbers(world, queue) == [1], "accepted work may use the reserve"


async def test_one_bus_passes_events_on_to_another_once(world):
    queue = await world.queue("orders")
    for name in ("b", "c"):
        await world.room.buses.create(name, world.scope, {}, {})
    await world.rule("forward", ANY, to(bus_arn(world, "b"), role_arn="role"))
    await world.rule("keep", ANY, to(queue), bus="b")
    await world.rule("again", ANY, to(bus_arn(world, "c"), role_arn="role"), bus="b")
    await world.run()
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    [result] = await world.put(world.entry('{"n":1}', time=0.0, trace_header=trace))
    [body] = await world.bodies(queue)
    assert (body["id"], body["time"], body["detail"]) == (result.event_id, "1970-01-01T00:00:00Z", {"n": 1})
    [letter] = await world.letters(world.undeliverable("b"))
    assert letter["ERROR_CODE"] == "THIRD_ACCOUNT_HOP_DETECTED"
    assert letter["ERROR_MESSAGE"] == (
        "Events received from another event bus cannot be forwarded to this event bus."
    )
    assert await world.engine.journal.head(bus_arn(world, "c")) == 0


async def test_a_missing_bus_swallows_what_is_passed_on_to_it(world):
    await world.rule("forward", ANY, to(bus_arn(world, "nowhere"), role_arn="role"))
    await world.run()
    await world.put(world.entry())
    [subscriber] = world.room.rules_at(bus_arn(world), 1 << 60)[0].subscribers
    assert [ended.outcome for ended in await world.engine.queues.outcomes(subscriber.name)] == ["dropped"]
    assert world.metrics.value("Busway/Events", "EventsForMissingBus", EventBusName="nowhere") == 1


async def test_a_router_can_be_opened_on_many_buses(world):
    for number in range(50):
        await world.room.buses.create(f"b{number}", world.scope, {}, {})
    queue = await world.queue("orders")
    await world.run()
    await world.rule("r", ANY, to(queue), bus="b49")
    await world.put(EventEntry(source="shop", detail_type="x", detail='{"n":1}', event_bus_name="b49"))
    assert await numbers(world, queue) == [1]
