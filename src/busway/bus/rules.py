"""Rules and their targets: what is asked for, checked, appended to the bus's journal and then recorded.

A change is in force from its place in the journal on. The journal comes first and the record after it; when the
process dies between the two, the router meets the change in the journal and writes the record (`Rules.repair`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from busway.arn import DEFAULT_BUS, Arn, Scope, parse_arn
from busway.bus.buses import LIMIT_TEXT, Bus, Buses, check_tags
from busway.bus.job_targets import JOB_KINDS, check_job_target, is_job
from busway.bus.record import (
    DISABLED,
    ENABLED,
    Rule,
    RuleChange,
    RuleDefinition,
    RuleRecord,
    RuleVersion,
    TargetSpec,
    encode_change,
    rule_arn,
    rule_of,
    settle_since,
    with_ticks,
)
from busway.bus.schedule import parse_schedule
from busway.delivery.path import parse_path
from busway.delivery.transform import check_input
from busway.errors import BusLimitExceeded, InvalidBusRequest, RuleNotFound
from busway.pattern import parse

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
TARGETS_PER_RULE_MAX = 5

# What a rule's target can be: the service of its ARN, and a word for people.
TARGET_KINDS = {
    "lambda": "Lambda functions", "sqs": "SQS queues", "kinesis": "Kinesis streams", "events": "event buses",
    "sns": "SNS topics",
    **{service: kind.word for service, kind in JOB_KINDS.items()},
}  # fmt: skip


class Rules:
    """The rules of all buses. Names of buses may be ARNs; None is the default bus."""

    def __init__(self, buses: Buses) -> None:
        self._buses = buses
        self._kit = buses.kit

    async def put(self, name: str, bus_name: str | None, scope: Scope, about: Mapping[str, Any]) -> str:
        """Create a rule or replace everything of it but its targets and tags; return its ARN.

        `about` are AWS's members of PutRule. Raises `InvalidPattern`, `InvalidBusRequest`, `BusLimitExceeded`.
        """
        bus = await self._buses.find(bus_name, scope)
        pattern = about.get("EventPattern")
        schedule = about.get("ScheduleExpression")
        if pattern is None and schedule is None:
            raise InvalidBusRequest("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        if pattern is not None:
            parse(pattern)
        if schedule is not None:
            _check_schedule(schedule, pattern, rule_arn(bus.record, name), bus)
        tags = {tag["Key"]: tag["Value"] for tag in about.get("Tags") or ()}
        check_tags(tags)
        async with bus.lock:
            old = self._current(bus, name)
            if old is None and len(current_rules(bus)) >= self._kit.settings.rules_per_bus:
                raise BusLimitExceeded(LIMIT_TEXT)
            definition = RuleDefinition(
                arn=rule_arn(bus.record, name),
                name=name,
                bus_arn=bus.arn,
                created_by=scope.account,
                state=about.get("State") or ENABLED,
                pattern=pattern,
                schedule=schedule,
                description=about.get("Description"),
                role_arn=about.get("RoleArn"),
                tags=old.tags if old else tags,
                targets=old.targets if old else (),
            )
            if definition != old:
                await self._change(bus, definition.arn, definition)
            return definition.arn

    async def delete(self, name: str, bus_name: str | None, scope: Scope) -> None:
        """Remove a rule without targets; one that isn't there is no error."""
        bus = await self._buses.find(bus_name, scope)
        async with bus.lock:
            old = self._current(bus, name)
            if old is None:
                return
            if old.targets:
                raise InvalidBusRequest("Rule can't be deleted since it has targets.")
            await self._change(bus, old.arn, None)

    async def set_state(self, name: str, bus_name: str | None, scope: Scope, enabled: bool) -> None:
        bus = await self._buses.find(bus_name, scope)
        async with bus.lock:
            old = self._existing(bus, name)
            if old.enabled != enabled:
                state = ENABLED if enabled else DISABLED
                await self._change(bus, old.arn, msgspec.structs.replace(old, state=state))

    async def put_targets(self, name: str, bus_name: str | None, scope: Scope, targets: Sequence[TargetSpec]) -> None:
        """Add targets, or replace those of the same id."""
        bus = await self._buses.find(bus_name, scope)
        for target in targets:
            check_target(target, bus.arn)
        async with bus.lock:
            old = self._existing(bus, name)
            by_id = {target.id: target for target in old.targets}
            for target in targets:
                since = by_id[target.id].since if target.id in by_id else 0
                by_id[target.id] = msgspec.structs.replace(target, since=since)
            if len(by_id) > TARGETS_PER_RULE_MAX:
                raise BusLimitExceeded(LIMIT_TEXT)
            new = msgspec.structs.replace(old, targets=tuple(by_id.values()))
            if new != old:
                await self._change(bus, old.arn, new)

    async def remove_targets(self, name: str, bus_name: str | None, scope: Scope, ids: Iterable[str]) -> None:
        """Remove targets; an id that isn't there is no error."""
        bus = await self._buses.find(bus_name, scope)
        async with bus.lock:
            old = self._existing(bus, name)
            gone = set(ids)
            kept = tuple(target for target in old.targets if target.id not in gone)
            if len(kept) < len(old.targets):
                await self._change(bus, old.arn, msgspec.structs.replace(old, targets=kept))

    async def describe(self, name: str, bus_name: str | None, scope: Scope) -> RuleDefinition:
        return self._existing(await self._buses.find(bus_name, scope), name)

    async def list(self, bus_name: str | None, scope: Scope, prefix: str = "") -> list[RuleDefinition]:
        """The rules of a bus, sorted by name."""
        bus = await self._buses.find(bus_name, scope)
        found = (rule for rule in current_rules(bus) if rule.name.startswith(prefix))
        return sorted(found, key=lambda rule: rule.name)

    async def set_tags(self, bus: Bus, arn: str, tags: dict[str, str]) -> None:
        """Tags match no events, so they change in the record only."""
        check_tags(tags)
        async with bus.lock:
            record = bus.rules[arn]
            last = record.versions[-1]
            if last.definition is not None:
                definition = msgspec.structs.replace(last.definition, tags=tags)
                versions = (*record.versions[:-1], RuleVersion(last.offset, definition))
                await self._buses.save_rule(bus, arn, RuleRecord(arn, bus.arn, versions))

    async def tagged(self, arn: str) -> tuple[Bus, RuleDefinition | None]:
        """What a tag call is about: a bus (then None) or a rule. Raises `BusNotFound` or `RuleNotFound`."""
        parsed = parse_arn(arn)
        kind, _, rest = (parsed.resource if parsed and parsed.service == "events" else "").partition("/")
        if parsed is None or kind not in ("event-bus", "rule"):
            raise InvalidBusRequest(f"Parameter ResourceARN is not valid. Reason: {arn} is no event bus or rule.")
        if kind == "event-bus":
            return await self._buses.find(arn, parsed.scope), None
        bus_name, _, name = rest.rpartition("/")
        bus = await self._buses.find(bus_name or DEFAULT_BUS, parsed.scope)
        return bus, self._existing(bus, name)

    async def repair(self, bus: Bus, offset: int, change: RuleChange) -> None:
        """Record a change that stands in the journal, unless it is recorded already."""
        known = bus.rules.get(change.rule_arn)
        if known is not None and known.has(offset):
            return
        async with bus.lock:
            known = bus.rules.get(change.rule_arn)
            if known is None or not known.has(offset):
                await self._project(bus, change, offset)

    async def prune(self, bus: Bus, oldest: int) -> None:
        """Forget the versions that no event from offset `oldest` on needs."""
        for arn in list(bus.rules):
            async with bus.lock:
                record = bus.rules[arn]
                pruned = record.pruned(oldest)
                if pruned != record:
                    await self._buses.save_rule(bus, arn, pruned)

    async def _change(self, bus: Bus, arn: str, definition: RuleDefinition | None) -> None:
        change = RuleChange(arn, definition)
        offset = await self._kit.engine.journal.append(bus.arn, [encode_change(change)])
        await self._project(bus, change, offset)

    async def _project(self, bus: Bus, change: RuleChange, offset: int) -> None:
        definition = settle_since(change.definition, offset) if change.definition else None
        record = bus.rules.get(change.rule_arn) or RuleRecord(change.rule_arn, bus.arn)
        await self._buses.save_rule(bus, change.rule_arn, record.with_version(RuleVersion(offset, definition)))

    def _current(self, bus: Bus, name: str) -> RuleDefinition | None:
        record = bus.rules.get(rule_arn(bus.record, name))
        return record.current if record else None

    def _existing(self, bus: Bus, name: str) -> RuleDefinition:
        rule = self._current(bus, name)
        if rule is None:
            raise RuleNotFound(name, bus.name)
        return rule


