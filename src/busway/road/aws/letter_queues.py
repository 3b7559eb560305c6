"""A deployed project's dead-letter queues: looked into without taking anything out, and sent back to what failed.

SQS has no way to look: what is looked at is received, hidden for a while, and given back at once by making it visible
again; who dies in between leaves it hidden for that while, and nothing lost. Sending back is Invoke (or SendMessage),
then DeleteMessage: a death between the two repeats that one letter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from busway.arn import DEAD_LETTERS
from busway.errors import AwsRefused
from busway.road.aws.access import Aws
from busway.road.aws.letter import QUEUE, AwsLetter, Wanted, WayBack, read_letter, way_back
from busway.road.aws.names import Names

# Ours: how long what is looked at is hidden; SQS gives ten at a time.
HIDDEN_S = 60
RECEIVED_AT_ONCE = 10
# Ours: a long poll asks all of SQS's servers, where a short one may find nothing though there is something.
POLL_S = 1
LOOKS_AT_ONCE = 8
# Ours: by how much the clock that an answer tells may be behind the one that dates letters.
SLACK_S = 5.0


@dataclass(frozen=True, slots=True)
class LetterQueue:
    """`entry` is the handler, or rule, that it is of; `function` its function's name."""

    name: str
    url: str
    entry: str
    function: str


class Stayed(msgspec.Struct, frozen=True):
    """A letter that stays, and why."""

    message_id: str
    queue: str
    reason: str


@dataclass(slots=True)
class Sent:
    """What a redrive did. `sent` are the letters that went, without what they held."""

    redriven: int = 0
    refused: list[Stayed] = field(default_factory=list[Stayed])
    sent: list[str] = field(default_factory=list[str])


def letter_queues(aws: Aws, names: Names, entry: str | None = None) -> list[LetterQueue]:
    """Those of a project, also of handlers that are gone, whose letters are kept; or that of one handler or rule.

    Raises AwsUnusable, AwsRefused.
    """
    prefix = f"{names.project}-{names.environment}-"
    if entry is not None:
        url = aws.queue_url(names.dead_letters(entry))
        found = [url] if url else []
    else:
        found = [
            str(url) for url in aws.paged("sqs", "ListQueues", "QueueUrls", QueueNamePrefix=prefix, MaxResults=1000)
        ]
    queues = [(url.rsplit("/", 1)[-1], url) for url in found]
    return [
        LetterQueue(name, url, name[len(prefix) : -len(DEAD_LETTERS)], name[: -len(DEAD_LETTERS)])
        for name, url in sorted(queues)
        if name.endswith(DEAD_LETTERS)
    ]


def look(aws: Aws, queue: LetterQueue, wanted: Wanted, limit: int) -> tuple[list[AwsLetter], bool]:
    """Up to `limit` letters that are wanted, oldest first, and whether that may not be all. Nothing is taken out."""
    held: dict[str, str] = {}
    found: list[AwsLetter] = []
    try:
        for letter in _received(aws, queue, held):
            if wanted.takes(letter):
                found.append(letter)
            if len(found) >= limit:
                break
    finally:
        _give_back(aws, queue, held)
    return sorted(found, key=lambda letter: letter.failed_at), len(found) >= limit


def look_all(aws: Aws, queues: Sequence[LetterQueue], wanted: Wanted, limit: int) -> tuple[list[AwsLetter], bool]:
    """`look` into each, side by side: one that is empty takes a second to say so."""
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as looks:
        begun = [looks.submit(look, aws, queue, wanted, limit) for queue in queues]
        found = [one.result() for one in begun]
    return [letter for letters, _ in found for letter in letters], any(more for _, more in found)


def send_back(
    aws: Aws,
    queue: LetterQueue,
    wanted: Wanted,
    sent: Sent,
    *,
    payload: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Send back what is wanted, letter by letter, and add it up in `sent`. `payload` stands in for what failed.

    What fails again meanwhile is left alone: a letter of what was sent already, and any that was written well after
    this began. Raises AwsUnusable, AwsRefused.
    """
    held: dict[str, str] = {}
    began_at = _now(aws, queue)
    again: set[str] = set()
    try:
        for letter in _received(aws, queue, held):
            if not wanted.takes(letter) or letter.failed_at >= began_at + SLACK_S or letter.identity in again:
                continue
            back = way_back(letter)
            reason = back.reason or _refused(aws, letter, back, letter.payload if payload is None else payload)
            if reason:
                sent.refused.append(Stayed(letter.message_id, queue.name, reason))
                continue
            aws.call("sqs", "DeleteMessage", QueueUrl=queue.url, ReceiptHandle=letter.receipt)
            del held[letter.message_id]
            again.add(letter.identity)
            sent.redriven += 1
            sent.sent.append(letter.event_id or letter.message_id)
            progress(sent.redriven)
    finally:
        _give_back(aws, queue, held)


def _refused(aws: Aws, letter: AwsLetter, back: WayBack, payload: str) -> str:
    """Why what failed did not take it; "" when it did."""
    try:
        if back.service == "lambda":
            aws.call("lambda", "Invoke", FunctionName=back.to, InvocationType="Event", Payload=payload.encode())
        else:
            url = aws.queue_url(back.to.rsplit(":", 1)[-1])
            if url is None:
                return f"the queue {back.to} is gone"
            attributes = letter.attributes if letter.kind == QUEUE else {}
            aws.call("sqs", "SendMessage", QueueUrl=url, MessageBody=payload, MessageAttributes=attributes)
    except AwsRefused as refusal:
        return str(refusal)
    return ""


def _received(aws: Aws, queue: LetterQueue, held: dict[str, str]) -> Iterator[AwsLetter]:
    """Every letter once; `held` gets the receipt of each, by message id."""
    while True:
        answer = aws.call(
            "sqs", "ReceiveMessage", QueueUrl=queue.url, MaxNumberOfMessages=RECEIVED_AT_ONCE,
            VisibilityTimeout=HIDDEN_S, WaitTimeSeconds=POLL_S, AttributeNames=["All"], MessageAttributeNames=["All"],
        )  # fmt: skip
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", [])
        new = [message for message in messages if message["MessageId"] not in held]
        held.update({message["MessageId"]: message["ReceiptHandle"] for message in messages})
        # When all of them were seen before, the first ones are visible again: that is all there is.
        if not new:
            return
        for message in new:
            yield read_letter(message, queue.name, queue.function)


def _give_back(aws: Aws, queue: LetterQueue, held: Mapping[str, str]) -> None:
    receipts = list(held.values())
    for begin in range(0, len(receipts), RECEIVED_AT_ONCE):
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
            for number, receipt in enumerate(receipts[begin : begin + RECEIVED_AT_ONCE])
        ]
        # One that fails, as its time has run out, is visible anyhow.
        aws.call("sqs", "ChangeMessageVisibilityBatch", QueueUrl=queue.url, Entries=entries)


def _now(aws: Aws, queue: LetterQueue) -> float:
    """Unix seconds by AWS's clock, which writes the times of letters; the whole second that has begun."""
    answer = aws.call("sqs", "GetQueueAttributes", QueueUrl=queue.url, AttributeNames=["QueueArn"])
    headers: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if "date" not in headers:
        # Not every SQS that is not AWS's has the header.
        return float(int(time.time()))
    return parsedate_to_datetime(headers["date"]).replace(tzinfo=UTC).timestamp()
