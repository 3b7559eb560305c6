"""Functions as deployers change them: boto3 against `busway serve`, versions, aliases, waiters, code, settings."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from .whole_server import PATIENCE_S, ROLE, WholeServer, arn, whole_server, zipped

SAYS = "def handler(event, context): return [{!r}, context.function_version, context.invoked_function_arn]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("deploy")) as server:
        yield server


@pytest.fixture(scope="module")
def functions(server: WholeServer) -> Any:
    return server.client("lambda")


def create(functions: Any, name: str, code: bytes | None = None, **more: Any) -> dict[str, Any]:
    return functions.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler",
        Code={"ZipFile": code or zipped(SAYS.format("one"))}, **more,
    )  # fmt: skip


def says(functions: Any, name: str, **more: Any) -> Any:
    told = functions.invoke(FunctionName=name, **more)
    return [*json.loads(told["Payload"].read()), told["ExecutedVersion"]]


def refused(call: Any, **request: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    found = caught.value.response
    error = found["Error"]
    return (found["ResponseMetadata"]["HTTPStatusCode"], error["Code"], found.get("message") or error["Message"])


def test_versions_and_aliases_run_what_they_say(functions: Any):
    name, itself = "story", arn("lambda", "function:story")
    created = create(functions, name, Publish=True, Description="first")
    functions.get_waiter("function_exists").wait(FunctionName=name)
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    functions.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1")
    assert (created["Version"], created["FunctionArn"], created["State"]) == ("1", itself, "Active")
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="d")

    updated = functions.update_function_code(FunctionName=name, ZipFile=zipped(SAYS.format("two")))
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert says(functions, name) == ["two", "$LATEST", itself, "$LATEST"]
    assert says(functions, name, Qualifier="1") == ["one", "1", f"{itself}:1", "1"]
    assert says(functions, f"{name}:live") == ["one", "1", f"{itself}:live", "1"]
    assert says(functions, f"{itself}:live") == ["one", "1", f"{itself}:live", "1"]

    published = functions.publish_version(
        FunctionName=name, CodeSha256=updated["CodeSha256"], RevisionId=updated["RevisionId"], Description="second"
    )
    assert (published["Version"], published["FunctionArn"]) == ("2", f"{itself}:2")
    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201
    moved = functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert says(functions, name, Qualifier="live") == ["two", "2", f"{itself}:live", "2"]
    assert functions.get_alias(FunctionName=name, Name="live")["RevisionId"] == moved["RevisionId"]
    assert moved["AliasArn"] == f"{itself}:live"

    versions = functions.get_paginator("list_versions_by_function")
    pages = versions.paginate(FunctionName=name, PaginationConfig={"PageSize": 1})
    found = [(v["Version"], v["FunctionArn"], v["Description"]) for page in pages for v in page["Versions"]]
    assert found == [
        ("$LATEST", f"{itself}:$LATEST", "first"), ("1", f"{itself}:1", "first"), ("2", f"{itself}:2", "second"),
    ]  # fmt: skip
    everything = functions.list_functions(FunctionVersion="ALL")["Functions"]
    assert [v["Version"] for v in everything if v["FunctionName"] == name] == ["$LATEST", "1", "2"]
    aliases = functions.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]
    assert [(a["Name"], a["Description"]) for a in aliases] == [("live", "d")]
    by_alias = functions.get_function_configuration(FunctionName=name, Qualifier="live")
    assert (by_alias["FunctionArn"], by_alias["Version"]) == (f"{itself}:live", "2")

    in_use = refused(functions.delete_function, FunctionName=name, Qualifier="2")
    assert in_use[:2] == (409, "ResourceConflictException")
    functions.delete_function(FunctionName=name, Qualifier="1")
    assert refused(functions.invoke, FunctionName=name, Qualifier="1") == (
        404, "ResourceNotFoundException", f"Function not found: {itself}:1",
    )  # fmt: skip
    functions.delete_alias(FunctionName=name, Name="live")
    functions.delete_function(FunctionName=name)
    assert refused(functions.invoke, FunctionName=name, Qualifier="2")[0] == 404


def test_what_versions_and_aliases_refuse(functions: Any):
    itself = arn("lambda", "function:refusing")
    create(functions, "refusing", Publish=True)
    functions.create_alias(FunctionName="refusing", Name="live", FunctionVersion="1")
    on = {"FunctionName": "refusing"}
    stale = (412, "PreconditionFailedException")
    assert refused(functions.publish_version, **on, RevisionId="no")[:2] == stale
    assert refused(functions.update_alias, **on, Name="live", FunctionVersion="1", RevisionId="no")[:2] == stale
    for change in ({"ZipFile": zipped("a = 1")}, {"Timeout": 4}):
        call = functions.update_function_code if "ZipFile" in change else functions.update_function_configuration
        assert refused(call, **on, **change, RevisionId="no")[:2] == stale
    assert refused(functions.create_alias, **on, Name="live", FunctionVersion="1") == (
        409, "ResourceConflictException", f"Alias already exists: {itself}:live",
    )  # fmt: skip
    assert refused(functions.create_alias, **on, Name="x", FunctionVersion="9") == (
        404, "ResourceNotFoundException", f"Function not found: {itself}:9",
    )  # fmt: skip
    assert refused(functions.get_alias, **on, Name="x") == (
        404, "ResourceNotFoundException", f"Cannot find alias arn: {itself}:x",
    )  # fmt: skip
    wrong = refused(functions.publish_version, **on, CodeSha256="no")
    assert wrong[:2] == (400, "InvalidParameterValueException") and "CodeSHA256 (no) is different" in wrong[2]
    assert "Member must satisfy" in refused(functions.create_alias, **on, Name="7", FunctionVersion="1")[2]
    functions.delete_function(**on)


def test_the_code_can_be_downloaded_as_it_was_uploaded(functions: Any, server: WholeServer):
    code, other = zipped(SAYS.format("mine")), zipped(SAYS.format("other"))
    created = create(functions, "kept", code, Publish=True)
    assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    dry = functions.update_function_code(FunctionName="kept", ZipFile=other, DryRun=True)
    assert dry["CodeSha256"] == base64.b64encode(hashlib.sha256(other).digest()).decode()
    found = functions.get_function(FunctionName="kept")
    assert found["Configuration"]["CodeSha256"] == created["CodeSha256"]
    location = found["Code"]["Location"]
    assert location.startswith(server.url)
    answer = httpx.get(location)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/zip", code)

    functions.update_function_code(FunctionName="kept", ZipFile=other)
    assert httpx.get(location).content == code
    assert httpx.get(functions.get_function(FunctionName="kept")["Code"]["Location"]).content == other
    version = functions.get_function(FunctionName="kept", Qualifier="1")
    assert httpx.get(version["Code"]["Location"]).content == code

    # Nothing but what was offered, and not to pages of the web.
    assert httpx.get(location[:-1] + ("0" if location[-1] != "0" else "1")).status_code == 403
    assert httpx.get(location.replace("Expires=", "Expires=1")).status_code == 403
    assert httpx.get(location.split("?")[0]).status_code == 403
    assert httpx.get(location.replace("kept", "story")).status_code == 403
    assert httpx.get(location, headers={"origin": "https://evil.example"}).status_code == 403
    assert httpx.get(location, headers={"host": "evil.example"}).status_code == 403
    assert httpx.post(location).status_code == 405
    functions.delete_function(FunctionName="kept")


def test_settings_hang_on_a_qualifier(functions: Any):
    name, itself = "settings", arn("lambda", "function:settings")
    create(functions, name, Publish=True, Architectures=["arm64"])
    assert functions.get_function_configuration(FunctionName=name)["Architectures"] == ["arm64"]
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    on = {"FunctionName": name, "Qualifier": "live"}

    put = functions.put_function_event_invoke_config(**on, MaximumRetryAttempts=1)
    assert put["FunctionArn"] == f"{itself}:live"
    functions.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    pages = functions.get_paginator("list_function_event_invoke_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}
    )
    both = [config for page in pages for config in page["FunctionEventInvokeConfigs"]]
    assert [config["FunctionArn"] for config in both] == [f"{itself}:$LATEST", f"{itself}:live"]
    updated = functions.update_function_event_invoke_config(**on, MaximumEventAgeInSeconds=90)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (1, 90)
    functions.delete_function_event_invoke_config(**on)
    assert refused(functions.get_function_event_invoke_config, **on)[2] == (
        f"The function {itself}:live doesn't have an EventInvokeConfig"
    )

    permit = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    functions.add_permission(**on, **permit)
    functions.add_permission(FunctionName=name, **permit)
    policy = functions.get_policy(**on)
    assert json.loads(policy["Policy"])["Statement"][0]["Resource"] == f"{itself}:live"
    other = json.loads(functions.get_policy(FunctionName=name)["Policy"])
    assert other["Statement"][0]["Resource"] == itself
    assert refused(functions.add_permission, **on, **{**permit, "StatementId": "t"}, RevisionId="no")[0] == 412
    functions.remove_permission(**on, StatementId="s", RevisionId=policy["RevisionId"])
    assert refused(functions.get_policy, **on)[:2] == (404, "ResourceNotFoundException")
    latest = refused(functions.add_permission, FunctionName=name, Qualifier="$LATEST", **permit)
    assert "policies for $LATEST" in latest[2]

    assert functions.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    assert functions.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    functions.tag_resource(Resource=itself, Tags={"a": "1", "b": "2"})
    functions.untag_resource(Resource=itself, TagKeys=["a"])
    assert functions.list_tags(Resource=itself)["Tags"] == {"b": "2"}
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    limits = functions.get_account_settings()["AccountLimit"]
    assert limits["ConcurrentExecutions"] == limits["UnreservedConcurrentExecutions"]
    throttled = refused(functions.invoke, **on)
    assert throttled[:2] == (429, "TooManyRequestsException")
    functions.delete_function_concurrency(FunctionName=name)
    assert says(functions, name, Qualifier="live")[0] == "one"
    functions.delete_function(FunctionName=name)


def test_events_for_an_alias_run_its_version_and_come_back_to_it(functions: Any, server: WholeServer):
    name, itself = "routed", arn("lambda", "function:routed")
    queues, events = server.client("sqs"), server.client("events")
    urls = {q: queues.create_queue(QueueName=q)["QueueUrl"] for q in ("routed-told", "routed-failed")}
    fails = "def handler(event, context): raise RuntimeError(context.function_version)"
    create(functions, name, zipped(fails), Publish=True)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    functions.update_function_code(FunctionName=name, ZipFile=zipped(SAYS.format("newer")))
    functions.put_function_event_invoke_config(
        FunctionName=name, Qualifier="live", MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn("sqs", "routed-told")},
                           "OnSuccess": {"Destination": arn("sqs", "routed-told")}},
    )  # fmt: skip
    events.put_rule(Name="routed", EventPattern='{"source":["routed"]}')
    put = events.put_targets(Rule="routed", Targets=[{"Id": "1", "Arn": f"{itself}:live"}])
    assert put["FailedEntryCount"] == 0
    events.put_events(Entries=[{"Source": "routed", "DetailType": "t", "Detail": "{}"}])
    record = told(queues, urls["routed-told"])
    assert record["requestContext"]["functionArn"] == f"{itself}:live"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "1"
    # The alias moves; what comes now runs the other version.
    functions.publish_version(FunctionName=name)
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    functions.invoke(FunctionName=name, Qualifier="live", InvocationType="Event")
    assert told(queues, urls["routed-told"])["responsePayload"] == ["newer", "2", f"{itself}:live"]
    assert refused(functions.invoke, FunctionName=f"{name}:gone", InvocationType="Event")[2] == (
        f"Function not found: {itself}:gone"
    )
    functions.delete_function(FunctionName=name)


def test_a_dead_letter_of_an_alias_goes_back_to_the_alias(functions: Any, server: WholeServer):
    name, queues = "mended", server.client("sqs")
    urls = {q: queues.create_queue(QueueName=q)["QueueUrl"] for q in ("mended-failed", "mended-told")}
    create(
        functions, name, zipped("def handler(event, context): raise RuntimeError('no')"), Publish=True,
        DeadLetterConfig={"TargetArn": arn("sqs", "mended-failed")},
    )  # fmt: skip
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    functions.put_function_event_invoke_config(
        FunctionName=name, Qualifier="live", MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": {"Destination": arn("sqs", "mended-told")}},
    )  # fmt: skip
    functions.invoke(FunctionName=name, Qualifier="live", InvocationType="Event", Payload=b'"the event"')
    letter = dead_letter(queues, urls["mended-failed"])
    assert letter["Body"] == '"the event"'
    mended = zipped("def handler(event, context): return [event, context.function_version]")
    functions.update_function_code(FunctionName=name, ZipFile=mended, Publish=True)
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    queues.change_message_visibility(
        QueueUrl=urls["mended-failed"], ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0
    )
    assert server.busway("redrive", "mended")["redriven"] == 1
    record = told(queues, urls["mended-told"])
    assert record["requestContext"]["functionArn"] == arn("lambda", "function:mended:live")
    assert record["responsePayload"] == ["the event", "2"]
    functions.delete_function(FunctionName=name)


def told(queues: Any, url: str) -> Any:
    (message,) = queues.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return json.loads(message["Body"])


LOOP = """
    import json, boto3
    def handler(event, context):
        again = json.dumps({"n": event["n"] + 1})
        boto3.client("lambda").invoke(FunctionName=context.function_name, InvocationType="Event", Payload=again)
