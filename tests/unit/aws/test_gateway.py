"""Requests through the whole door, without a socket."""

from __future__ import annotations

import gzip
import logging
import subprocess
import sys
from typing import Any

import cbor2
import pytest

from busway.aws.bodies import inflate
from busway.aws.errors import AwsError
from busway.aws.gate import Gate
from busway.aws.gateway import Gateway
from busway.aws.routes import Routes
from busway.aws.service import BODY_MAX
from busway.clock import SeededEntropy, SystemClock

TRACE = f"Root=1-7bf73129-{'a' * 24}"


async def test_a_raw_operation_answers_with_its_bytes(door: Any):
    answer = await door.json("AWSEvents.PutEvents", {"Entries": []})
    assert answer.json["Entries"] == [{"EventId": "fast"}]
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(answer.headers["x-amzn-requestid"]) == 36


async def test_a_raw_operation_that_gives_up_is_followed_by_the_generic_one(door: Any):
    entry = {"Source": "slow", "Time": 1.5, "Unknown": 1, "Detail": None}
    answer = await door.json("AWSEvents.PutEvents", {"Entries": [entry]})
    assert answer.json["Entries"] == [{"EventId": "slow"}]
    assert door.events.asked[0][0] == {"Entries": [{"Source": "slow", "Time": 1.5}]}


async def test_an_error_of_a_raw_operation_is_worded_too(door: Any):
    answer = await door.json("AWSEvents.PutEvents", {"Entries": ["full"]})
    assert (answer.status, answer.json["__type"]) == (503, "ServiceUnavailable")


async def test_a_result_is_written_from_the_model_without_what_is_none_or_unknown(door: Any):
    answer = await door.json("AWSEvents.PutRule", {"Name": "r"})
    assert answer.json == {"RuleArn": "arn:aws:events:eu-west-1:000000000000:rule/r"}
    answer = await door.json("AWSEvents.ListRules", b"")
    assert answer.json == {"Rules": [{"Name": "a"}]}


async def test_the_caller_knows_the_request(door: Any):
    headers = {"X-Amzn-Trace-Id": TRACE, "User-Agent": "sdk/1"}
    answer = await door.json("AWSEvents.PutRule", {"Name": "r"}, headers=headers)
    caller = door.events.asked[0][1]
    assert caller.endpoint == "http://localhost:4566"
    assert caller.trace_header == TRACE
    assert caller.headers.get("USER-agent") == "sdk/1" and "nothing" not in caller.headers
    assert caller.request_id == answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize(
    ("name", "status", "code", "message"),
    [
        ("full", 503, "ServiceUnavailable", "the disk is full"),
        (
            "pattern",
            400,
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: Filter is not an object",
        ),
        ("missing", 400, "ResourceNotFoundException", "Rule missing does not exist."),
    ],
)
async def test_errors_are_told_in_aws_codes(door: Any, name: str, status: int, code: str, message: str):
    answer = await door.json("AWSEvents.PutRule", {"Name": name})
    assert (answer.status, answer.json) == (status, {"__type": code, "message": message})


async def test_a_fault_of_ours_is_logged_once_and_leaks_nothing(door: Any, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR):
        answer = await door.json("AWSEvents.PutRule", {"Name": "bug"})
    assert (answer.status, answer.json["__type"]) == (500, "InternalFailure")
    assert "secret" not in answer.body.decode() and answer.headers["x-amzn-requestid"] in answer.json["message"]
    assert len(caplog.records) == 1 and "secret" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'"x"', b"1", b"null", b'{"Name":5}', b'{"Name":["r"]}', b'{"Name":{}}', b'{"Name":true}',
        b'{"Name":"\xff"}', b'{"Name":"\\ud800"}', b'{"Name":NaN}', b"[" * 200_000, b'{"a":' * 200_000,
        b"\xef\xbb\xbf{}",
        b'{"Name":"r","Tags":{}}', b'{"Name":"r","Tags":[1]}', b'{"Name":1e999}', b'{"Name":"r"} x', b"\x00",
    ],
)  # fmt: skip
async def test_a_body_of_the_wrong_form_is_a_serialization_error(door: Any, body: bytes):
    answer = await door.json("AWSEvents.PutRule", body)
    assert (answer.status, answer.json["__type"]) == (400, "SerializationException")
    assert not door.events.asked


