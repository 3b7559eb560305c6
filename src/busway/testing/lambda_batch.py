"""A batch as Lambda hands it over, made of a test's events: for what a handler answers to one of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from busway.batch_handling import Source
from busway.event import Event

QUEUE = "arn:aws:sqs:us-east-1:000000000000:tests"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/tests"


def batch_of(*events: Event | Mapping[str, Any], source: Source = "stream") -> dict[str, Any]:
    """Lambda's event with these events, typed or as JSON, as the records "1", "2", … of a stream or a queue."""
    raws = [dict(event.envelope.raw) if isinstance(event, Event) else dict(event) for event in events]
    record = _in_stream if source == "stream" else _in_queue
    return {"Records": [record(str(number), json.dumps(raw)) for number, raw in enumerate(raws, 1)]}


def _in_stream(number: str, body: str) -> dict[str, Any]:
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "key", "sequenceNumber": number,
            "data": base64.b64encode(body.encode()).decode(), "approximateArrivalTimestamp": 1_767_268_800.0,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record", "invokeIdentityArn": "", "awsRegion": "us-east-1",
        "eventSourceARN": STREAM,
    }  # fmt: skip


def _in_queue(number: str, body: str) -> dict[str, Any]:
    return {
        "messageId": number, "receiptHandle": number, "body": body, "attributes": {}, "messageAttributes": {},
        "eventSource": "aws:sqs", "eventSourceARN": QUEUE, "awsRegion": "us-east-1",
    }  # fmt: skip
