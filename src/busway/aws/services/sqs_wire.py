"""SQS's wire shapes: queue URLs, pages, batches, messages, made from the queue room's words and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from busway.arn import Scope, parse_arn
from busway.aws.errors import QUERY_CODES, AwsError, aws_error
from busway.aws.pages import page_after
from busway.aws.service import Caller
from busway.errors import QueueError
from busway.queue.message import AttributeValue, Outgoing, chosen_attributes, md5_of_attributes, md5_of_body
from busway.queue.moves import RUNNING, MoveTask
from busway.queue.receiving import Received
from busway.queue.record import QueueRecord
from busway.queue.sending import Sent

Answer = dict[str, Any]

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
BATCH_ENTRIES_MAX = 10
PAGE_MAX = 1_000
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION_IN_HOST = re.compile(r"^(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.")


def queue_url(queue: QueueRecord, caller: Caller) -> str:
    return f"{caller.endpoint}/{queue.account}/{queue.name}"


def queue_arn(url: str, caller: Caller) -> str:
    """The ARN that a queue URL stands for. Clients may write the host as they like; the path names the queue.

    The Region is the caller's, unless the host begins as one of AWS's does (`sqs.eu-west-1.…`).
    """
    not_valid = AwsError("InvalidAddress", f"The address {url} is not valid for this endpoint.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise not_valid from None
    path = parts.path.strip("/").split("/")
    if len(path) < 2 or not _ACCOUNT.fullmatch(path[-2]):
        raise not_valid
    host = _REGION_IN_HOST.match(parts.hostname or "")
    region = (host[1] or host[2]) if host else caller.scope.region
    return Scope(path[-2], region).arn("sqs", path[-1])


def known_arn(parameter: str, text: str) -> str:
    """The ARN of a queue. Raises AwsError InvalidParameterValueException for a text that is none."""
    arn = parse_arn(text)
    if arn is None or arn.service != "sqs":
        raise _invalid(
            f"You must use this format to specify the {parameter}: "
            "arn:<partition>:sqs:<region>:<account-id>:<queue-name>"
        )
    return text


def move_answer(task: MoveTask) -> Answer:
    """A task as ListMessageMoveTasks shows it; only one that runs has a handle, since only that can be cancelled."""
    return {
        "TaskHandle": task.handle if task.status == RUNNING else None,
        "Status": task.status,
        "SourceArn": task.source_arn,
        "DestinationArn": task.destination_arn,
        "MaxNumberOfMessagesPerSecond": task.rate,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "FailureReason": task.failure,
        "StartedTimestamp": task.started_ms,
    }


def page(urls: list[str], request: Answer) -> tuple[list[str], str | None]:
    """One page of `urls` (sorted) and the token of the next. Without MaxResults AWS gives the first 1,000 alone."""
    wanted = request.get("MaxResults")
    if wanted is not None and not 1 <= wanted <= PAGE_MAX:
        raise _invalid(
            f"Value {wanted} for parameter MaxResults is invalid. Reason: MaxResults must be an integer between "
            f"1 and {PAGE_MAX}."
        )
    token = request.get("NextToken")
    try:
        shown, more = page_after(urls, lambda url: url.rsplit("/", 1)[-1], token, wanted or PAGE_MAX)
    except ValueError:
        raise _invalid(f"Value {token} for parameter NextToken is invalid. Reason: Invalid token.") from None
    return shown, more if wanted is not None else None


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)


def check_batch(entries: Sequence[Answer], kind: str) -> None:
    if not entries:
        raise AwsError("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if len(entries) > BATCH_ENTRIES_MAX:
        raise AwsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {BATCH_ENTRIES_MAX}. You have sent {len(entries)}.",
        )
    seen: set[str] = set()
    for entry in entries:
        if not _ENTRY_ID.fullmatch(entry["Id"]):
            raise AwsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long.",
            )
        if entry["Id"] in seen:
            raise AwsError("BatchEntryIdsNotDistinct", f"Id {entry['Id']} repeated.")
        seen.add(entry["Id"])


def read_each(
    entries: Sequence[Answer], read: Callable[[Answer], Outgoing]
) -> tuple[dict[str, Outgoing], dict[str, AwsError]]:
    read_entries: dict[str, Outgoing] = {}
    refused: dict[str, AwsError] = {}
    for entry in entries:
        try:
            read_entries[entry["Id"]] = read(entry)
        except AwsError as error:
            refused[entry["Id"]] = error
    return read_entries, refused


def outgoing_message(entry: Answer, caller: Caller) -> Outgoing:
    """A message to send, from SendMessage's request or a batch's entry."""
    attributes = entry.get("MessageAttributes")
    return Outgoing(
        entry["MessageBody"],
        entry.get("DelaySeconds"),
        {name: _attribute(name, value) for name, value in attributes.items()} if attributes else None,
        _trace_header(entry.get("MessageSystemAttributes") or {}, caller),
        entry.get("MessageGroupId"),
        entry.get("MessageDeduplicationId"),
    )


def _attribute(name: str, value: Answer) -> AttributeValue:
    if value.get("StringListValues") or value.get("BinaryListValues"):
        raise AwsError(
            "UnsupportedOperation", f"Message attribute list values in attribute '{name}' are not supported."
        )
    return AttributeValue(value["DataType"], value.get("StringValue"), value.get("BinaryValue"))


def _trace_header(system: Answer, caller: Caller) -> str | None:
    """The trace of the message's own system attribute, else that of the request."""
    for name, value in system.items():
        if name != "AWSTraceHeader":
            raise _invalid(f"Message system attribute name '{name}' is invalid.")
        if value["DataType"] != "String" or not value.get("StringValue"):
            raise _invalid("Message system attribute 'AWSTraceHeader' must be a non-empty value of type String.")
        return value["StringValue"]
    return caller.trace_header