"""


def test_a_function_that_invokes_itself_is_stopped(functions: Any, server: WholeServer):
    """Sixteen passes, then a dead letter; every one of them carries the way so far in its trace header."""
    queues = server.client("sqs")
    url = queues.create_queue(QueueName="loop-failed")["QueueUrl"]
    create(
        functions, "loop", zipped(LOOP), Timeout=60,
        DeadLetterConfig={"TargetArn": arn("sqs", "loop-failed")},
    )  # fmt: skip
    functions.invoke(FunctionName="loop", InvocationType="Event", Payload=b'{"n": 1}')
    message = dead_letter(queues, url)
    assert json.loads(message["Body"]) == {"n": 17}
    assert "by way of its own events" in message["MessageAttributes"]["ErrorMessage"]["StringValue"]
    metrics = httpx.get(f"{server.url}/metrics").text
    (dropped,) = [row for row in metrics.splitlines() if "ecursive" in row and not row.startswith("#")]
    assert float(dropped.split()[-1]) == 1
    functions.delete_function(FunctionName="loop")


BUS_LOOP = """
    import json, boto3
    def handler(event, context):
        detail = json.dumps({"n": event["detail"]["n"] + 1})
        entry = {"Source": "circle", "DetailType": "t", "Detail": detail}
        boto3.client("events").put_events(Entries=[entry])
