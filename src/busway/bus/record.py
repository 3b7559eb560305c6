"""What is remembered of buses and rules: their records, and the entry that changes a rule. Pure.

A rule's record keeps versions: what the rule was from which offset of the bus's journal on. An event is matched by
the version that stands before it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from busway.arn import Scope, rule_resource
from busway.bus.envelope import KIND_RULE
from busway.delivery import InputTransformer, RetryPolicy, Subscriber
from busway.errors import CorruptRecord

ENABLED = "ENABLED"
DISABLED = "DISABLED"
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
TICK_SOURCE, TICK_TYPE = "aws.events", "Scheduled Event"
ALARM_SOURCE, ALARM_TYPE = "aws.cloudwatch", "CloudWatch Alarm State Change"


class BusRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A bus. Times are Unix seconds. `settings` holds what AWS lets one set and Busway only gives back
    (KmsKeyIdentifier, DeadLetterConfig, LogConfig). A deleted one lives on until its last event is delivered.
    """

    arn: str
    name: str
    created_at: float
    modified_at: float
    description: str | None = None
    policy: dict[str, Any] | None = None
    tags: dict[str, str] = {}
    settings: dict[str, Any] = {}
    deleted: bool = False


class TargetSpec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A target as it was put. `since` is the offset at which it was added to the rule, 0 for "in this entry".

    `parameters` are AWS's structures for jobs (BatchParameters), each under its name.
    """

    id: str
    arn: str
    role_arn: str | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformer | None = None
    retry: RetryPolicy | None = None
    dead_letter_arn: str | None = None
    message_group_id: str | None = None
    partition_key_path: str | None = None
    parameters: dict[str, Any] = {}
    since: int = 0


class RuleDefinition(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything about a rule at one time."""

    arn: str
    name: str
    bus_arn: str
    created_by: str
    state: str = ENABLED
    pattern: str | None = None
    schedule: str | None = None
    description: str | None = None
    role_arn: str | None = None
    tags: dict[str, str] = {}
    targets: tuple[TargetSpec, ...] = ()

    @property
    def enabled(self) -> bool:
        return self.state != DISABLED


class RuleVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule is from `offset` on; None for "there is no such rule"."""

    offset: int
    definition: RuleDefinition | None = None


class RuleRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule with the versions that retained events may still need, in the order of offsets."""

    arn: str
    bus_arn: str
    versions: tuple[RuleVersion, ...] = ()

    @property
    def current(self) -> RuleDefinition | None:
        return self.versions[-1].definition if self.versions else None

    def at(self, offset: int) -> RuleVersion | None:
        """The version in force at `offset`, None before the first."""
        return next((version for version in reversed(self.versions) if version.offset <= offset), None)

    def has(self, offset: int) -> bool:
        return any(version.offset == offset for version in reversed(self.versions))

    def with_version(self, version: RuleVersion) -> RuleRecord:
        """With one more version, at its place: one that was missed by a crash may come after newer ones."""
        versions = tuple(sorted((*self.versions, version), key=lambda v: v.offset))
        return RuleRecord(self.arn, self.bus_arn, versions)

    def pruned(self, oldest: int) -> RuleRecord | None:
        """Without the versions that no event from offset `oldest` on needs; None when nothing is left of the rule."""
        standing = self.at(oldest)
        kept = tuple(v for v in self.versions if v is standing or v.offset > oldest)
        if kept and kept[0].definition is None:
            kept = kept[1:]
        return RuleRecord(self.arn, self.bus_arn, kept) if kept else None


class RuleChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A control entry of the journal: from here on the rule is this, or (None) isn't."""

    rule_arn: str
    definition: RuleDefinition | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it stands at some offset: its definition and the subscribers that are its targets."""

    definition: RuleDefinition
    subscribers: tuple[Subscriber, ...]

    @property
    def arn(self) -> str:
        return self.definition.arn

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def pattern(self) -> str | None:
        """What it matches: for a rule that runs on a schedule also, or only, the events of that schedule."""
        if self.definition.schedule is None:
            return self.definition.pattern
        return with_ticks(self.definition.pattern, self.arn)

    @property
    def enabled(self) -> bool:
        return self.definition.enabled


def with_ticks(pattern: str | None, rule_arn: str) -> str:
    """A pattern for what `pattern` matches and for the events of the schedule of `rule_arn`."""
    ticks = msgspec.json.encode(
        {"source": [TICK_SOURCE], "detail-type": [TICK_TYPE], "resources": [rule_arn]}
    ).decode()
    return ticks if pattern is None else f'{{"$or":[{pattern},{ticks}]}}'


def rule_of(definition: RuleDefinition, offset: int) -> Rule:
    """The rule that the version at `offset` defines."""
    return Rule(definition, tuple(_subscriber(definition, target, offset) for target in definition.targets))


def _subscriber(rule: RuleDefinition, target: TargetSpec, offset: int) -> Subscriber:
    return Subscriber(
        name=f"{rule.arn}#{target.id}#{target.since or offset}",
        rule_arn=rule.arn,
        target_id=target.id,
        target_arn=target.arn,
        input=target.input,
        input_path=target.input_path,
        input_transformer=target.input_transformer,
        retry=target.retry or RetryPolicy(),
        dead_letter_arn=target.dead_letter_arn,
        message_group_id=target.message_group_id,
        partition_key_path=target.partition_key_path,
        parameters=target.parameters,
        enabled=rule.enabled,
    )


def settle_since(definition: RuleDefinition, offset: int) -> RuleDefinition:
    """The definition with the offset filled in where a target was added by this very entry."""
    if all(target.since for target in definition.targets):
        return definition
    targets = tuple(t if t.since else msgspec.structs.replace(t, since=offset) for t in definition.targets)
    return msgspec.structs.replace(definition, targets=targets)


def bus_arn(scope: Scope, name: str) -> str:
    return scope.arn("events", f"event-bus/{name}")


def rule_arn(bus: BusRecord, name: str) -> str:
    head = bus.arn.rsplit(":", 1)[0]
    return f"{head}:{rule_resource(bus.name, name)}"


def bus_key(arn: str) -> str:
    return f"bus/{arn}"


def rule_key(arn: str) -> str:
    return f"rule/{arn}"


def encode_change(change: RuleChange) -> bytes:
    return KIND_RULE + msgspec.json.encode(change)


_decode_change = msgspec.json.Decoder(RuleChange).decode


def decode_change(entry: bytes) -> RuleChange:
    """Raises `CorruptRecord`: without this change nothing after it can be matched."""
    try:
        return _decode_change(entry[1:])
    except msgspec.DecodeError as error:
        raise CorruptRecord(f"a change of a rule can't be read ({error}): {entry[:200]!r}") from error


def encode(record: BusRecord | RuleRecord) -> bytes:
    return msgspec.json.encode(record)


def decode_bus(data: bytes) -> BusRecord:
    return msgspec.json.decode(data, type=BusRecord)


def decode_rule(data: bytes) -> RuleRecord:
    return msgspec.json.decode(data, type=RuleRecord)