@pytest.mark.parametrize("time", [b"1e300", b"9" * 400, b"-99999999999999", b'"yesterday"', b"true", b"[]"])
async def test_a_time_that_is_none_is_a_serialization_error(door: Any, time: bytes):
    answer = await door.json("AWSEvents.PutEvents", b'{"Entries":[{"Source":"slow","Time":%b}]}' % time)
    assert (answer.status, answer.json["__type"]) == (400, "SerializationException")


async def test_a_constraint_is_worded_as_aws_does(door: Any):
    answer = await door.json("AWSEvents.PutRule", {"State": "ON"})
    assert answer.json["__type"] == "ValidationException"
    assert answer.json["message"].startswith("2 validation errors detected: Value null at 'name' failed")


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("AWSEvents.DeleteRule", 501, "UnsupportedOperationException"),
        ("AWSEvents.Nonsense", 400, "UnknownOperationException"),
        ("AWSEvents.", 400, "UnknownOperationException"),
        ("AWSEvents", 400, "UnknownOperationException"),
        ("Nobody.PutRule", 400, "UnknownOperationException"),
        ("\xff.\xfe", 400, "UnknownOperationException"),
        (".", 400, "UnknownOperationException"),
    ],
)
async def test_operations_that_are_not_here_are_named(door: Any, target: str, status: int, code: str):
    answer = await door.json(target, {})
    assert (answer.status, answer.json["__type"]) == (status, code)
    assert target.rpartition(".")[2] in answer.json["message"]


async def test_sqs_errors_carry_their_old_query_code(door: Any):
    answer = await door.json("AmazonSQS.GetQueueUrl", {"QueueName": "q"}, service="sqs")
    assert answer.json == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist",
        "message": "The specified queue does not exist.",
    }
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    missing = await door.json("AmazonSQS.SendMessage", {"QueueUrl": "u"}, service="sqs")
    assert missing.headers["x-amzn-query-error"] == "MissingParameter;Sender"
    assert missing.json["message"] == "The request must contain the parameter MessageBody."


async def test_invoke_reads_path_query_headers_and_payload(door: Any):
    answer = await door.ask(
        path="/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af/invocations?Qualifier=1",
        body=b'{"a": 1}',
        headers={"X-Amz-Invocation-Type": "Event"},
        service="lambda",
    )
    assert door.functions.asked == [
        {
            "FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f",
            "Qualifier": "1",
            "InvocationType": "Event",
            "Payload": b'{"a": 1}',
        }
    ]
    assert (answer.status, answer.body) == (202, b'{"a": 1}')


async def test_a_header_of_a_result_cannot_end_its_line(door: Any):
    answer = await door.ask(path="/2015-03-31/functions/f/invocations", body=b"", service="lambda")
    assert answer.headers["x-amz-log-result"] == "line Injected: 1"
    assert (answer.status, answer.body) == (200, b"")


async def test_typed_members_of_a_query_are_read(door: Any):
    await door.ask("GET", "/2015-03-31/functions/?MaxItems=5&Marker=a%2Bb+c", b"", service="lambda")
    assert door.functions.asked == [{"MaxItems": 5, "Marker": "a+b+c"}]


@pytest.mark.parametrize("query", ["MaxItems=x", "MaxItems=1.5", "MaxItems=99999999999", "MaxItems=", "Marker=%ff"])
async def test_a_query_of_the_wrong_type_is_a_serialization_error(door: Any, query: str):
    answer = await door.ask("GET", f"/2015-03-31/functions?{query}", b"", service="lambda")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "SerializationException")


