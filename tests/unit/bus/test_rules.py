"""Buses, rules and targets: what can be asked for, and AWS's words for what can't."""

from __future__ import annotations

import pytest

from busway.arn import Scope
from busway.bus.record import TargetSpec
from busway.delivery import InputTransformer, RetryPolicy
from busway.errors import (
    BusExists,
    BusLimitExceeded,
    BusNotFound,
    BusPolicyTooLong,
    InvalidBusRequest,
    InvalidPattern,
    InvalidTargetInput,
    RuleNotFound,
    StatementNotFound,
)

PATTERN = '{"source":["shop"]}'
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:orders"


def target(id: str = "t", arn: str = QUEUE, **rest: object) -> TargetSpec:
    return TargetSpec(id=id, arn=arn, **rest)


async def test_the_default_bus_is_there_in_every_account_and_region(world):
    bus = await world.room.buses.find(None, Scope("999999999999", "us-west-2"))
    assert bus.arn == "arn:aws:events:us-west-2:999999999999:event-bus/default"
    await world.put(world.entry())
    again = await world.again().start()
    assert again.room.buses.get(None, world.scope) is not None


async def test_a_bus_that_exists_cannot_be_created_again(world):
    await world.room.buses.create("orders", world.scope, {"Description": "d", "KmsKeyIdentifier": "k"}, {"a": "b"})
    with pytest.raises(BusExists, match=r"^Event bus orders already exists\.$"):
        await world.room.buses.create("orders", world.scope, {}, {})
    with pytest.raises(BusExists, match=r"^Event bus default already exists\.$"):
        await world.room.buses.create("default", world.scope, {}, {})


async def test_what_is_known_of_a_bus_survives_a_restart(world):
    await world.room.buses.create("orders", world.scope, {"Description": "d", "KmsKeyIdentifier": "k"}, {"a": "b"})
    await world.room.buses.update("orders", world.scope, {"Description": "e"})
    again = await world.again().start()
    record = (await again.room.buses.find("orders", world.scope)).record
    assert (record.description, record.settings, record.tags) == ("e", {"KmsKeyIdentifier": "k"}, {"a": "b"})


async def test_buses_are_listed_by_name_within_their_account_and_region(world):
    for name in ("b", "a", "ab"):
        await world.room.buses.create(name, world.scope, {}, {})
    assert [bus.name for bus in world.room.buses.list(world.scope)] == ["a", "ab", "b", "default"]
    assert [bus.name for bus in world.room.buses.list(world.scope, "a")] == ["a", "ab"]
    assert world.room.buses.list(Scope("1" * 12, "x")) == []


async def test_a_bus_with_rules_or_the_default_bus_is_not_deleted(world):
    await world.room.buses.create("orders", world.scope, {}, {})
    await world.rule("r", PATTERN, bus="orders")
    with pytest.raises(InvalidBusRequest, match="has rules"):
        await world.room.buses.delete("orders", world.scope)
    with pytest.raises(InvalidBusRequest, match=r"^Cannot delete event bus default\.$"):
        await world.room.buses.delete("default", world.scope)
    with pytest.raises(BusNotFound, match=r"^Event bus nowhere does not exist\.$"):
        await world.room.buses.delete("nowhere", world.scope)


async def test_a_deleted_bus_is_gone_and_can_come_back(world):
    await world.room.buses.create("orders", world.scope, {}, {})
    await world.room.buses.delete("orders", world.scope)
    with pytest.raises(BusNotFound):
        await world.room.buses.find("orders", world.scope)
    await world.room.buses.create("orders", world.scope, {}, {})
    assert await world.room.buses.find("orders", world.scope)


async def test_buses_have_a_quota(world):
    for number in range(99):
        await world.room.buses.create(f"b{number}", world.scope, {}, {})
    with pytest.raises(BusLimitExceeded, match=r"^The requested resource exceeds the maximum number allowed\.$"):
        await world.room.buses.create("one-more", world.scope, {}, {})