def sent_answer(sent: Sent) -> Answer:
    return {
        "MessageId": sent.message_id,
        "MD5OfMessageBody": sent.md5_of_body,
        "MD5OfMessageAttributes": sent.md5_of_attributes,
        "MD5OfMessageSystemAttributes": sent.md5_of_system_attributes,
        "SequenceNumber": sent.sequence_number,
    }


def message_answer(received: Received, system: set[str], chosen: Iterable[str]) -> Answer:
    attributes = chosen_attributes(received.meta.attributes, chosen)
    return {
        "MessageId": received.meta.message_id,
        "ReceiptHandle": received.receipt.handle(),
        "MD5OfBody": md5_of_body(received.item.body),
        "Body": received.item.body.decode(),
        "Attributes": _system_attributes(received, system) if system else None,
        "MD5OfMessageAttributes": md5_of_attributes(attributes),
        "MessageAttributes": {name: _attribute_out(value) for name, value in attributes.items()} or None,
    }


def _attribute_out(value: AttributeValue) -> Answer:
    return {"DataType": value.data_type, "StringValue": value.text, "BinaryValue": value.binary}


def _system_attributes(received: Received, wanted: set[str]) -> Answer | None:
    meta = received.meta
    held = {
        "SenderId": meta.sender,
        "SentTimestamp": str(meta.sent_ms),
        "ApproximateReceiveCount": str(received.receive_count),
        "ApproximateFirstReceiveTimestamp": str(received.first_received_ms),
        "MessageDeduplicationId": meta.deduplication_id,
        "MessageGroupId": meta.group_id,
        "SequenceNumber": received.sequence_number,
        "AWSTraceHeader": meta.trace_header,
        "DeadLetterQueueSourceArn": meta.source_queue_arn,
    }
    every = "All" in wanted
    return {name: value for name, value in held.items() if value is not None and (every or name in wanted)} or None


def batch_answer(ids: Iterable[str], outcomes: Mapping[str, Any], show: Callable[[Any], Answer]) -> Answer:
    """A batch's answer: who succeeded, and for the others why not, each in the order of the request."""
    successful: list[Answer] = []
    failed: list[Answer] = []
    for entry_id in ids:
        outcome = outcomes[entry_id]
        if isinstance(outcome, QueueError | AwsError):
            failed.append({"Id": entry_id, **_failure(outcome)})
        else:
            successful.append({"Id": entry_id, **show(outcome)})
    return {"Successful": successful, "Failed": failed}


def batch_answer_in_order(entries: Sequence[Answer], outcomes: Sequence[QueueError | None]) -> Answer:
    ids = [entry["Id"] for entry in entries]
    return batch_answer(ids, dict(zip(ids, outcomes, strict=True)), lambda _: {})


def _failure(error: QueueError | AwsError) -> Answer:
    shown = aws_error("sqs", error)
    if shown is None:
        raise error
    # Batches answer with the codes of the query protocol, also over JSON.
    code = QUERY_CODES["sqs"].get(shown.code, shown.code)
    return {"SenderFault": True, "Code": code, "Message": shown.message}
