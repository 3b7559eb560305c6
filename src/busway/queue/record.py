"""What is kept of a queue: its name, attributes and tags. Pure."""

from __future__ import annotations

import re
from functools import cached_property

import msgspec

from busway.arn import Scope
from busway.engine import Counts
from busway.errors import InvalidQueueRequest
from busway.queue.attributes import (
    COUNTS,
    FIFO,
    NUMBERS,
    Redrive,
    RedriveAllow,
    parse_redrive,
    parse_redrive_allow,
)

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FIFO_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+\.fifo")
FIFO_SUFFIX = ".fifo"
# Ours: the queue of a bus for what found no other dead-letter queue. A tag tells it from queues that users made.
UNDELIVERABLE_PREFIX = "busway-undeliverable-"
UNDELIVERABLE_TAG = "busway:undeliverable-of"


class QueueRecord(msgspec.Struct, frozen=True, dict=True):
    """A queue as it is stored. `attributes` holds only what was set; times are Unix seconds."""

    arn: str
    name: str
    account: str
    region: str
    created_at: float
    modified_at: float
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    @cached_property
    def fifo(self) -> bool:
        return self.name.endswith(FIFO_SUFFIX)

    @cached_property
    def deduplicates_by_content(self) -> bool:
        return self.attributes.get("ContentBasedDeduplication") == "true"

    @cached_property
    def deduplicates_by_group(self) -> bool:
        return self.attributes.get("DeduplicationScope") == "messageGroup"

    @cached_property
    def delay_s(self) -> int:
        return self._number("DelaySeconds")

    @cached_property
    def message_bytes_max(self) -> int:
        return self._number("MaximumMessageSize")

    @cached_property
    def retention_s(self) -> int:
        return self._number("MessageRetentionPeriod")

    @cached_property
    def wait_s(self) -> int:
        return self._number("ReceiveMessageWaitTimeSeconds")

    @cached_property
    def visibility_s(self) -> int:
        return self._number("VisibilityTimeout")

    @cached_property
    def redrive(self) -> Redrive | None:
        text = self.attributes.get("RedrivePolicy")
        return parse_redrive(text) if text else None

    @cached_property
    def redrive_allow(self) -> RedriveAllow:
        text = self.attributes.get("RedriveAllowPolicy")
        return parse_redrive_allow(text) if text else RedriveAllow()

    def _number(self, name: str) -> int:
        given = self.attributes.get(name)
        return NUMBERS[name].default if given is None else int(given)

    def shown(self, counts: Counts) -> dict[str, str]:
        """Every attribute as GetQueueAttributes gives it; those never set and without a default are absent."""
        return {
            "QueueArn": self.arn,
            **{name: str(getattr(counts, count)) for name, count in COUNTS.items()},
            "CreatedTimestamp": str(int(self.created_at)),
            "LastModifiedTimestamp": str(int(self.modified_at)),
            **{name: str(allowed.default) for name, allowed in NUMBERS.items()},
            "SqsManagedSseEnabled": "false" if "KmsMasterKeyId" in self.attributes else "true",
            **({name: values[0] for name, values in FIFO.items()} if self.fifo else {}),
            **self.attributes,
        }


def check_name(name: str, *, fifo: bool) -> None:
    """Raises `InvalidQueueRequest`. The name of a FIFO queue ends in `.fifo`, and no other does."""
    if fifo and not _FIFO_NAME.fullmatch(name):
        raise InvalidQueueRequest(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end "
            "with .fifo suffix and be 1 to 80 in length."
        )
    if not fifo and not _NAME.fullmatch(name):
        raise InvalidQueueRequest(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )


def merged(present: dict[str, str], changes: dict[str, str]) -> dict[str, str]:
    """Attributes after a change; an empty value takes its attribute away."""
    return {name: value for name, value in {**present, **changes}.items() if value != ""}