def current_rules(bus: Bus) -> list[RuleDefinition]:
    """The rules that there are now, in no order."""
    return [rule.current for rule in bus.rules.values() if rule.current is not None]


def rules_at(bus: Bus, offset: int) -> list[Rule]:
    """The rules in force at an offset of the bus's journal, disabled ones too, in the order of their ARNs."""
    versions = (bus.rules[arn].at(offset) for arn in sorted(bus.rules))
    return [rule_of(v.definition, v.offset) for v in versions if v is not None and v.definition is not None]


def check_target(target: TargetSpec, bus_arn: str) -> None:
    """Raise `InvalidBusRequest` or `InvalidTargetInput` for a target that can't be delivered to."""
    arn = parse_arn(target.arn)
    if arn is None:
        raise InvalidBusRequest(
            f"Parameter {target.arn} is not valid. Reason: Provided Arn is not in correct format."
        )
    if not _is_target(arn):
        kinds = ", ".join(TARGET_KINDS.values())
        raise InvalidBusRequest(f"Parameter {target.arn} is not valid. Reason: Busway delivers to {kinds}.")
    if arn.service == "events":
        _check_bus_target(target, bus_arn)
    if arn.service == "sqs" and arn.name.endswith(".fifo") and not target.message_group_id:
        raise InvalidBusRequest(f"Parameter(s) SqsParameters must be specified for target: {target.id}.")
    _check_stream(target, arn.service)
    check_job_target(target, arn)
    check_input(target.id, target.input, target.input_path, target.input_transformer)
    if target.dead_letter_arn is not None:
        _check_dead_letter(target.dead_letter_arn)


