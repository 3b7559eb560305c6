"""An unmodified boto3 script against `busway serve`: from nothing to a redriven dead letter, of both kinds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .whole_server import (
    ACCOUNT,
    REGION,
    ROLE,
    WholeServer,
    arn,
    attributes_of,
    message_of,
    names_of,
    whole_server,
    zipped,
)

# Fails until its switch says otherwise, so that a redriven event succeeds.
HANDLER = """
    import json, os, boto3
    def handler(event, context):
        if os.environ["SWITCH"] == "broken":
            raise ValueError("the printer is on fire")
        boto3.client("sqs").send_message(QueueUrl=os.environ["OUT"], MessageBody=json.dumps(event))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def events(served: WholeServer) -> Iterator[Any]:
    client = served.client("events")
    yield client
    client.close()


@pytest.fixture(scope="module")
def sqs(served: WholeServer) -> Iterator[Any]:
    client = served.client("sqs")
    yield client
    client.close()


@pytest.fixture(scope="module")
def functions(served: WholeServer) -> Iterator[Any]:
    client = served.client("lambda")
    yield client
    client.close()


@pytest.fixture
def receive(sqs: Any) -> Callable[[str], dict[str, Any]]:
    def receive(url: str) -> dict[str, Any]:
        """Take the next message off a queue, waiting for it."""
        message = message_of(
            sqs.receive_message(
                QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
            )
        )
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    return receive


def queue(sqs: Any, name: str) -> tuple[str, str]:
    """(URL, ARN) of a new queue."""
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def create(functions: Any, name: str, source: str, **more: Any) -> str:
    made = functions.create_function(
        FunctionName=name, Runtime="python3.13", Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(source)},
        **more,
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    return made["FunctionArn"]


def put(events: Any, detail_type: str, detail: str = "{}", bus: str = "default") -> str:
    """The id of an event that was accepted."""
    answer = events.put_events(
        Entries=[{"Source": "shop", "DetailType": detail_type, "Detail": detail, "EventBusName": bus}]
    )
    assert answer["FailedEntryCount"] == 0
    return answer["Entries"][0]["EventId"]


def test_a_rule_s_target_that_is_gone_leaves_a_dead_letter_and_takes_it_back_when_redriven(
    served: WholeServer, events: Any, sqs: Any, receive: Callable[[str], Any]
):
    url, target = queue(sqs, "orders")
    dead_url, dead = queue(sqs, "orders-dead")
    events.create_event_bus(Name="shop")
    rule = events.put_rule(Name="orders", EventBusName="shop", EventPattern='{"detail-type":["Ordered"]}')["RuleArn"]
    wanted = {"Id": "q", "Arn": target, "DeadLetterConfig": {"Arn": dead}, "RetryPolicy": {"MaximumRetryAttempts": 3}}
    assert events.put_targets(Rule="orders", EventBusName="shop", Targets=[wanted])["FailedEntryCount"] == 0
    put(events, "Ordered", '{"n": 1}', "shop")
    body = receive(url)["Body"]
    assert body.endswith('"resources":[],"detail":{"n":1}}')

    sqs.delete_queue(QueueUrl=url)
    event_id = put(events, "Ordered", '{"n": 2}', "shop")
    seen = message_of(sqs.receive_message(QueueUrl=dead_url, WaitTimeSeconds=20, MessageAttributeNames=["All"]))
    told = attributes_of(seen)
    assert told.pop("ERROR_MESSAGE")[0] == "String"
    # A permanent failure was not retried, so nothing says that retries ran out.
    assert told == {
        "RULE_ARN": ("String", rule), "TARGET_ARN": ("String", target), "ERROR_CODE": ("String", "NO_RESOURCE"),
    }  # fmt: skip
    assert json.loads(seen["Body"])["id"] == event_id and json.loads(seen["Body"])["detail"] == {"n": 2}
    sqs.change_message_visibility(QueueUrl=dead_url, ReceiptHandle=seen["ReceiptHandle"], VisibilityTimeout=0)

    (listed,) = served.busway("dlq", "--queue", "orders-dead")["items"]
    assert (listed["kind"], listed["error_code"], listed["event_id"]) == ("rule-target", "NO_RESOURCE", event_id)
    url, _ = queue(sqs, "orders")
    assert served.busway("redrive", "--queue", "orders-dead")["redriven"] == 1
    assert receive(url)["Body"] == seen["Body"]
    assert "Messages" not in sqs.receive_message(QueueUrl=dead_url)