async def test_rest_errors_have_the_models_members_headers_and_status(door: Any):
    answer = await door.ask(path="/2015-03-31/functions/busy/invocations", service="lambda")
    assert answer.status == 429
    assert answer.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert answer.headers["retry-after"] == "3"
    assert answer.json == {"message": "Rate Exceeded.", "Reason": "CallerRateLimitExceeded", "Type": "User"}
    answer = await door.ask("GET", "/2015-03-31/functions/x", b"", service="lambda")
    assert (answer.status, answer.json) == (404, {"Message": "Function not found: x", "Type": "User"})


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("DELETE", "/2015-03-31/functions/f", 501, "UnsupportedOperationException"),
        ("PATCH", "/2015-03-31/functions/f", 404, "UnknownOperationException"),
        ("GET", "/", 404, "UnknownOperationException"),
        ("GET", "/nothing", 404, "UnknownOperationException"),
        ("POST", "/2015-03-31/functions//invocations", 404, "UnknownOperationException"),
        ("POST", "/2015-03-31/functions/%ff/invocations", 400, "SerializationException"),
    ],
)
async def test_paths_that_are_not_here_are_refused(door: Any, method: str, path: str, status: int, code: str):
    answer = await door.ask(method, path, b"", service="lambda")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)


async def test_get_caller_identity_answers_in_xml(door: Any):
    answer = await door.ask(
        body=b"Action=GetCallerIdentity&Version=2011-06-15",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        service="sts",
        key="123456789012",
    )
    assert answer.headers["content-type"] == "text/xml"
    assert b"<Arn>arn:aws:iam::123456789012:root</Arn>" in answer.body
    assert answer.headers["x-amzn-requestid"].encode() in answer.body


@pytest.mark.parametrize(
    ("service", "body", "status", "code"),
    [
        ("sts", b"Action=AssumeRole", 501, b"UnsupportedOperationException"),
        ("sts", b"Action=%3Cscript%3E", 400, b"InvalidAction"),
        ("sts", b"\xff\xfe&&&=", 400, b"InvalidAction"),
        ("sqs", b"Action=ListQueues", 501, b"UnsupportedOperationException"),
        ("lambda", b"Action=ListFunctions", 501, b"UnsupportedOperationException"),
        ("nobody", b"Action=X", 501, b"UnsupportedOperationException"),
    ],
)
async def test_forms_that_are_not_served_are_refused_in_xml(
    door: Any, service: str, body: bytes, status: int, code: bytes
):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await door.ask(body=body, headers=form, service=service)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/xml")
    assert b"<Code>%b</Code>" % code in answer.body
    assert b"<script>" not in answer.body


async def test_what_curl_sends_to_a_rest_path_is_no_form(door: Any):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/2015-03-31/functions/f/invocations"
    answer = await door.ask(path=path, body=b'{"a":1}', headers=form, service="lambda")
    assert answer.status == 200 and b'{"a":1}' in answer.body
    answer = await door.ask(path=path + "/no", headers=form, service="lambda")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")


async def test_cbor_is_refused_in_cbor(door: Any):
    answer = await door.ask(
        path="/service/AWSEventsV2/operation/ListEventBuses", body=b"\xa0", headers={"smithy-protocol": "rpc-v2-cbor"}
    )
    assert answer.status == 501
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
    assert cbor2.loads(answer.body)["__type"] == "UnsupportedOperationException"


async def test_a_body_in_pieces_is_put_together(door: Any):
    answer = await door.json("AWSEvents.PutRule", {"Name": "r", "Description": "d" * 400}, chunks=7)
    assert answer.status == 200
    assert door.events.asked[0][0]["Description"] == "d" * 400