def _is_target(arn: Arn) -> bool:
    if arn.service == "events":
        return arn.resource.startswith("event-bus/")
    if arn.service == "sns" and ":" in arn.resource:
        return False
    return is_job(arn) if arn.service in JOB_KINDS else arn.service in TARGET_KINDS


def _check_stream(target: TargetSpec, service: str) -> None:
    if target.partition_key_path is not None:
        if service != "kinesis":
            raise InvalidBusRequest(f"Parameter KinesisParameters is not valid for target {target.id}.")
        parse_path(target.partition_key_path)
    if service == "kinesis" and target.role_arn is None:
        raise InvalidBusRequest(f"RoleArn is required for target {target.arn}.")


def _check_bus_target(target: TargetSpec, bus_arn: str) -> None:
    if target.role_arn is None:
        raise InvalidBusRequest(f"RoleArn is required for target {target.arn}.")
    if target.arn == bus_arn:
        raise InvalidBusRequest(f"Target {target.id} of the rule is the event bus of the rule itself.")
    if target.input is not None or target.input_path is not None or target.input_transformer is not None:
        raise InvalidBusRequest(f"Modifying the input for target {target.id} is not supported.")
    if target.retry is not None:
        raise InvalidBusRequest(f"RetryPolicy is not supported for target {target.id}, an event bus.")


def _check_dead_letter(arn: str) -> None:
    queue = parse_arn(arn)
    if queue is None or queue.service != "sqs" or queue.name.endswith(".fifo"):
        raise InvalidBusRequest(
            f"Parameter DeadLetterConfig.Arn is not valid. Reason: {arn} is not the ARN of a standard SQS queue."
        )


def _check_schedule(expression: str, pattern: str | None, arn: str, bus: Bus) -> None:
    if bus.name != DEFAULT_BUS:
        raise InvalidBusRequest("ScheduleExpression is supported only on the default event bus.")
    parse_schedule(expression)
    # Beside a pattern with the largest number of alternatives there is no room for the schedule's.
    parse(with_ticks(pattern, arn))
