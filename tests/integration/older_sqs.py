"""SQS's model as botocore had it before 1.31.82, when its clients spoke the query protocol.

Made from today's model, by hand: the protocol, and the names that stood on that protocol's wire.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import boto3
import botocore
from botocore.config import Config

# Lists: what each element was called. Maps: what entry, key and value were called.
LISTS = {
    "AWSAccountIdList": "AWSAccountId", "ActionNameList": "ActionName", "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry", "BinaryList": "BinaryListValue",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName", "MessageList": "Message", "QueueUrlList": "QueueUrl",
    "MessageSystemAttributeList": "MessageSystemAttributeName", "StringList": "StringListValue",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry", "TagKeyList": "TagKey",
}  # fmt: skip
MAPS = {
    "MessageBodyAttributeMap": ("MessageAttribute", "Name", "Value"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name", "Value"),
    "MessageSystemAttributeMap": ("Attribute", "Name", "Value"),
    "QueueAttributeMap": ("Attribute", "Name", "Value"),
    "TagMap": ("Tag", "Key", "Value"),
}
CODES = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
}


def older_model() -> dict[str, Any]:
    folder = next((Path(botocore.__file__).parent / "data" / "sqs").iterdir())
    model = json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))
    about = model["metadata"]
    for name in ("awsQueryCompatible", "jsonVersion", "targetPrefix"):
        del about[name]
    about |= {
        "protocol": "query",
        "protocols": ["query"],
        "xmlNamespace": "http://queue.amazonaws.com/doc/2012-11-05/",
    }
    for name, operation in model["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    shapes = model["shapes"]
    for name, element in LISTS.items():
        shapes[name]["member"]["locationName"] = element
    for name, (_, key, value) in MAPS.items():
        shapes[name]["key"]["locationName"], shapes[name]["value"]["locationName"] = key, value
    for shape in shapes.values():
        for member in shape.get("members", {}).values():
            if member["shape"] in MAPS:
                member["locationName"] = MAPS[member["shape"]][0]
            elif member["shape"] in ("StringList", "BinaryList"):
                member["locationName"] = LISTS[member["shape"]]
    for name, code in CODES.items():
        shapes[name]["error"] = {"code": code, "httpStatusCode": 400, "senderFault": True}
    return model


def older_client(folder: Path, **about: Any) -> Any:
    """A client of boto3 that speaks as it did then; `folder` is for the model."""
    home = folder / "sqs" / "2012-11-05"
    home.mkdir(parents=True, exist_ok=True)
    (home / "service-2.json").write_text(json.dumps(older_model()))
    session = boto3.Session()
    loader = session._session.get_component("data_loader")
    loader.search_paths.insert(0, str(folder))
    return session.client("sqs", config=Config(retries={"total_max_attempts": 1}), **about)