async def test_a_body_over_the_limit_is_refused_before_it_is_kept(door: Any):
    announced = await door.json("AWSEvents.PutRule", {"Name": "r"}, headers={"Content-Length": str(BODY_MAX + 1)})
    pieces = await door.json("AWSEvents.PutRule", b"x" * (BODY_MAX + 1), chunks=9)
    for answer in (announced, pieces):
        assert (answer.status, answer.json["__type"]) == (413, "RequestEntityTooLargeException")
        assert str(BODY_MAX) in answer.json["message"]
    own_limit = await door.ask(path="/2015-03-31/functions/f/invocations", body=b"x" * 1_000_001, service="lambda")
    assert own_limit.status == 413
    endless = await door.json("AWSEvents.PutRule", b"", headers={"Content-Length": "9" * 30})
    assert (endless.status, endless.headers["connection"]) == (413, "close")


async def test_a_client_that_goes_away_is_not_answered(door: Any):
    sent: list[Any] = []

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    signature = b"SignedHeaders=host, Signature=" + b"0" * 64
    authorization = b"AWS4-HMAC-SHA256 Credential=a/20260101/r/events/aws4_request, " + signature
    headers = [(b"host", b"localhost"), (b"authorization", authorization)]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
    }
    await door.gateway(scope, gone, send)
    assert sent == []


async def test_a_compressed_body_is_unpacked_up_to_the_limit(door: Any):
    small = gzip.compress(b'{"Name":"r"}')
    gzipped = {"Content-Encoding": "gzip"}
    assert (await door.json("AWSEvents.PutRule", small, headers=gzipped)).status == 200
    bomb = gzip.compress(b" " * (BODY_MAX * 8))
    assert (await door.json("AWSEvents.PutRule", bomb, headers=gzipped)).status == 413
    for broken in (b"nonsense", small[:-4], small + b"x"):
        assert (await door.json("AWSEvents.PutRule", broken, headers=gzipped)).json[
            "__type"
        ] == "SerializationException"
    answer = await door.json("AWSEvents.PutRule", small, headers={"Content-Encoding": "br"})
    assert "wanted gzip" in answer.json["message"]


def test_an_unknown_encoding_is_not_guessed():
    assert inflate(b"x", b"identity", 5) == b"x"
    with pytest.raises(AwsError):
        inflate(b"x", b"deflate", 5)


async def test_own_paths_get_the_caller_and_the_verified_body(door: Any):
    answer = await door.ask("POST", "/_busway/redrive?x=1", b'{"a":1}', service="busway")
    assert answer.body == b"own"
    assert door.owned[0]["caller"].access_key == "AKIDEXAMPLE"
    assert door.owned[0]["message"] == {"type": "http.request", "body": b'{"a":1}', "more_body": False}


async def test_a_fault_of_an_own_handler_leaks_nothing(door: Any, caplog: pytest.LogCaptureFixture):
    answer = await door.ask("GET", "/_busway/bug", b"", service="busway")
    assert (answer.status, answer.json["__type"]) == (500, "InternalFailure")
    assert "secret" not in answer.body.decode() and "secret" in caplog.text


class Misnamed:
    name = "events"

    def __init__(self, operations: list[str], raw: list[str]) -> None:
        self.operations: Any = dict.fromkeys(operations, self.nothing)
        self.raw: Any = dict.fromkeys(raw, self.nothing)

    async def nothing(self, request: Any, caller: Any) -> Any:
        return {}


@pytest.mark.parametrize(("operations", "raw"), [(["PutRules"], []), (["PutRule"], ["PutEvents"])])
def test_a_service_with_operations_that_aws_does_not_have_does_not_start(operations: list[str], raw: list[str]):
    with pytest.raises(ValueError, match="service events"):
        Routes([Misnamed(operations, raw)])


def test_a_service_without_a_model_does_not_start():
    service = Misnamed([], [])
    service.name = "nobody"
    with pytest.raises(LookupError, match="nobody"):
        Gateway([service], Gate(SystemClock()), SystemClock(), SeededEntropy(1))


def test_the_door_does_not_import_botocore():
    """Importing it costs a fifth of a second at start; its models are read as data."""
    code = "import sys, busway.aws.gateway, busway.aws.server_http; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
