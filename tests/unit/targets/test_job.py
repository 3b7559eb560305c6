"""Jobs as targets: what each kind makes of a delivery, by botocore's own models."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.stub import Stubber

from busway.arn import Scope
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.targets.aws_call import AwsCall, AwsCalls
from busway.targets.job import JobTarget

EVENT = {"id": "0b3f6e0e-6a4b-4c1e-9d63-5d6f2f0a1b2c", "detail": {"total": 3}}
PAYLOAD = json.dumps(EVENT).encode()
QUEUE = "arn:aws:batch:eu-west-1:123456789012:job-queue/nightly"
WORKFLOW = "arn:aws:glue:eu-west-1:123456789012:workflow/load"
PIPELINE = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/train"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:ship"
BATCH = {"JobDefinition": "resize:3", "JobName": "resize"}


def delivery(target_arn: str, payload: bytes = PAYLOAD, **rest: Any) -> Delivery:
    return Delivery(
        event_id=EVENT["id"], target_arn=target_arn, payload=payload, accepted_at=5.0, subscriber="s", **rest
    )  # fmt: skip


class Asked:
    """Remembers the calls, and has each of them checked by botocore against AWS's model."""

    def __init__(self) -> None:
        self.calls: list[AwsCall] = []

    async def send(self, call: AwsCall) -> Outcome:
        self.calls.append(call)
        client = botocore.session.get_session().create_client(
            call.service, region_name=call.scope.region, aws_access_key_id="k", aws_secret_access_key="s"
        )
        with Stubber(client) as stub:
            stub.add_response(botocore.xform_name(call.operation), ANSWERS[call.service], dict(call.members))
            return await AwsCalls(lambda service, scope: client).send(call)


ANSWERS = {
    "batch": {"jobName": "resize", "jobId": "1"},
    "glue": {"RunId": "r"},
    "sagemaker": {"PipelineExecutionArn": PIPELINE + "/execution/abcdefghijkl"},
    "stepfunctions": {"executionArn": MACHINE, "startDate": 1.0},
}


async def call_of(made: Delivery) -> AwsCall:
    asked = Asked()
    assert await JobTarget(asked).attempt(made) == Delivered()
    (call,) = asked.calls
    assert call.scope == Scope("123456789012", "eu-west-1")
    return call


async def test_a_job_queue_gets_the_job_that_the_target_names():
    batch = {**BATCH, "ArrayProperties": {"Size": 5}, "RetryStrategy": {"Attempts": 2}}
    call = await call_of(delivery(QUEUE, parameters={"BatchParameters": batch}))
    assert (call.service, call.operation) == ("batch", "SubmitJob")
    assert call.members == {
        "jobName": "resize", "jobQueue": QUEUE, "jobDefinition": "resize:3", "arrayProperties": {"size": 5},
        "retryStrategy": {"attempts": 2},
    }  # fmt: skip


async def test_a_payload_gives_a_batch_job_its_parameters_and_containers_by_either_spelling():
    said = {
        "Parameters": {"Bucket": "b"},
        "ContainerOverrides": {"Command": ["a", "B"], "Environment": [{"Name": "NAME", "Value": "Value"}]},
        "dependsOn": [{"jobId": "j"}],
        "Else": 1,
    }
    made = delivery(QUEUE, json.dumps(said).encode(), parameters={"BatchParameters": BATCH})
    members = (await call_of(made)).members
    assert members["parameters"] == {"Bucket": "b"}
    assert members["containerOverrides"] == {
        "command": ["a", "B"], "environment": [{"name": "NAME", "value": "Value"}],
    }  # fmt: skip
    assert members["dependsOn"] == [{"jobId": "j"}]
    assert "Else" not in members and "else" not in members


@pytest.mark.parametrize("payload", [b'"text"', b"[1]", b"null", PAYLOAD])
async def test_a_payload_that_says_nothing_of_the_job_starts_it_as_it_is_defined(payload: bytes):
    call = await call_of(delivery(QUEUE, payload, parameters={"BatchParameters": BATCH}))
    assert set(call.members) == {"jobName", "jobQueue", "jobDefinition"}


async def test_what_batch_cannot_take_is_final_and_says_what_was_wanted():
    made = delivery(QUEUE, b'{"Parameters": {"n": 3}}', parameters={"BatchParameters": BATCH})
    failed = await JobTarget(Asked()).attempt(made)
    assert isinstance(failed, Failed) and (failed.code, failed.retriable) == ("INVALID_PARAMETER", False)
    assert "parameters.n" in failed.message


async def test_a_workflow_is_told_the_events_id_as_aws_does_and_the_payload():
    call = await call_of(delivery(WORKFLOW))
    assert (call.service, call.operation, call.members["Name"]) == ("glue", "StartWorkflowRun", "load")
    run = call.members["RunProperties"]
    assert run["aws:eventIds"][1:-1] == EVENT["id"]
    assert json.loads(run["busway:event"]) == EVENT


async def test_a_pipeline_gets_its_own_parameters_and_no_payload():
    listed = [{"Name": "Day", "Value": "7"}]
    call = await call_of(
        delivery(PIPELINE, parameters={"SageMakerPipelineParameters": {"PipelineParameterList": listed}})
    )
    assert (call.service, call.operation) == ("sagemaker", "StartPipelineExecution")
    token = call.members["ClientRequestToken"]
    assert call.members == {"PipelineName": "train", "PipelineParameters": listed, "ClientRequestToken": token}
    assert "PipelineParameters" not in (await call_of(delivery(PIPELINE))).members


async def test_a_state_machine_gets_the_payload_as_its_input():
    for arn in (MACHINE, MACHINE + ":live"):
        call = await call_of(delivery(arn))
        assert (call.service, call.operation) == ("stepfunctions", "StartExecution")
        assert call.members["stateMachineArn"] == arn
        assert json.loads(call.members["input"]) == EVENT
        name = call.members["name"]
        assert name.startswith(EVENT["id"] + "_") and len(name) <= 80


async def test_attempts_at_one_delivery_are_told_from_one_that_was_sent_again():
    first, again = delivery(MACHINE), delivery(MACHINE)
    redriven = msgspec.structs.replace(first, accepted_at=6.0, subscriber="")
    once_more = msgspec.structs.replace(redriven, accepted_at=7.0)
    sent = (first, again, redriven, once_more)
    names = [(await call_of(made)).members["name"] for made in sent]
    assert names[0] == names[1] and len(set(names)) == 3
    tokens = {
        (await call_of(msgspec.structs.replace(made, target_arn=PIPELINE))).members["ClientRequestToken"]
        for made in sent
    }
    assert len(tokens) == 3


async def test_what_is_no_job_is_final():
    for arn in ("arn:aws:ecs:eu-west-1:1:cluster/c", "nothing"):
        failed = await JobTarget(Asked()).attempt(delivery(arn))
        assert isinstance(failed, Failed) and (failed.code, failed.retriable) == ("NO_RESOURCE", False)
    assert JobTarget(Asked()).local(delivery(MACHINE), 0.0) is None
