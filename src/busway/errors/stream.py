"""Kinesis-shaped streams. The words are AWS's where they are known."""

from __future__ import annotations

from busway.errors.root import BuswayError


class StreamError(BuswayError):
    """Base of what the stream room refuses: a bad request, not a fault of ours."""


class StreamNotFound(StreamError):
    """No such stream."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"Stream {name} under account {account} not found.")
        self.name, self.account = name, account


class ShardNotFound(StreamError):
    """The stream has no such shard, or has it no more."""

    def __init__(self, shard_id: str, name: str, account: str, *, reshard: bool = False) -> None:
        """AWS says it in other words where the shard was to be split or merged."""
        where = f"{shard_id} in stream {name} under account {account}"
        super().__init__(f"Could not find shard {where}." if reshard else f"Shard {where} does not exist")
        self.shard_id, self.name, self.account = shard_id, name, account


class StreamNameTaken(StreamError):
    """A stream of that name exists."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"Stream {name} under account {account} already exists.")
        self.name, self.account = name, account


class StreamBusy(StreamError):
    """The stream is being deleted."""

    def __init__(self, name: str, account: str, status: str) -> None:
        super().__init__(f"Stream {name} under account {account} not ACTIVE, instead in state {status}")
        self.name, self.account, self.status = name, account, status


class InvalidStreamRequest(StreamError):
    """A parameter of a stream request has a value that cannot be used."""


class StreamModeRefuses(StreamError):
    """The stream's capacity mode does not know this request."""


class StreamLimitExceeded(StreamError):
    """More shards than there may be."""


class InvalidSequenceNumber(StreamError):
    """A text that is no sequence number of this server."""

    def __init__(self, number: str) -> None:
        super().__init__(f"Sequence number {number[:200]} is invalid.")
        self.number = number


class ForeignSequenceNumber(StreamError):
    """A sequence number of another shard."""

    def __init__(self, number: str, shard_id: str) -> None:
        super().__init__(f"Sequence number {number} is one of {shard_id}.")
        self.number, self.shard_id = number, shard_id


class InvalidShardIterator(StreamError):
    """A text that is no shard iterator of this server."""

    def __init__(self) -> None:
        super().__init__("Invalid ShardIterator.")


class ExpiredShardIterator(StreamError):
    """A shard iterator older than five minutes."""


class ShardThrottled(StreamError):
    """The shard's write quota for this second is used up."""

    def __init__(self, shard_id: str, name: str, account: str) -> None:
        super().__init__(f"Rate exceeded for shard {shard_id} in stream {name} under account {account}.")
        self.shard_id, self.name, self.account = shard_id, name, account
