"""The query protocol: botocore's own serializer and parser are the other side of the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given, strategies as st

from busway.aws.errors import AwsError
from busway.aws.protocols import Received
from busway.aws.protocols.query import QueryWire, form_action
from busway.aws.protocols.query_values import FIELDS_MAX, read_form
from busway.aws.services.cloudwatch import CloudWatch
from busway.aws.shapes import OperationModel, ServiceModel, load_model

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
# Every kind of value, plain and flattened, with and without names of its own.
THING: dict[str, Any] = {
    "Text": {"shape": "Text"},
    "Renamed": {"shape": "Text", "locationName": "OtherName"},
    "Whole": {"shape": "Whole"},
    "Long": {"shape": "Long"},
    "Real": {"shape": "Real"},
    "Yes": {"shape": "Yes"},
    "Bytes": {"shape": "Bytes"},
    "At": {"shape": "At"},
    "List": {"shape": "List"},
    "NamedList": {"shape": "NamedList"},
    "FlatList": {"shape": "FlatList"},
    "FlatNamedList": {"shape": "FlatNamedList"},
    "Map": {"shape": "Map"},
    "FlatMap": {"shape": "FlatMap", "locationName": "Entry"},
    "Inner": {"shape": "Inner"},
    "Inners": {"shape": "Inners"},
}
MODEL: dict[str, Any] = {
    "version": "2.0",
    "metadata": {
        "apiVersion": "2026-01-01", "endpointPrefix": "toy", "protocol": "query", "protocols": ["query"],
        "serviceId": "Toy", "serviceFullName": "Toy", "signatureVersion": "v4", "xmlNamespace": "http://toy/",
    },
    "operations": {
        "Echo": {
            "name": "Echo", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "Thing"},
            "output": {"shape": "Thing", "resultWrapper": "EchoResult"}, "errors": [{"shape": "Broken"}],
        },
        "Quiet": {"name": "Quiet", "http": {"method": "POST", "requestUri": "/"}},
    },
    "shapes": {
        "Thing": {"type": "structure", "members": THING},
        "Text": {"type": "string"},
        "Whole": {"type": "integer"},
        "Long": {"type": "long"},
        "Real": {"type": "double"},
        "Yes": {"type": "boolean"},
        "Bytes": {"type": "blob"},
        "At": {"type": "timestamp"},
        "List": {"type": "list", "member": {"shape": "Text"}},
        "NamedList": {"type": "list", "member": {"shape": "Whole", "locationName": "Item"}},
        "FlatList": {"type": "list", "member": {"shape": "Text"}, "flattened": True},
        "FlatNamedList": {"type": "list", "member": {"shape": "Text", "locationName": "One"}, "flattened": True},
        "Map": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Inner"}},
        "FlatMap": {
            "type": "map", "flattened": True, "key": {"shape": "Text", "locationName": "Name"},
            "value": {"shape": "Text", "locationName": "Value"},
        },
        "Inner": {"type": "structure", "members": {"Text": {"shape": "Text"}, "List": {"shape": "List"}}},
        "Inners": {"type": "list", "member": {"shape": "Inner"}},
        "Broken": {
            "type": "structure", "members": {"message": {"shape": "Text"}}, "exception": True,
            "error": {"code": "Toy.Broken", "httpStatusCode": 409, "senderFault": True},
        },
    },
}  # fmt: skip

# What XML can carry; a body of a message has no other characters either.
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\t\n\r&<>\"'"), max_size=20)
names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
inners = st.fixed_dictionaries({}, optional={"Text": texts, "List": st.lists(texts, min_size=1, max_size=3)})
things = st.fixed_dictionaries(
    {},
    optional={
        "Text": texts,
        "Renamed": texts,
        "Whole": st.integers(-(2**31), 2**31 - 1),
        "Long": st.integers(-(2**63), 2**63 - 1),
        "Real": st.floats(allow_nan=False, allow_infinity=False),
        "Yes": st.booleans(),
        "Bytes": st.binary(max_size=20),
        "At": st.integers(0, 4_000_000_000).map(float),
        "List": st.lists(texts, max_size=3),
        "NamedList": st.lists(st.integers(0, 9), max_size=12),
        "FlatList": st.lists(texts, min_size=1, max_size=3),
        "FlatNamedList": st.lists(texts, max_size=12),
        "Map": st.dictionaries(names, inners.filter(bool), min_size=1, max_size=3),
        "FlatMap": st.dictionaries(names, texts, min_size=1, max_size=3),
        "Inner": inners.filter(bool),
        "Inners": st.lists(inners.filter(bool), min_size=1, max_size=3),
    },
)


def ours(model: dict[str, Any]) -> tuple[QueryWire, OperationModel]:
    read = msgspec.convert(model, ServiceModel)
    for name, shape in read.shapes.items():
        shape.name = name
    return QueryWire("toy", read), read.operations["Echo"]


WIRE, ECHO = ours(MODEL)
THEIRS = BotocoreModel(MODEL, "toy").operation_model("Echo")


def received(body: str | bytes, path: bytes = b"/") -> Received:
    return Received("POST", path, b"", {}, body.encode() if isinstance(body, str) else body)


@given(things)
def test_what_botocore_writes_is_read(thing: dict[str, Any]):
    sent = create_serializer("query").serialize_to_request(thing, THEIRS)
    body = urlencode(sent["body"], doseq=True)
    assert form_action(body.encode()) == "Echo"
    assert WIRE.read(ECHO, {}, received(body)) == thing


@given(things)
def test_what_is_written_botocore_reads(thing: dict[str, Any]):
    reply = WIRE.write(ECHO, thing, "the-id")
    parsed = create_parser("query").parse(
        {"body": reply.body, "headers": {}, "status_code": 200, "context": {}}, THEIRS.output_shape
    )
    assert parsed.pop("ResponseMetadata")["RequestId"] == "the-id"
    if "At" in parsed:
        parsed["At"] = parsed["At"].timestamp()
    assert parsed == {name: value for name, value in thing.items() if value != [] or name in ("List", "NamedList")}
    # An empty flattened list leaves no trace in XML.


def test_an_operation_without_a_result_says_so_little():
    quiet = msgspec.convert(MODEL, ServiceModel).operations["Quiet"]
    assert WIRE.read(quiet, {}, received("Action=Quiet")) == {}
    assert WIRE.write(quiet, {}, "id").body.decode() == (
        '<QuietResponse xmlns="http://toy/"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>'
        "</QuietResponse>"
    )


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (AwsError("Broken", "<no> & no"), 409, "Sender", "Toy.Broken"),
        (AwsError("Other", "no", 503), 503, "Receiver", "Other"),
        (AwsError("UnrecognizedClientException", "no", 403), 403, "Sender", "InvalidClientTokenId"),
    ],
)
def test_errors_are_botocores(error: AwsError, status: int, kind: str, code: str):
    reply = WIRE.refuse(error, "the-id")
    parsed = create_parser("query").parse(
        {"body": reply.body, "headers": {}, "status_code": reply.status, "context": {}}, THEIRS.output_shape
    )
    assert (reply.status, parsed["Error"]["Type"], parsed["Error"]["Code"]) == (status, kind, code)
    assert parsed["Error"]["Message"] == error.message
    assert parsed["ResponseMetadata"]["RequestId"] == "the-id"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Whole=x", "'x' can not be converted to a Integer at 'Whole'"),
        ("Whole=99999999999", "can not be converted to a Integer"),
        ("Yes=perhaps", "can not be converted to a Boolean at 'Yes'"),
        ("Bytes=%21", "can not be converted to a Blob"),
        ("At=soon", "can not be converted to a Timestamp"),
        ("NamedList.Item.1=x", "at 'NamedList.1'"),
        ("Text=%ff", "is not a form"),
        (b"Text=\xff", "is not a form"),
        ("&".join("a=b" for _ in range(FIELDS_MAX + 1)), "is not a form"),
    ],
)
def test_what_is_not_of_the_models_types_is_refused(body: str | bytes, words: str):
    with pytest.raises(AwsError, match=words) as caught:
        WIRE.read(ECHO, {}, received(body))
    assert caught.value.code == "SerializationException"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_form_or_refused(body: bytes):
    refused = ""
    try:
        WIRE.read(ECHO, {}, received(body))
    except AwsError as error:
        refused = error.code
    assert refused in ("", "SerializationException")


def test_a_name_of_many_parts_ends_somewhere():
    form = read_form(b".".join([b"a"] * 100_000) + b"=x")
    depth = 0
    while form.inner:
        (form,) = form.inner.values()
        depth += 1
    assert depth < 100


def test_numbers_say_the_order_and_may_have_gaps():
    read = WIRE.read(ECHO, {}, received("One.10=c&One.2=b&One.1=a&One.x=no&Unknown=1"))
    assert read == {"FlatNamedList": ["a", "b", "c"]}


async def test_sts_says_who_asks(door: Any):
    answer = await door.ask(body=b"Action=GetCallerIdentity&Version=2011-06-15", headers=FORM, service="sts")
    assert answer.status == 200 and b"<GetCallerIdentityResult>" in answer.body
    assert (
        b"<Arn>arn:aws:iam::" in answer.body and b'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"' in answer.body
    )
    unknown = await door.ask(body=b"Action=AssumeRole", headers=FORM, service="sts")
    assert (unknown.status, b"<Code>UnsupportedOperationException</Code>" in unknown.body) == (501, True)


async def test_a_form_for_a_service_without_the_protocol_says_so(door: Any):
    answer = await door.ask(body=b"Action=PutEvents", headers=FORM, service="events")
    assert answer.status == 501 and b"does not speak the query protocol for events" in answer.body


async def test_a_json_request_that_calls_itself_a_form_is_json(door: Any):
    headers = {"X-Amz-Target": "AmazonSQS.GetQueueUrl", **FORM}
    answer = await door.ask(body=b'{"QueueName":"none"}', headers=headers, service="sqs")
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"


async def test_sqs_answers_forms_with_its_older_codes(door: Any):
    answer = await door.ask(body=b"Action=GetQueueUrl&QueueName=none", headers=FORM, service="sqs")
    assert answer.status == 400
    assert b"<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in answer.body
    assert b"<Message>The specified queue does not exist for this wsdl version.</Message>" in answer.body
    missing = await door.ask(body=b"Action=GetQueueUrl", headers=FORM, service="sqs")
    assert b"<Code>MissingParameter</Code>" in missing.body
    nothing = await door.ask(body=b"Action=Fly", headers=FORM, service="sqs")
    assert b"<Code>InvalidAction</Code>" in nothing.body


def test_cloudwatchs_names_are_its_models():
    """CloudWatch's model still has all that the protocol needs."""
    assert "query" in load_model(CloudWatch.name).metadata.protocols
    wire, model = QueryWire("cloudwatch", load_model("cloudwatch")), load_model("cloudwatch")
    body = (
        "Action=PutMetricData&Namespace=Shop&MetricData.member.1.MetricName=Orders&MetricData.member.1.Value=1.5&"
        "MetricData.member.1.Dimensions.member.1.Name=a&MetricData.member.1.Dimensions.member.1.Value=b"
    )
    assert wire.read(model.operations["PutMetricData"], {}, received(body)) == {
        "Namespace": "Shop",
        "MetricData": [{"MetricName": "Orders", "Value": 1.5, "Dimensions": [{"Name": "a", "Value": "b"}]}],
    }