def test_a_function_that_fails_leaves_a_dead_letter_and_handles_it_when_redriven(
    served: WholeServer, events: Any, sqs: Any, functions: Any, receive: Callable[[str], Any]
):
    out, _ = queue(sqs, "printed")
    dead_url, dead = queue(sqs, "printer-dead")
    variables = {"SWITCH": "broken", "OUT": out}
    function = create(
        functions, "printer", HANDLER, DeadLetterConfig={"TargetArn": dead}, Environment={"Variables": variables}
    )
    events.put_rule(Name="print", EventPattern='{"detail-type":["Print"]}')
    events.put_targets(Rule="print", Targets=[{"Id": "f", "Arn": function}])
    event_id = put(events, "Print", '{"page": 1}')
    seen = message_of(sqs.receive_message(QueueUrl=dead_url, WaitTimeSeconds=20, MessageAttributeNames=["All"]))
    told = attributes_of(seen)
    request_id = told.pop("RequestID")
    assert request_id[0] == "String" and len(request_id[1]) == 36
    assert told == {"ErrorCode": ("Number", "200"), "ErrorMessage": ("String", "the printer is on fire")}
    assert json.loads(seen["Body"])["id"] == event_id
    sqs.change_message_visibility(QueueUrl=dead_url, ReceiptHandle=seen["ReceiptHandle"], VisibilityTimeout=0)

    functions.update_function_configuration(
        FunctionName="printer", Environment={"Variables": {**variables, "SWITCH": "mended"}}
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName="printer")
    (listed,) = served.busway("dlq", "printer")["items"]
    assert (listed["kind"], listed["error_code"], listed["attempts"]) == ("function", "ValueError", 3)
    assert served.busway("redrive", "printer")["redriven"] == 1
    assert receive(out)["Body"] == json.dumps(json.loads(seen["Body"]))
    assert "Messages" not in sqs.receive_message(QueueUrl=dead_url)


def test_an_event_goes_over_a_second_bus_and_is_transformed(
    events: Any, sqs: Any, receive: Callable[[str], dict[str, Any]]
):
    plain_url, plain = queue(sqs, "plain")
    shaped_url, shaped = queue(sqs, "shaped")
    second = events.create_event_bus(Name="second")["EventBusArn"]
    events.put_rule(Name="on", EventPattern='{"detail-type":["Hop"]}')
    events.put_targets(Rule="on", Targets=[{"Id": "b", "Arn": second, "RoleArn": ROLE}])
    events.put_rule(Name="end", EventBusName="second", EventPattern='{"source":["shop"]}')
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"n":<n>,"rule":"<aws.events.rule-name>"}'}
    targets = [{"Id": "p", "Arn": plain}, {"Id": "s", "Arn": shaped, "InputTransformer": transformer}]
    events.put_targets(Rule="end", EventBusName="second", Targets=targets)
    event_id = put(events, "Hop", '{"n":[1.0]}')
    envelope = json.loads(receive(plain_url)["Body"])
    assert list(envelope) == [
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    ]  # fmt: skip
    assert (envelope["id"], envelope["account"], envelope["region"]) == (event_id, ACCOUNT, REGION)
    assert receive(shaped_url)["Body"] == '{"n":[1.0],"rule":"end"}'


