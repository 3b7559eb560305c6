"""Services that are not here: an error that names them, in their own clients' form."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import cbor2
import pytest

from busway.aws.gate import AccessKey, Keys

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def texts(body: bytes) -> dict[str, str]:
    return {element.tag.rpartition("}")[2]: element.text or "" for element in ElementTree.fromstring(body).iter()}


def assert_names(message: str, service: str, operation: str) -> None:
    assert f"does not have the service '{service}' ({operation})" in message
    assert "It has events, lambda, sqs, sts; docs/coverage.md lists" in message


async def test_a_json_service_is_refused_in_its_own_version(door: Any):
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    answer = await door.ask(headers=headers, service="dynamodb")
    assert (answer.status, answer.headers["content-type"]) == (501, "application/x-amz-json-1.0")
    assert answer.json["__type"] == answer.headers["x-amzn-errortype"] == "UnsupportedOperationException"
    assert_names(answer.json["message"], "dynamodb", "ListTables")
    newer = await door.json("Logs_20140328.DescribeLogGroups", {}, service="logs")
    assert newer.headers["content-type"] == "application/x-amz-json-1.1"


async def test_s3_is_refused_as_s3_refuses(door: Any):
    answer = await door.ask("GET", "/bucket/a%3Cb?list-type=2", b"", service="s3")
    found = texts(answer.body)
    assert (answer.status, answer.headers["content-type"]) == (501, "application/xml")
    assert (found["Code"], found["Resource"]) == ("NotImplemented", "/bucket/a%3Cb")
    assert found["RequestId"] == answer.headers["x-amzn-requestid"]
    assert_names(found["Message"], "s3", "GET /bucket/a%3Cb")


@pytest.mark.parametrize("secret", ["wJalrXUtnFEMI", "another"])
async def test_a_refusal_of_the_gate_has_the_form_too(make_door: Any, secret: str):
    door = make_door(Keys({"ANOTHER" if secret == "another" else "AKIDEXAMPLE": AccessKey("another")}))
    answer = await door.ask("GET", "/", b"", service="s3")
    wanted = "InvalidAccessKeyId" if secret == "another" else "SignatureDoesNotMatch"
    assert (answer.status, texts(answer.body)["Code"]) == (403, wanted)


async def test_query_services_are_refused_in_xml(door: Any):
    answer = await door.ask(body=b"Action=ListTopics&Version=2010-03-31", headers=FORM, service="sns")
    found = texts(answer.body)
    assert (answer.status, found["Code"], found["Type"]) == (501, "UnsupportedOperationException", "Receiver")
    assert_names(found["Message"], "sns", "ListTopics")
    answer = await door.ask(body=b"Action=DescribeInstances", headers=FORM, service="ec2")
    assert answer.body.partition(b"?>\n")[2].startswith(b"<Response><Errors><Error><Code>UnsupportedOperation</Code>")
    assert_names(texts(answer.body)["Message"], "ec2", "DescribeInstances")


async def test_rest_and_cbor_services_are_refused_in_their_forms(door: Any):
    answer = await door.ask("GET", "/restapis", b"", service="apigateway")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (501, "UnsupportedOperationException")
    assert_names(answer.json["message"], "apigateway", "GET /restapis")
    answer = await door.ask("GET", "/2013-04-01/hostedzone", b"", service="route53")
    assert_names(texts(answer.body)["Message"], "route53", "GET /2013-04-01/hostedzone")
    path, cbor = "/service/Arc/operation/ListPlans", {"smithy-protocol": "rpc-v2-cbor"}
    answer = await door.ask(path=path, body=b"\xa0", headers=cbor, service="arc")
    assert (answer.status, answer.headers["smithy-protocol"]) == (501, "rpc-v2-cbor")
    assert_names(cbor2.loads(answer.body)["message"], "arc", "ListPlans")


async def test_operations_that_aws_does_not_have_point_to_those_that_are_here(door: Any):
    for answer in (
        await door.json("AWSEvents.Nonsense", {}),
        await door.ask("GET", "/nothing", b"", service="lambda"),
        await door.json("AWSEvents.DeleteRule", {}),
    ):
        assert "docs/coverage.md lists" in answer.json["message"]
    answer = await door.ask(body=b"Action=Nonsense", headers=FORM, service="sts")
    assert "docs/coverage.md lists" in texts(answer.body)["Message"]
