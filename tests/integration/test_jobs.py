"""Rules that start jobs: on moto, which stands in for AWS."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from busway.targets.aws_call import NO_KEYS, NOT_IN_DEVELOPMENT

from .stand_in import StandIn, stand_in
from .whole_server import PATIENCE_S, ROLE, WholeServer, arn, attributes_of, message_of, whole_server

MACHINE = arn("states", "stateMachine:ship")


def any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("cloud"), any_port()) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, cloud: StandIn) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("server"), upstream=cloud.url) as running:
        yield running


def until(look: Callable[[], Sequence[Any]]) -> Any:
    """The one thing that is there sooner or later; each look asks a server."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < give_up_at, "it is not there"
        time.sleep(0.05)
    (one,) = found
    return one


def fire(server: WholeServer, target: dict[str, Any], detail: dict[str, Any]) -> str:
    """A rule with this target, and an event for it; its id."""
    events = server.client("events")
    name = target["Arn"].rpartition(":")[2].replace("/", "-")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "job", **target}])
    entry = {"Source": name, "DetailType": "Order Placed", "Detail": json.dumps(detail)}
    return events.put_events(Entries=[entry])["Entries"][0]["EventId"]


def make_machine(cloud: StandIn) -> str:
    states = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
    made = cloud.client("stepfunctions").create_state_machine(
        name="ship", definition=json.dumps(states), roleArn=ROLE
    )
    return made["stateMachineArn"]


def executions(cloud: StandIn) -> list[dict[str, Any]]:
    states = cloud.client("stepfunctions")
    try:
        found = states.list_executions(stateMachineArn=MACHINE)["executions"]
    except ClientError:
        return []
    return [states.describe_execution(executionArn=each["executionArn"]) for each in found]


def test_a_state_machine_runs_with_the_event_as_its_input(server: WholeServer, cloud: StandIn):
    assert make_machine(cloud) == MACHINE
    event_id = fire(server, {"Arn": MACHINE, "RoleArn": ROLE}, {"order": 7})
    ran = until(lambda: executions(cloud))
    event = json.loads(ran["input"])
    assert (event["id"], event["detail"]) == (event_id, {"order": 7})
    assert ran["name"].startswith(event_id)


def test_a_batch_job_is_submitted_with_what_the_transformer_takes_from_the_event(server: WholeServer, cloud: StandIn):
    batch, ec2 = cloud.client("batch"), cloud.client("ec2")
    assert ec2.describe_subnets()["Subnets"]
    role = cloud.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    compute = batch.create_compute_environment(
        computeEnvironmentName="compute", type="UNMANAGED", state="ENABLED", serviceRole=role
    )["computeEnvironmentArn"]
    queue = batch.create_job_queue(
        jobQueueName="nightly", state="ENABLED", priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": compute}],
    )["jobQueueArn"]  # fmt: skip
    batch.register_job_definition(
        jobDefinitionName="resize", type="container",
        containerProperties={"image": "any", "vcpus": 1, "memory": 128, "command": ["resize"]},
    )  # fmt: skip
    template = (
        '{"Parameters": {"bucket": <bucket>}, '
        '"ContainerOverrides": {"Environment": [{"Name": "EVENT", "Value": <id>}]}}'
    )
    transformer = {"InputPathsMap": {"bucket": "$.detail.bucket", "id": "$.id"}, "InputTemplate": template}
    event_id = fire(
        server,
        {
            "Arn": queue, "RoleArn": ROLE, "InputTransformer": transformer,
            "BatchParameters": {"JobDefinition": "resize", "JobName": "of-an-event"},
        },
        {"bucket": "pictures"},
    )  # fmt: skip
    statuses = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
    found = until(
        lambda: [
            job for status in statuses for job in batch.list_jobs(jobQueue=queue, jobStatus=status)["jobSummaryList"]
        ]
    )
    (job,) = batch.describe_jobs(jobs=[found["jobId"]])["jobs"]
    assert (job["jobName"], job["parameters"]) == ("of-an-event", {"bucket": "pictures"})
    assert {"name": "EVENT", "value": event_id} in job["container"]["environment"]


def test_a_glue_workflow_runs_and_knows_the_event(server: WholeServer, cloud: StandIn):
    glue = cloud.client("glue")
    glue.create_workflow(Name="load")
    target = {"Arn": arn("glue", "workflow/load"), "RoleArn": ROLE, "InputPath": "$.detail"}
    event_id = fire(server, target, {"table": "orders"})
    run = until(lambda: glue.get_workflow_runs(Name="load")["Runs"])
    properties = glue.get_workflow_run_properties(Name="load", RunId=run["WorkflowRunId"])["RunProperties"]
    assert properties == {"aws:eventIds": f"[{event_id}]", "busway:event": '{"table":"orders"}'}


