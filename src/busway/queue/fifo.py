"""What FIFO queues add to a message: its group, what it is deduplicated by, its sequence number. Pure.

A FIFO message's id and sequence number are made of the number that the engine gives it, so whoever sends it again is
told the same ones as long as the engine remembers its key, also when it was received and deleted.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from busway.clock import format_uuid
from busway.engine import Item, Once
from busway.errors import InvalidQueueRequest, MissingQueueParameter
from busway.queue.message import MessageMeta, check_id, decode_meta
from busway.queue.record import QueueRecord

# From the first accept; a duplicate doesn't prolong it.
DEDUPLICATION_S = 300.0
# AWS's have 20 digits.
_SEQUENCE_BEGIN = 10**19


def group_of(group_id: str | None) -> str:
    """The group of a message to a FIFO queue. Raises `MissingQueueParameter`, `InvalidQueueRequest`."""
    if not group_id:
        raise MissingQueueParameter("MessageGroupId")
    return check_id("MessageGroupId", group_id)


def deduplication_id(queue: QueueRecord, given: str | None, body: bytes) -> str:
    """What a message to a FIFO queue is deduplicated by. Raises `InvalidQueueRequest` when nothing was given."""
    if given is not None:
        return check_id("MessageDeduplicationId", given)
    if not queue.deduplicates_by_content:
        raise InvalidQueueRequest(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
    return hashlib.sha256(body).hexdigest()


def once(queue: QueueRecord, group: str, duplicates: str, now: float) -> Once:
    # No id contains a space.
    key = f"{group} {duplicates}" if queue.deduplicates_by_group else duplicates
    return Once(key, now + DEDUPLICATION_S)


def moved_once(message_id: str, now: float) -> Once:
    """So that a move that is done again after a crash moves nothing twice."""
    return Once(f"moved  {message_id}", now + DEDUPLICATION_S)


def sequence_number(item_id: int) -> str:
    return str(_SEQUENCE_BEGIN + item_id)


def message_id_of(queue_arn: str, item_id: int) -> str:
    """The id of a message that has none of its own: the same each time it is asked for."""
    return format_uuid(hashlib.blake2b(f"{queue_arn} {item_id}".encode(), digest_size=16).digest())


def read_meta(item: Item) -> MessageMeta:
    """What is kept beside a message's body, with its id."""
    meta = decode_meta(item.meta)
    return meta if meta.message_id else replace(meta, message_id=message_id_of(item.queue, item.id))
