"""Jobs on AWS as targets: a delivery is the start of one, and is done when AWS took the call.

    Batch job queue    batch:SubmitJob                    with what the payload says of parameters and containers
    Glue workflow      glue:StartWorkflowRun              with the event's id, and the payload, as run properties
    SageMaker pipeline sagemaker:StartPipelineExecution   with the target's own parameters; no payload, as on AWS
    state machine      states:StartExecution              with the payload as input

What becomes of the job afterwards is its own business: the rule does not start it again, as on AWS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import msgspec

from busway.arn import Arn, parse_arn
from busway.bus.job_targets import BATCH
from busway.clock import format_uuid
from busway.delivery import Delivery, Failed, Outcome
from busway.delivery.parameters import pipeline_parameters
from busway.engine import Put
from busway.targets.aws_call import AwsCall

# The members of a payload that go into SubmitJob; Batch's documentation writes them with a capital.
# https://docs.aws.amazon.com/batch/latest/userguide/batch-cwe-target.html
_CONTAINERS = ("ContainerOverrides", "DependsOn")
# EventBridge calls glue:NotifyEvent, which no SDK has. Of an event Glue keeps its id in this property of the run, in
# brackets; the payload it keeps in CloudTrail. Ours is the second property, as here there is no CloudTrail.
# https://docs.aws.amazon.com/glue/latest/dg/viewing-start-event-info.html
GLUE_IDS, GLUE_EVENT = "aws:eventIds", "busway:event"


class Calls(Protocol):
    """The way to AWS."""

    async def send(self, call: AwsCall) -> Outcome: ...


class JobTarget:
    """Starts jobs; the kind is the service of the target's ARN."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        arn = parse_arn(delivery.target_arn)
        make = _CALLS.get(arn.service) if arn is not None else None
        if arn is None or make is None:
            return Failed("NO_RESOURCE", f"{delivery.target_arn} is no job that Busway starts", False)
        return await self._calls.send(make(delivery, arn))


def _submit_job(delivery: Delivery, queue: Arn) -> AwsCall:
    batch: Mapping[str, Any] = delivery.parameters.get(BATCH) or {}
    members: dict[str, Any] = {
        "jobName": batch.get("JobName"),
        "jobQueue": str(queue),
        "jobDefinition": batch.get("JobDefinition"),
    }
    for structure in ("ArrayProperties", "RetryStrategy"):
        if batch.get(structure):
            members[_lower(structure)] = _lowered(batch[structure])
    return AwsCall("batch", "SubmitJob", queue.scope, {**members, **_of_payload(delivery.payload)})


def _of_payload(payload: bytes) -> dict[str, Any]:
    """What a payload says of the job; one that says nothing, a whole event for one, starts it as it is defined."""
    said = msgspec.json.decode(payload)
    if not isinstance(said, dict):
        return {}
    given = cast(dict[str, Any], said)
    members: dict[str, Any] = {}
    # The keys inside are the job's own names.
    for name in ("Parameters", "parameters"):
        if name in given:
            members["parameters"] = given[name]
    for name in _CONTAINERS:
        for written in (name, _lower(name)):
            if written in given:
                members[_lower(name)] = _lowered(given[written])
    return members


def _lowered(value: Any) -> Any:
    """With the first letters of members as Batch has them: `Environment` is `environment`."""
    if isinstance(value, dict):
        return {_lower(name): _lowered(inner) for name, inner in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_lowered(inner) for inner in cast(list[Any], value)]
    return value


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _start_workflow(delivery: Delivery, workflow: Arn) -> AwsCall:
    run = {GLUE_IDS: f"[{delivery.event_id}]", GLUE_EVENT: delivery.payload.decode()}
    members = {"Name": workflow.resource.partition("/")[2], "RunProperties": run}
    return AwsCall("glue", "StartWorkflowRun", workflow.scope, members)


def _start_pipeline(delivery: Delivery, pipeline: Arn) -> AwsCall:
    members: dict[str, Any] = {
        "PipelineName": pipeline.resource.partition("/")[2],
        # A repeat of the same delivery is known for one by it.
        "ClientRequestToken": _identity(delivery),
    }
    parameters = pipeline_parameters(delivery.parameters)
    if parameters:
        members["PipelineParameters"] = parameters
    return AwsCall("sagemaker", "StartPipelineExecution", pipeline.scope, members)


def _start_execution(delivery: Delivery, machine: Arn) -> AwsCall:
    members = {
        "stateMachineArn": str(machine),
        # The event's id first, so that people find it. As on AWS.
        "name": f"{delivery.event_id}_{_identity(delivery)}",
        "input": delivery.payload.decode(),
    }
    return AwsCall("stepfunctions", "StartExecution", machine.scope, members, done="ExecutionAlreadyExists")


def _identity(delivery: Delivery) -> str:
    """The same for each attempt at one delivery, another one once it was redriven: that has an age of its own."""
    parts = (delivery.subscriber or delivery.target_arn, delivery.event_id, repr(delivery.accepted_at))
    return format_uuid(hashlib.blake2b(" ".join(parts).encode(), digest_size=16).digest())


_CALLS: Mapping[str, Callable[[Delivery, Arn], AwsCall]] = {
    "batch": _submit_job,
    "glue": _start_workflow,
    "sagemaker": _start_pipeline,
    "states": _start_execution,
}