def test_a_sagemaker_pipeline_starts_with_values_of_the_event(server: WholeServer, cloud: StandIn):
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName="train", PipelineDefinition="{}", ClientRequestToken="t" * 32, RoleArn=ROLE
    )
    listed = [{"Name": "Day", "Value": "$.detail.day"}, {"Name": "Model", "Value": "small"}]
    target = {
        "Arn": arn("sagemaker", "pipeline/train"), "RoleArn": ROLE,
        "SageMakerPipelineParameters": {"PipelineParameterList": listed},
    }  # fmt: skip
    fire(server, target, {"day": "monday"})
    run = until(lambda: sagemaker.list_pipeline_executions(PipelineName="train")["PipelineExecutionSummaries"])
    started = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=run["PipelineExecutionArn"])
    assert started["PipelineParameters"] == [{"Name": "Day", "Value": "monday"}, {"Name": "Model", "Value": "small"}]


def test_targets_are_kept_as_they_were_put_and_checked_when_they_are(server: WholeServer):
    events = server.client("events")
    events.put_rule(Name="kept", EventPattern='{"source": ["kept"]}')
    batch = {"JobDefinition": "d", "JobName": "n", "ArrayProperties": {"Size": 2}, "RetryStrategy": {"Attempts": 3}}
    target = {"Id": "1", "Arn": arn("batch", "job-queue/q"), "RoleArn": ROLE, "BatchParameters": batch}
    events.put_targets(Rule="kept", Targets=[target])
    assert events.list_targets_by_rule(Rule="kept")["Targets"] == [target]
    del target["RoleArn"]
    with pytest.raises(ClientError, match=r"ValidationException.*RoleArn is required for target") as caught:
        events.put_targets(Rule="kept", Targets=[target])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(("keys", "said"), [({}, NO_KEYS), ({"access_keys": ""}, NOT_IN_DEVELOPMENT)])
def test_without_credentials_that_may_be_used_nothing_is_lost_and_it_is_said_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], said: str
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with whole_server(tmp_path, **keys) as server:
        event_id = fire(server, {"Arn": MACHINE, "RoleArn": ROLE}, {"order": 9})
        tried = until(
            lambda: [each for each in server.busway("why", event_id)["deliveries"] if each.get("error_code")]
        )
        assert (tried["state"], tried["error_code"], tried["error_message"]) == ("pending", "NO_PERMISSIONS", said)


def test_a_job_that_cannot_start_is_retried_by_the_clock_dead_lettered_and_redriven_when_it_can(tmp_path: Path):
    port = any_port()
    with whole_server(tmp_path, upstream=f"http://127.0.0.1:{port}", clock="manual") as server:
        sqs = server.client("sqs")
        letters = sqs.create_queue(QueueName="letters")["QueueUrl"]
        target = {
            "Arn": MACHINE, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": arn("sqs", "letters")},
            "RetryPolicy": {"MaximumRetryAttempts": 1},
        }  # fmt: skip
        event_id = fire(server, target, {"order": 8})

        def told() -> list[dict[str, Any]]:
            deliveries = server.busway("why", event_id)["deliveries"]
            return [each for each in deliveries if each.get("error_code") or each["state"] != "pending"]

        first = until(told)
        assert (first["state"], first["error_code"], first["attempts"]) == ("pending", "CONNECTION_FAILURE", 1)
        # Due, and no more: an attempt under way would be out of time by a clock that jumps.
        server.busway("clock", "+2s")
        letter = message_of(
            sqs.receive_message(
                QueueUrl=letters, MessageAttributeNames=["All"], WaitTimeSeconds=20, VisibilityTimeout=0
            )
        )  # fmt: skip
        attributes = {name: value for name, (_, value) in attributes_of(letter).items()}
        assert attributes["ERROR_CODE"] == "CONNECTION_FAILURE"
        assert (attributes["EXHAUSTED_RETRY_CONDITION"], attributes["RETRY_ATTEMPTS"]) == (
            "MaximumRetryAttempts",
            "1",
        )
        with stand_in(tmp_path, port) as cloud:
            # What is there now, but not what the rule names: final at once.
            server.busway("redrive", MACHINE)
            assert until(lambda: server.busway("dlq")["items"])["error_code"] == "NO_RESOURCE"
            make_machine(cloud)
            server.busway("redrive", MACHINE)
            assert json.loads(until(lambda: executions(cloud))["input"])["id"] == event_id
        assert server.busway("dlq")["items"] == []
