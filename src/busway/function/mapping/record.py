"""What a mapping is, and what it may be asked for. Pure.

The words of refusals are AWS's where they are recorded or known.
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from busway.arn import Scope, parse_arn
from busway.errors import FunctionFeatureNotBuilt, InvalidFunction
from busway.function.mapping.filters import check_filters

Kind = Literal["sqs", "sqs-fifo", "kinesis"]

BATCH_SIZE_DEFAULT: Mapping[Kind, int] = {"sqs": 10, "sqs-fifo": 10, "kinesis": 100}
# Above this a queue's batch needs a window to fill.
BATCH_SIZE_UNWINDOWED = 10
AGE_S = (60, 604_800)
TRIM_HORIZON, LATEST, AT_TIMESTAMP = "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"
UNLIMITED = -1


class MappingRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A mapping as it is stored. Times are Unix seconds.

    `function_arn` carries a qualifier if one was given. `starts` are the offsets, by shard, up to which a stream's
    records were there before a mapping that begins with the LATEST. `deleting` outlives a crash in the middle of it.
    """

    uuid: str
    function_arn: str
    source_arn: str
    modified_at: float
    batch_size: int
    enabled: bool = True
    deleting: bool = False
    window_s: int = 0
    concurrency_max: int | None = None
    lanes: int = 1
    position: str = ""
    position_at: float | None = None
    starts: dict[str, int] = {}
    retries_max: int = UNLIMITED
    age_s_max: int = UNLIMITED
    bisect: bool = False
    on_failure: str | None = None
    reports_failures: bool = False
    filters: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    tags: dict[str, str] = {}

    @property
    def kind(self) -> Kind:
        kind = kind_of(self.source_arn)
        assert kind is not None
        return kind

    @property
    def scope(self) -> Scope:
        arn = parse_arn(self.function_arn)
        assert arn is not None
        return arn.scope

    @property
    def arn(self) -> str:
        return self.scope.arn("lambda", f"event-source-mapping:{self.uuid}")

    @property
    def function(self) -> str:
        """The function's ARN without the qualifier: what its queue and its workers go by."""
        return ":".join(self.function_arn.split(":")[:7])

    @property
    def qualifier(self) -> str:
        """A version or an alias, "" for the unpublished code."""
        return ":".join(self.function_arn.split(":")[7:])

    @property
    def function_name(self) -> str:
        return self.function_arn.split(":")[6]


class MappingChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sets; None leaves it as it is. "" takes `on_failure` away, () the filters, 0 the concurrency."""

    function_arn: str | None = None
    enabled: bool | None = None
    batch_size: int | None = None
    window_s: int | None = None
    concurrency_max: int | None = None
    lanes: int | None = None
    retries_max: int | None = None
    age_s_max: int | None = None
    bisect: bool | None = None
    on_failure: str | None = None
    reports_failures: bool | None = None
    filters: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None


class NewMapping(msgspec.Struct, frozen=True, kw_only=True):
    """What CreateEventSourceMapping asks for. `position_at` is Unix seconds."""

    source_arn: str
    change: MappingChange
    position: str | None = None
    position_at: float | None = None
    tags: Mapping[str, str] = {}


def uuid_in(arn: str) -> str | None:
    """The uuid in a mapping's ARN, None for any other ARN."""
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "lambda" or not parsed.resource.startswith("event-source-mapping:"):
        return None
    return parsed.resource.partition(":")[2]


def kind_of(source_arn: str) -> Kind | None:
    """None for a source that Busway has none of."""
    arn = parse_arn(source_arn)
    if arn is None:
        return None
    if arn.service == "sqs":
        return "sqs-fifo" if arn.resource.endswith(".fifo") else "sqs"
    stream = arn.service == "kinesis" and arn.resource.startswith("stream/") and arn.resource.count("/") == 1
    return "kinesis" if stream else None


def check_source(source_arn: str | None) -> Kind:
    """Raises `InvalidFunction`, or `FunctionFeatureNotBuilt` for a source that AWS has and Busway has not."""
    if not source_arn:
        raise InvalidFunction("Unrecognized event source.")
    arn, kind = parse_arn(source_arn), kind_of(source_arn)
    if kind is not None:
        return kind
    if arn is not None and arn.service == "kinesis" and "/consumer/" in arn.resource:
        raise FunctionFeatureNotBuilt(f"Enhanced fan-out ({source_arn}) is not built yet; wanted the stream's ARN")
    if arn is not None and arn.service in ("dynamodb", "kafka", "mq", "rds", "docdb"):
        raise FunctionFeatureNotBuilt(f"Event source {source_arn} is not built in Busway; wanted sqs or kinesis")
    raise InvalidFunction("Unrecognized event source.")


