"""A Kinesis-shaped stream of this server as a target: the payload is one record.

An append is no queued work, so it goes through the outbox; a crash between the append and the end of its row repeats
the record and loses none, as on AWS. Order between events is not kept on the way, as on AWS.
"""

from __future__ import annotations

from typing import Protocol

from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.engine import Put
from busway.errors import InvalidStreamRequest, ShardThrottled, StorageFull, StreamBusy, StreamNotFound


class Records(Protocol):
    """The part of the stream room that this needs."""

    async def put_record(self, arn: str, data: bytes, partition_key: str | None) -> object: ...


class StreamTarget:
    """Puts the payload into a stream."""

    def __init__(self, streams: Records) -> None:
        self._streams = streams

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_KinesisParameters.html
        key = delivery.event_id if delivery.partition_key is None else delivery.partition_key
        try:
            await self._streams.put_record(delivery.target_arn, delivery.payload, key)
        except StreamNotFound as error:
            return Failed("NO_RESOURCE", str(error), False)
        except InvalidStreamRequest as error:
            return Failed("INVALID_PARAMETER", str(error), False)
        except ShardThrottled as error:
            return Failed("THROTTLING", str(error), True)
        except (StreamBusy, StorageFull) as error:
            return Failed("INTERNAL_ERROR", str(error), True)
        return Delivered()