"""


def test_a_loop_over_a_bus_is_stopped_and_can_be_redriven(functions: Any, server: WholeServer):
    queues, events = server.client("sqs"), server.client("events")
    url = queues.create_queue(QueueName="circle-failed")["QueueUrl"]
    created = create(
        functions, "circle", zipped(BUS_LOOP), Timeout=60, DeadLetterConfig={"TargetArn": arn("sqs", "circle-failed")}
    )
    events.put_rule(Name="circle", EventPattern='{"source":["circle"]}')
    events.put_targets(Rule="circle", Targets=[{"Id": "1", "Arn": created["FunctionArn"]}])
    events.put_events(Entries=[{"Source": "circle", "DetailType": "t", "Detail": '{"n": 1}'}])
    letter = dead_letter(queues, url)
    event = json.loads(letter["Body"])
    assert event["detail"] == {"n": 17}
    # Sent again on purpose it may go round sixteen times more.
    queues.change_message_visibility(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0)
    assert server.busway("redrive", "--id", event["id"])["redriven"] == 1
    assert json.loads(dead_letter(queues, url)["Body"])["detail"] == {"n": 33}
    functions.delete_function(FunctionName="circle")


def dead_letter(queues: Any, url: str) -> Any:
    for _ in range(PATIENCE_S // 20):
        received = queues.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"])
        if received.get("Messages"):
            return received["Messages"][0]
    raise AssertionError("no dead letter arrived")


@pytest.mark.parametrize(
    ("call", "request_", "named"),
    [
        ("publish_layer_version", {"LayerName": "l", "Content": {"ZipFile": b"x"}}, "PublishLayerVersion"),
        ("list_layers", {}, "ListLayers"),
        ("create_code_signing_config", {"AllowedPublishers": {"SigningProfileVersionArns": [
            "arn:aws:signer:us-east-1:123456789012:/signing-profiles/p/abcdefghij"]}}, "CreateCodeSigningConfig"),
        ("put_provisioned_concurrency_config",
         {"FunctionName": "later", "Qualifier": "1", "ProvisionedConcurrentExecutions": 1},
         "PutProvisionedConcurrencyConfig"),
        ("invoke_with_response_stream", {"FunctionName": "later"}, "InvokeWithResponseStream"),
    ],
)  # fmt: skip
def test_an_operation_of_later_says_that_it_is_not_there(
    functions: Any, call: str, request_: dict[str, Any], named: str
):
    status, code, message = refused(getattr(functions, call), **request_)
    assert (status, code) == (501, "UnsupportedOperationException")
    assert f"lambda {named} is not implemented by Busway" in message


def test_a_member_of_later_is_refused_by_name(functions: Any):
    layer = arn("lambda", "layer:l:1")
    signing = arn("lambda", "code-signing-config:csc-0123456789abcdef0")
    for member in ({"Layers": [layer]}, {"CodeSigningConfigArn": signing}):
        found = refused(lambda **more: create(functions, "later", **more), **member)
        assert found[:2] == (400, "InvalidParameterValueException") and next(iter(member)) in found[2]
    create(functions, "later", Publish=True)
    weights = {"AdditionalVersionWeights": {"1": 0.5}}
    found = refused(
        functions.create_alias, FunctionName="later", Name="a", FunctionVersion="1", RoutingConfig=weights
    )
    assert found[:2] == (400, "InvalidParameterValueException") and "weighted aliases" in found[2]
    found = refused(
        functions.create_function_url_config, FunctionName="later", AuthType="NONE", InvokeMode="RESPONSE_STREAM"
    )
    assert found[:2] == (400, "InvalidParameterValueException") and "RESPONSE_STREAM" in found[2]
    functions.delete_function(FunctionName="later")


def test_the_code_of_a_folder_is_zipped_when_it_is_asked_for(tmp_path: Any):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(SAYS.format("folder"))
    with whole_server(tmp_path, access_keys="") as server:
        functions = server.client("lambda")
        functions.create_function(
            FunctionName="folder", Runtime="python3.12", Role=ROLE, Handler="app.handler",
            Code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path / "code")},
        )  # fmt: skip
        answer = httpx.get(functions.get_function(FunctionName="folder")["Code"]["Location"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {"app.py": SAYS.format("folder")}