async def test_a_policy_has_a_statement_for_each_sid(world):
    buses = world.room.buses
    statement = {"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents"}
    await buses.permit(None, world.scope, statement)
    await buses.permit(None, world.scope, {**statement, "Principal": {"AWS": "x"}})
    bus = await buses.find(None, world.scope)
    assert bus.record.policy == {
        "Version": "2012-10-17",
        "Statement": [{**statement, "Principal": {"AWS": "x"}, "Resource": bus.arn}],
    }
    with pytest.raises(StatementNotFound, match=r"^Statement with the provided id does not exist\.$"):
        await buses.forbid(None, world.scope, "b")
    with pytest.raises(BusPolicyTooLong):
        await buses.permit(None, world.scope, {**statement, "Sid": "x" * 11_000})
    await buses.forbid(None, world.scope, "a")
    assert bus.record.policy is None


async def test_put_rule_replaces_all_but_targets_and_tags(world):
    rules = world.room.rules
    about = {"EventPattern": PATTERN, "Description": "d", "RoleArn": "role", "Tags": [{"Key": "k", "Value": "v"}]}
    arn = await rules.put("r", None, world.scope, about)
    await rules.put_targets("r", None, world.scope, [target()])
    await rules.put("r", None, world.scope, {"EventPattern": '{"source":["x"]}', "Tags": [], "State": "DISABLED"})
    rule = await rules.describe("r", None, world.scope)
    assert (rule.arn, rule.description, rule.role_arn, rule.state) == (arn, None, None, "DISABLED")
    assert rule.tags == {"k": "v"} and [t.id for t in rule.targets] == ["t"]


async def test_a_rule_says_where_it_is_in_its_arn(world):
    await world.room.buses.create("orders", world.scope, {}, {})
    assert await world.rule("r", PATTERN) == "arn:aws:events:eu-central-1:123456789012:rule/r"
    assert await world.rule("r", PATTERN, bus="orders") == "arn:aws:events:eu-central-1:123456789012:rule/orders/r"


@pytest.mark.parametrize(
    ("about", "bus", "text"),
    [
        ({}, None, r"^Parameter\(s\) EventPattern or ScheduleExpression must be specified\.$"),
        ({"ScheduleExpression": "rate(1 minutes)"}, None, r"^Parameter ScheduleExpression is not valid\.$"),
        ({"ScheduleExpression": "x"}, "orders", r"^ScheduleExpression is supported only on the default event bus\.$"),
    ],
)
async def test_a_rule_needs_a_pattern(world, about, bus, text):
    await world.room.buses.create("orders", world.scope, {}, {})
    with pytest.raises(InvalidBusRequest, match=text):
        await world.room.rules.put("r", bus, world.scope, about)


async def test_a_pattern_that_does_not_compile_makes_no_rule(world):
    with pytest.raises(InvalidPattern):
        await world.rule("r", "[]")
    with pytest.raises(RuleNotFound, match=r"^Rule r does not exist on EventBus default\.$"):
        await world.room.rules.describe("r", None, world.scope)


async def test_a_rule_with_targets_is_not_deleted_and_a_missing_one_is_no_error(world):
    await world.rule("r", PATTERN, target())
    with pytest.raises(InvalidBusRequest, match=r"^Rule can't be deleted since it has targets\.$"):
        await world.room.rules.delete("r", None, world.scope)
    await world.room.rules.remove_targets("r", None, world.scope, ["t", "not there"])
    await world.room.rules.delete("r", None, world.scope)
    await world.room.rules.delete("r", None, world.scope)
    with pytest.raises(BusNotFound):
        await world.room.rules.delete("r", "nowhere", world.scope)


async def test_rules_have_a_quota_that_is_a_setting(world):
    for number in range(300):
        await world.rule(f"r{number}", PATTERN)
    with pytest.raises(BusLimitExceeded):
        await world.rule("one-more", PATTERN)
    await world.rule("r0", '{"source":["other"]}')


