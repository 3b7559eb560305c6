"""Event source mappings at the door, and their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from busway.aws.service import Caller, Operation
from busway.aws.services.lambda_wire import asked, page
from busway.errors import FunctionFeatureNotBuilt, InvalidFunction
from busway.function.mapping.mappings import Mappings
from busway.function.mapping.record import AT_TIMESTAMP, MappingChange, MappingRecord, NewMapping, uuid_in
from busway.function.mapping.report import REPORT
from busway.function.record import qualified

Answer = dict[str, Any]

# Members that ask for something that is not built, unless they are empty.
_NOT_BUILT = (
    "AmazonManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig", "KMSKeyArn", "LoggingConfig",
    "ProvisionedPollerConfig", "Queues", "SelfManagedEventSource", "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfigurations", "Topics", "TumblingWindowInSeconds",
)  # fmt: skip


class MappingOperations:
    """Create, read, change and delete mappings. `tags` are the operations that do the same for functions' tags."""

    def __init__(self, mappings: Mappings, tags: Mapping[str, Operation]) -> None:
        self._mappings, self._function_tags = mappings, tags
        self.operations: Mapping[str, Operation] = {
            "CreateEventSourceMapping": self.create_event_source_mapping,
            "DeleteEventSourceMapping": self.delete_event_source_mapping,
            "GetEventSourceMapping": self.get_event_source_mapping,
            "ListEventSourceMappings": self.list_event_source_mappings,
            "ListTags": self.list_tags,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "UpdateEventSourceMapping": self.update_event_source_mapping,
        }

    async def create_event_source_mapping(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        new = NewMapping(
            source_arn=request.get("EventSourceArn") or "",
            change=change_of(request, caller),
            position=request.get("StartingPosition"),
            position_at=request.get("StartingPositionTimestamp"),
            tags=request.get("Tags") or {},
        )
        return self._answer(await self._mappings.create(new))

    async def update_event_source_mapping(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        change = change_of(request, caller)
        return self._answer(await self._mappings.update(self._uuid(request, caller), change))

    async def get_event_source_mapping(self, request: Answer, caller: Caller) -> Answer:
        return self._answer(self._mappings.need(self._uuid(request, caller)))

    async def delete_event_source_mapping(self, request: Answer, caller: Caller) -> Answer:
        return self._answer(await self._mappings.delete(self._uuid(request, caller)))

    async def list_event_source_mappings(self, request: Answer, caller: Caller) -> Answer:
        function_arn = qualified(*asked(request, caller.scope)) if request.get("FunctionName") else None
        found = self._mappings.find(caller.scope, function_arn, request.get("EventSourceArn"))
        by_uuid = {record.uuid: record for record in found}
        uuids, more = page(sorted(by_uuid), request)
        return {"EventSourceMappings": [self._answer(by_uuid[uuid]) for uuid in uuids], "NextMarker": more}

    async def list_tags(self, request: Answer, caller: Caller) -> Answer:
        uuid = uuid_in(request["Resource"])
        if uuid is None:
            return await self._function_tags["ListTags"](request, caller)
        return {"Tags": self._mappings.need(uuid).tags}

    async def tag_resource(self, request: Answer, caller: Caller) -> Answer:
        uuid = uuid_in(request["Resource"])
        if uuid is None:
            return await self._function_tags["TagResource"](request, caller)
        await self._mappings.tag(uuid, request["Tags"])
        return {}

    async def untag_resource(self, request: Answer, caller: Caller) -> Answer:
        uuid = uuid_in(request["Resource"])
        if uuid is None:
            return await self._function_tags["UntagResource"](request, caller)
        await self._mappings.untag(uuid, set(request["TagKeys"]))
        return {}

    def _uuid(self, request: Answer, caller: Caller) -> str:
        """The mapping's uuid; another account's mapping is as good as none. Raises `FunctionResourceNotFound`."""
        record = self._mappings.need(request["UUID"])
        return record.uuid if record.scope == caller.scope else self._mappings.need("").uuid

    def _answer(self, record: MappingRecord) -> Answer:
        return mapping_answer(record, self._mappings.state(record.uuid), self._mappings.last_result(record.uuid))


def check_built(request: Mapping[str, Any]) -> None:
    """Raises `FunctionFeatureNotBuilt` that names the member."""
    wanted = [member for member in _NOT_BUILT if request.get(member)]
    if wanted:
        raise FunctionFeatureNotBuilt(f"{', '.join(wanted)} is not built yet in Busway; leave it out")


def change_of(request: Mapping[str, Any], caller: Caller) -> MappingChange:
    """What a create or an update asks for. Raises `InvalidFunction`."""
    destinations, scaling = request.get("DestinationConfig"), request.get("ScalingConfig")
    criteria, kinds = request.get("FilterCriteria"), request.get("FunctionResponseTypes")
    metrics = request.get("MetricsConfig")
    return MappingChange(
        function_arn=qualified(*asked(request, caller.scope)) if request.get("FunctionName") else None,
        enabled=request.get("Enabled"),
        batch_size=request.get("BatchSize"),
        window_s=request.get("MaximumBatchingWindowInSeconds"),
        concurrency_max=None if scaling is None else scaling.get("MaximumConcurrency") or 0,
        lanes=request.get("ParallelizationFactor"),
        retries_max=request.get("MaximumRetryAttempts"),
        age_s_max=request.get("MaximumRecordAgeInSeconds"),
        bisect=request.get("BisectBatchOnFunctionError"),
        on_failure=None if destinations is None else _on_failure(destinations),
        reports_failures=None if kinds is None else REPORT in kinds,
        filters=None if criteria is None else _patterns(criteria),
        metrics=None if metrics is None else tuple(metrics.get("Metrics") or ()),
    )


def _on_failure(destinations: Mapping[str, Any]) -> str:
    if _destination(destinations, "OnSuccess"):
        raise InvalidFunction("Unsupported DestinationConfig parameter for given event source mapping type.")
    return _destination(destinations, "OnFailure")


def _destination(destinations: Mapping[str, Any], side: str) -> str:
    given: Mapping[str, Any] = destinations.get(side) or {}
    return given.get("Destination") or ""


def _patterns(criteria: Mapping[str, Any]) -> tuple[str, ...]:
    given: Sequence[Mapping[str, Any]] = criteria.get("Filters") or ()
    return tuple(one.get("Pattern") or "" for one in given)


def mapping_answer(record: MappingRecord, state: str, result: str) -> Answer:
    """An EventSourceMappingConfiguration, with the members that AWS has for this kind of source (recorded)."""
    answer: Answer = {
        "UUID": record.uuid,
        "BatchSize": record.batch_size,
        "MaximumBatchingWindowInSeconds": record.window_s,
        "EventSourceArn": record.source_arn,
        "FunctionArn": record.function_arn,
        "LastModified": record.modified_at,
        "State": state,
        "FunctionResponseTypes": [REPORT] if record.reports_failures else [],
        "EventSourceMappingArn": record.arn,
        "FilterCriteria": {"Filters": [{"Pattern": text} for text in record.filters]} if record.filters else None,
        "MetricsConfig": {"Metrics": list(record.metrics)} if record.metrics else None,
    }
    if record.kind != "kinesis":
        scaling = {"MaximumConcurrency": record.concurrency_max} if record.concurrency_max is not None else None
        return {**answer, "StateTransitionReason": "USER_INITIATED", "ScalingConfig": scaling}
    return {
        **answer,
        "StateTransitionReason": "User action",
        "LastProcessingResult": result,
        "ParallelizationFactor": record.lanes,
        "StartingPosition": record.position,
        "StartingPositionTimestamp": record.position_at if record.position == AT_TIMESTAMP else None,
        "DestinationConfig": {"OnFailure": {"Destination": record.on_failure} if record.on_failure else {}},
        "MaximumRecordAgeInSeconds": record.age_s_max,
        "MaximumRetryAttempts": record.retries_max,
        "BisectBatchOnFunctionError": record.bisect,
        "TumblingWindowInSeconds": 0,
    }
