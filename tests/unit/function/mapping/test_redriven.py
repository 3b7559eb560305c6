"""A record that is run again by itself, and its letter when it is given up again."""

from __future__ import annotations

import base64
import json
from typing import Any

from busway.function.invocation.letters import Work
from busway.function.mapping.redriven import letter_again, single_records

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
EVENT = b'{"id":"e-1","source":"shop","detail-type":"Order","detail":{}}'


def record(data: bytes, number: str = "7") -> dict[str, Any]:
    kinesis = {
        "kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": number,
        "data": base64.b64encode(data).decode(), "approximateArrivalTimestamp": 5.0,
    }  # fmt: skip
    return {"kinesis": kinesis, "eventID": f"shardId-000000000003:{number}", "eventSourceARN": STREAM}


def batch(*records: dict[str, Any]) -> bytes:
    return json.dumps({"Records": records}).encode()


def test_each_record_of_a_batch_is_one_batch_with_the_event_that_it_carries():
    one, two = single_records(batch(record(EVENT), record(b"\xff", "8")))
    assert json.loads(one.payload) == {"Records": [record(EVENT)]}
    assert (one.event_id, one.record_event_id) == ("e-1", "shardId-000000000003:7")
    assert (two.event_id, two.record_event_id) == ("", "shardId-000000000003:8")


def test_the_letter_of_a_record_that_failed_again_keeps_where_it_came_from():
    error = b'{"errorType":"Refused","errorMessage":"no"}'
    work = Work("r", 1.0, event_id="e-1", errors=3, error=error, letters_to="q", mapping="m", qualifier="live")
    letter, source = letter_again(work, FUNCTION, batch(record(EVENT)), ("Refused", "no"), 9.0, "2")
    told = json.loads(letter)
    assert told["requestContext"]["functionArn"] == f"{FUNCTION}:live"
    assert told["requestContext"]["approximateInvokeCount"] == 3
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "2", "functionError": "Unhandled"}
    info = told["KinesisBatchInfo"]
    assert (info["shardId"], info["streamArn"], info["batchSize"]) == ("shardId-000000000003", STREAM, 1)
    assert info["startSequenceNumber"] == info["endSequenceNumber"] == "7"
    assert (source.kind, source.mapping, source.event_id, source.attempts) == ("batch", "m", "e-1", 3)
    assert source.function_arn == f"{FUNCTION}:live"


def test_a_record_that_was_never_tried_again_grew_too_old():
    letter, _ = letter_again(Work("r", 1.0), FUNCTION, batch(record(b"x")), ("RecordAgeExceeded", ""), 9.0, "1")
    told = json.loads(letter)
    assert told["requestContext"]["condition"] == "RecordAgeExceeded"
    assert "responseContext" not in told