def test_paginators_walk_every_page(events: Any, sqs: Any, functions: Any):
    names = [f"page-{n}" for n in range(3)]
    for name in names:
        events.create_event_bus(Name=name)
        events.put_rule(Name=name, EventPattern='{"source":["none"]}', EventBusName=names[0])
        sqs.create_queue(QueueName=name)
        functions.create_function(
            FunctionName=name, Runtime="python3.13", Role=ROLE, Handler="app.handler",
            Code={"ZipFile": zipped("def handler(event, context): return event")},
        )  # fmt: skip
    wide = {"PageSize": 1}

    def pages(client: Any, operation: str, **members: Any) -> list[Any]:
        return list(client.get_paginator(operation).paginate(PaginationConfig=wide, **members))

    rules = pages(events, "list_rules", EventBusName=names[0])
    assert len(rules) >= 3 and names_of(rules, "Rules", "Name") == names
    queues = pages(sqs, "list_queues", QueueNamePrefix="page-")
    assert [url.rsplit("/", 1)[1] for page in queues for url in page.get("QueueUrls", [])] == names
    assert set(names) <= set(names_of(pages(functions, "list_functions"), "Functions", "FunctionName"))
    # There is no paginator of buses in the SDK: what it would do is done by hand.
    assert not events.can_paginate("list_event_buses")
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = events.list_event_buses(NamePrefix="page-", Limit=1, **token)
        found += [bus["Name"] for bus in page["EventBuses"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == names


@pytest.mark.parametrize(
    ("client", "operation", "members", "error", "code"),
    [
        ("events", "describe_rule", {"Name": "no"}, "ResourceNotFoundException", "ResourceNotFoundException"),
        ("events", "create_event_bus", {"Name": "default"}, "ResourceAlreadyExistsException",
         "ResourceAlreadyExistsException"),
        ("events", "put_rule", {"Name": "x", "EventPattern": '{"a":1}'}, "InvalidEventPatternException",
         "InvalidEventPatternException"),
        ("sqs", "send_message", {"QueueUrl": f"http://x/{ACCOUNT}/no", "MessageBody": "b"}, "QueueDoesNotExist",
         "AWS.SimpleQueueService.NonExistentQueue"),
        ("sqs", "send_message_batch", {"QueueUrl": "made", "Entries": []}, "EmptyBatchRequest",
         "AWS.SimpleQueueService.EmptyBatchRequest"),
        ("sqs", "delete_message", {"QueueUrl": "made", "ReceiptHandle": "?"}, "ReceiptHandleIsInvalid",
         "ReceiptHandleIsInvalid"),
        ("functions", "invoke", {"FunctionName": "no"}, "ResourceNotFoundException", "ResourceNotFoundException"),
        ("functions", "create_function", {}, "InvalidParameterValueException", "InvalidParameterValueException"),
        ("functions", "invoke", {"FunctionName": "f", "Payload": b"{"}, "InvalidRequestContentException",
         "InvalidRequestContentException"),
    ],
)  # fmt: skip
def test_errors_are_caught_by_their_classes(
    request: pytest.FixtureRequest, sqs: Any, client: str, operation: str, members: dict, error: str, code: str
):
    asked = request.getfixturevalue(client)
    if members.get("QueueUrl") == "made":
        members = {**members, "QueueUrl": sqs.create_queue(QueueName="made")["QueueUrl"]}
    if operation == "create_function":
        members = {"FunctionName": "f", "Role": ROLE, "Runtime": "python3.13", "Handler": "a.b",
                   "Code": {"ZipFile": b"no zip"}}  # fmt: skip
    if members.get("FunctionName") == "f" and operation == "invoke":
        create(asked, "f", "def handler(event, context): return event")
    with pytest.raises(getattr(asked.exceptions, error)) as caught:
        getattr(asked, operation)(**members)
    assert isinstance(caught.value, ClientError)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["RequestId"]


def test_what_a_handler_prints_and_logs_and_is_told_comes_back_with_the_tail(functions: Any):
    source = """
        import logging, os, sys
        logger = logging.getLogger("shop")
        logger.setLevel(logging.INFO)
        def handler(event, context):
            print("printed")
            print("to stderr", file=sys.stderr)
            logger.info("logged %s", event["n"])
            logging.getLogger().warning("by the root")
            logger.debug("too quiet")
            return {
                "name": context.function_name, "version": context.function_version,
                "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
                "request": context.aws_request_id, "group": context.log_group_name,
                "stream": context.log_stream_name, "left": context.get_remaining_time_in_millis(),
                "client": context.client_context.custom, "identity": context.identity.cognito_identity_id,
                "greeting": os.environ["GREETING"], "level": os.environ["POWERTOOLS_LOG_LEVEL"],
                "region": os.environ["AWS_REGION"], "task": os.environ["LAMBDA_TASK_ROOT"] in sys.path,
            }
    """
    variables = {"GREETING": "hällo", "POWERTOOLS_LOG_LEVEL": "INFO"}
    function = create(functions, "habits", source, MemorySize=256, Timeout=20, Environment={"Variables": variables})
    context = base64.b64encode(b'{"custom":{"who":"me"}}').decode()
    answer = functions.invoke(FunctionName="habits", LogType="Tail", ClientContext=context, Payload=b'{"n":7}')
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST") and "FunctionError" not in answer
    told = json.loads(answer["Payload"].read())
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert 0 < told.pop("left") <= 20_000
    assert told.pop("stream") and told.pop("request") == request_id
    assert told == {
        "name": "habits", "version": "$LATEST", "arn": function, "memory": "256", "group": "/aws/lambda/habits",
        "client": {"who": "me"}, "identity": None, "greeting": "hällo", "level": "INFO", "region": REGION,
        "task": True,
    }  # fmt: skip
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert lines[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert "printed" in lines and "to stderr" in lines
    # AWS's own format of the root logger: level, time, request id, text, between tabs.
    logged = [line.split("\t") for line in lines if "\t" in line and line.startswith("[")]
    assert [(level, of, text) for level, _, of, text in logged] == [
        ("[INFO]", request_id, "logged 7"),
        ("[WARNING]", request_id, "by the root"),
    ]
    assert not any("too quiet" in line for line in lines)
    assert lines[-2] == f"END RequestId: {request_id}"
    assert lines[-1].startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    assert arn("lambda", "function:habits") == function