def check_position(kind: Kind, source_arn: str, position: str | None, at: float | None) -> None:
    """Raises `InvalidFunction` in AWS's words (recorded)."""
    if kind != "kinesis":
        if position is not None or at is not None:
            raise InvalidFunction("StartingPosition is not valid for SQS event sources.")
        return
    if position is None:
        raise InvalidFunction(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if at is not None and position != AT_TIMESTAMP:
        raise InvalidFunction("Timestamp only valid with StartingPosition AT_TIMESTAMP")
    if at is None and position == AT_TIMESTAMP:
        raise InvalidFunction(f"Unsupported starting position for arn type: {source_arn}")
    if at is not None and at < 0:
        raise InvalidFunction(
            "Received Exception while reading from provided stream. "
            "class java.lang.Long can not be converted to a Timestamp"
        )


def changed(record: MappingRecord, change: MappingChange, now: float) -> MappingRecord:
    """The record after a change. Raises `InvalidFunction`, `FunctionFeatureNotBuilt`."""
    _check_kind(record.kind, change)
    set_to: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(change).items() if value is not None
    }
    if change.on_failure is not None:
        set_to["on_failure"] = change.on_failure or None
    if change.concurrency_max is not None:
        set_to["concurrency_max"] = change.concurrency_max or None
    if change.filters is not None:
        set_to["filters"] = check_filters(change.filters, "data" if record.kind == "kinesis" else "body")
    return _checked(replace(record, **set_to, modified_at=now))


def _check_kind(kind: Kind, change: MappingChange) -> None:
    """Refuse what this kind of source does not have."""
    if kind == "kinesis":
        if change.concurrency_max:
            raise _unsupported("ScalingConfig")
        return
    if change.on_failure is not None:
        raise _unsupported("DestinationConfig")
    for member, value in (
        ("ParallelizationFactor", change.lanes),
        ("MaximumRetryAttempts", change.retries_max),
        ("MaximumRecordAgeInSeconds", change.age_s_max),
        ("BisectBatchOnFunctionError", change.bisect),
    ):
        if value is not None:
            raise _unsupported(member)


def _unsupported(member: str) -> InvalidFunction:
    return InvalidFunction(f"Unsupported {member} parameter for given event source mapping type.")


def _checked(record: MappingRecord) -> MappingRecord:
    if record.kind == "sqs" and record.batch_size > BATCH_SIZE_UNWINDOWED and record.window_s == 0:
        raise InvalidFunction(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
    if record.kind == "sqs-fifo":
        if record.window_s > 0:
            raise InvalidFunction("Batching window is not supported for FIFO queues")
        if record.batch_size > BATCH_SIZE_UNWINDOWED:
            raise InvalidFunction(
                f"Batch size of a FIFO queue is {record.batch_size}; it must not exceed {BATCH_SIZE_UNWINDOWED}"
            )
    low, high = AGE_S
    if record.age_s_max != UNLIMITED and not low <= record.age_s_max <= high:
        raise InvalidFunction(f"MaximumRecordAgeInSeconds is {record.age_s_max}; wanted -1 or {low} to {high}")
    return record


def check_destination(arn: str | None, exists: bool) -> None:
    """Where a stream's given-up batches are told of. Raises `InvalidFunction`, `FunctionFeatureNotBuilt`."""
    if not arn:
        return
    parsed = parse_arn(arn)
    if parsed is not None and parsed.service in ("sns", "s3"):
        raise FunctionFeatureNotBuilt(f"The destination {arn} is not built yet in Busway; wanted a queue's ARN")
    if parsed is None or parsed.service != "sqs":
        raise InvalidFunction(f"The destination ARN {arn} is invalid.")
    if not exists:
        raise InvalidFunction(f"The destination ARN {arn} is invalid: there is no such queue.")


def check_visibility(visibility_s: int, timeout_s: int) -> None:
    """Raises `InvalidFunction` in AWS's words: a message must not come back while its function may still run."""
    if visibility_s < timeout_s:
        raise InvalidFunction(
            f"Queue visibility timeout: {visibility_s} seconds is less than Function timeout: {timeout_s} seconds"
        )
