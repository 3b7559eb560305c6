"""Clients of SQS from before its JSON protocol: boto3 as it was, and forms as other SDKs post them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from .older_sqs import older_client
from .whole_server import ACCOUNT, REGION, SECRET, WholeServer, arn, whole_server

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def sqs(server: WholeServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return older_client(
        tmp_path_factory.mktemp("model"), endpoint_url=server.url, region_name=REGION, aws_access_key_id=ACCOUNT,
        aws_secret_access_key=SECRET,
    )  # fmt: skip


def test_it_does_speak_the_older_protocol(sqs: Any):
    seen: list[Any] = []
    sqs.meta.events.register("before-send.sqs.ListQueues", lambda request, **_: seen.append(request))
    sqs.list_queues(QueueNamePrefix="a b+c")
    assert "Action=ListQueues" in seen[0].body and "QueueNamePrefix=a+b%2Bc" in seen[0].body
    assert "X-Amz-Target" not in seen[0].headers


def test_a_message_goes_round(sqs: Any):
    url = sqs.create_queue(QueueName="round", Attributes={"VisibilityTimeout": "60"}, tags={"t": "a & b"})["QueueUrl"]
    assert sqs.get_queue_url(QueueName="round")["QueueUrl"] == url
    attributes = {
        "order.id": {"DataType": "Number", "StringValue": "42"},
        "name": {"DataType": "String", "StringValue": "é <&>"},
        "picture": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
    }
    body = 'a <b> & "c"\r\n\té\U0001f600'
    # boto3 compares the checksum of what it sent.
    sent = sqs.send_message(
        QueueUrl=url, MessageBody=body, DelaySeconds=0, MessageAttributes=attributes,
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
    )  # fmt: skip
    (message,) = sqs.receive_message(
        QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["order.*", "name", "picture"]
    )["Messages"]
    assert (message["Body"], message["MessageId"]) == (body, sent["MessageId"])
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert again["Attributes"] == {"ApproximateReceiveCount": "2"}
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (shown["QueueArn"], shown["VisibilityTimeout"]) == (arn("sqs", "round"), "60")
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"t": "a & b"}
    sqs.tag_queue(QueueUrl=url, Tags={"env": "dev"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["t"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"env": "dev"}
    sqs.add_permission(QueueUrl=url, Label="send", AWSAccountIds=[ACCOUNT], Actions=["SendMessage", "ReceiveMessage"])
    sqs.remove_permission(QueueUrl=url, Label="send")
    assert url in sqs.list_queues()["QueueUrls"]


def test_batches_and_fifo_queues(sqs: Any):
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="older.fifo", Attributes=attributes)["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": f"m{n}", "MessageGroupId": "g"} for n in range(3)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=[*entries, {"Id": "bad", "MessageBody": "x"}])
    assert [(e["Id"], len(e["SequenceNumber"])) for e in sent["Successful"]] == [("0", 20), ("1", 20), ("2", 20)]
    assert [(e["Id"], e["Code"], e["SenderFault"]) for e in sent["Failed"]] == [("bad", "MissingParameter", True)]
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert [(m["Body"], m["Attributes"]["MessageGroupId"]) for m in got] == [(f"m{n}", "g") for n in range(3)]
    handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(got)]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**entry, "VisibilityTimeout": 60} for entry in handles]
    )
    assert len(changed["Successful"]) == 3
    gone = sqs.delete_message_batch(QueueUrl=url, Entries=[*handles, {"Id": "x", "ReceiptHandle": "nonsense"}])
    assert len(gone["Successful"]) == 3
    assert [(e["Id"], e["Code"]) for e in gone["Failed"]] == [("x", "ReceiptHandleIsInvalid")]


def test_dead_letters_move(sqs: Any):
    sqs.create_queue(QueueName="older-dead")
    policy = json.dumps({"deadLetterTargetArn": arn("sqs", "older-dead"), "maxReceiveCount": 1})
    url = sqs.create_queue(QueueName="older-work", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    dead = url.replace("older-work", "older-dead")
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    task = sqs.start_message_move_task(SourceArn=arn("sqs", "older-dead"), MaxNumberOfMessagesPerSecond=5)
    assert task["TaskHandle"]
    (shown,) = sqs.list_message_move_tasks(SourceArn=arn("sqs", "older-dead"))["Results"]
    assert shown["SourceArn"] == arn("sqs", "older-dead") and shown["MaxNumberOfMessagesPerSecond"] == 5


def test_errors_have_the_older_codes(sqs: Any):
    url = sqs.create_queue(QueueName="older-errors")["QueueUrl"]
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as missing:
        sqs.send_message(QueueUrl=url + "x", MessageBody="x")
    error = missing.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error["Message"] == "The specified queue does not exist for this wsdl version."
    assert error["Type"] == "Sender"
    with pytest.raises(sqs.exceptions.QueueNameExists):
        sqs.create_queue(QueueName="older-errors", Attributes={"DelaySeconds": "1"})
    with pytest.raises(sqs.exceptions.EmptyBatchRequest):
        sqs.send_message_batch(QueueUrl=url, Entries=[])
    with pytest.raises(ClientError) as invalid:
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=11)
    assert invalid.value.response["Error"]["Code"] == "InvalidParameterValue"
    sqs.purge_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress) as purged:
        sqs.purge_queue(QueueUrl=url)
    assert purged.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def post(server: WholeServer, path: str, form: dict[str, str], secret: str = SECRET) -> httpx.Response:
    """A form as another SDK posts it, signed."""
    url = server.url + path
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Host": urlsplit(url).netloc}
    request = AWSRequest("POST", url, headers, urlencode(form).encode())
    SigV4Auth(Credentials(ACCOUNT, secret), "sqs", REGION).add_auth(request)
    return httpx.post(url, headers=dict(request.headers), content=request.data)


def test_a_form_is_posted_to_the_queues_own_address(server: WholeServer, sqs: Any):
    """As the SDKs for Java, PHP and .NET did."""
    path = urlsplit(sqs.create_queue(QueueName="by-path")["QueueUrl"]).path
    form = {"Action": "SendMessage", "Version": "2012-11-05", "MessageBody": "höllo & more"}
    picture = {
        "MessageAttribute.1.Name": "picture", "MessageAttribute.1.Value.DataType": "Binary",
        "MessageAttribute.1.Value.BinaryValue": base64.b64encode(b"\x00").decode(),
    }  # fmt: skip
    sent = post(server, path, form | picture)
    assert (sent.status_code, sent.headers["content-type"]) == (200, "text/xml")
    root = ElementTree.fromstring(sent.content)
    assert root.tag == f"{NAMESPACE}SendMessageResponse"
    assert root.findtext(f"{NAMESPACE}SendMessageResult/{NAMESPACE}MessageId")
    assert root.findtext(f"{NAMESPACE}ResponseMetadata/{NAMESPACE}RequestId") == sent.headers["x-amzn-requestid"]
    (message,) = server.client("sqs").receive_message(
        QueueUrl=server.url + path, MessageAttributeNames=["All"]
    )["Messages"]  # fmt: skip
    assert message["Body"] == "höllo & more"
    assert message["MessageAttributes"]["picture"]["BinaryValue"] == b"\x00"


def test_forms_with_a_wrong_signature_are_refused_in_xml(server: WholeServer):
    refused = post(server, "/", {"Action": "ListQueues", "Version": "2012-11-05"}, secret="wrong")
    assert refused.status_code == 403
    root = ElementTree.fromstring(refused.content)
    assert root.findtext(f"{NAMESPACE}Error/{NAMESPACE}Code") == "SignatureDoesNotMatch"


def test_the_largest_message_fits_into_a_form(server: WholeServer, sqs: Any):
    url = sqs.create_queue(QueueName="large")["QueueUrl"]
    body = "é" * (1_048_576 // 2)
    sqs.send_message(QueueUrl=url, MessageBody=body)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == body
    with pytest.raises(ClientError, match="Message must be shorter than 1048576 bytes"):
        sqs.send_message(QueueUrl=url, MessageBody=body + "x")