async def test_a_sixth_target_is_over_the_quota(world):
    await world.rule("r", PATTERN, *(target(str(n)) for n in range(5)))
    await world.room.rules.put_targets("r", None, world.scope, [target("4", QUEUE + "2")])
    with pytest.raises(BusLimitExceeded, match=r"^The requested resource exceeds the maximum number allowed\.$"):
        await world.room.rules.put_targets("r", None, world.scope, [target("5")])


BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/"


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (target(arn="queue"), "Provided Arn is not in correct format"),
        (
            target(arn="arn:aws:firehose:eu-central-1:1:deliverystream/x"),
            "Busway delivers to Lambda functions, SQS queues, Kinesis streams, event buses, SNS topics",
        ),
        (target(arn="arn:aws:events:eu-central-1:1:api-destination/x/y"), "Busway delivers to"),
        (target(arn="arn:aws:sns:eu-central-1:1:topic:subscription"), "Busway delivers to"),
        (target(arn=BUS + "other"), "RoleArn is required for target"),
        (target(arn=BUS + "default", role_arn="r"), "is the event bus of the rule itself"),
        (target(arn=BUS + "other", role_arn="r", input="{}"), "Modifying the input for target t is not supported"),
        (target(arn=BUS + "other", role_arn="r", retry=RetryPolicy()), "RetryPolicy is not supported"),
        (target(arn=QUEUE + ".fifo"), "SqsParameters must be specified for target"),
        (target(dead_letter_arn=QUEUE + ".fifo"), "is not the ARN of a standard SQS queue"),
        (target(dead_letter_arn="arn:aws:sns:eu-central-1:1:topic"), "is not the ARN of a standard SQS queue"),
        (target(input="{}", input_path="$"), "Only one of Input, InputPath, or InputTransformer"),
        (target(input="{"), "JSON syntax error in Input for target t"),
        (target(input_transformer=InputTransformer('"<x>"')), "contains invalid placeholder x"),
    ],
)
async def test_a_target_that_cannot_be_delivered_to_is_refused(world, bad, text):
    await world.rule("r", PATTERN)
    with pytest.raises((InvalidBusRequest, InvalidTargetInput), match=text):
        await world.room.rules.put_targets("r", None, world.scope, [bad])
    assert (await world.room.rules.describe("r", None, world.scope)).targets == ()


async def test_tags_belong_to_buses_and_rules(world):
    arn = await world.rule("r", PATTERN)
    bus, rule = await world.room.rules.tagged(arn)
    assert rule is not None
    await world.room.rules.set_tags(bus, arn, {"a": "1"})
    again = await world.again().start()
    assert (await again.room.rules.tagged(arn))[1].tags == {"a": "1"}
    with pytest.raises(BusLimitExceeded):
        await world.room.rules.set_tags(bus, arn, {str(n): "" for n in range(51)})
    with pytest.raises(RuleNotFound):
        await world.room.rules.tagged(arn + "2")
    with pytest.raises(InvalidBusRequest, match="is no event bus or rule"):
        await world.room.rules.tagged(QUEUE)


async def test_an_unchanged_rule_adds_nothing_to_the_journal(world):
    arn = await world.rule("r", PATTERN, target())
    bus, _ = await world.room.rules.tagged(arn)
    head = await world.engine.journal.head(bus.arn)
    await world.rule("r", PATTERN, target())
    await world.room.rules.set_state("r", None, world.scope, True)
    assert await world.engine.journal.head(bus.arn) == head


async def test_a_target_that_was_removed_and_added_again_is_another_subscriber(world):
    arn = await world.rule("r", PATTERN, target())
    bus, _ = await world.room.rules.tagged(arn)

    def name() -> str:
        return world.room.rules_at(bus.arn, 1 << 60)[0].subscribers[0].name

    first = name()
    await world.room.rules.put_targets("r", None, world.scope, [target(input="{}")])
    assert name() == first
    await world.room.rules.remove_targets("r", None, world.scope, ["t"])
    await world.room.rules.put_targets("r", None, world.scope, [target()])
    assert name() != first
