"""What is kept of log groups. Pure."""

from __future__ import annotations

import msgspec

from busway.arn import Scope

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
)  # fmt: skip


class Seen(msgspec.Struct):
    """What is known of a stream's events: times of the first and the last, and when one came last; milliseconds."""

    first_ms: int | None = None
    last_ms: int | None = None
    ingested_ms: int | None = None

    def add(self, first_ms: int, last_ms: int, ingested_ms: int) -> None:
        self.first_ms = first_ms if self.first_ms is None else min(self.first_ms, first_ms)
        self.last_ms = last_ms if self.last_ms is None else max(self.last_ms, last_ms)
        self.ingested_ms = ingested_ms if self.ingested_ms is None else max(self.ingested_ms, ingested_ms)


class Segment(msgspec.Struct, array_like=True):
    """A stretch of a group's journal: its last offset, when that came (Unix seconds), and what it counts in bytes."""

    last: int
    at: float
    size: int


class GroupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A group. `ending`: it is being deleted.

    `segments` is what the journal held up to the offset `counted`; what came later is counted at the next start.
    """

    arn: str
    name: str
    created_at: float
    retention_days: int | None = None
    kind: str = "STANDARD"
    tags: dict[str, str] = {}
    ending: bool = False
    segments: list[Segment] = []
    counted: int = 0

    @property
    def journal(self) -> str:
        return f"logs/{self.arn}"


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stream of a group. `begins`: what the journal holds up to there was of another one of that name."""

    group: str
    name: str
    created_at: float
    begins: int
    seen: Seen = msgspec.field(default_factory=Seen)


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """What one PutLogEvents left in the journal. `events` is a list of (Unix milliseconds, message), undecoded."""

    stream: str
    first_ms: int
    last_ms: int
    size: int
    events: msgspec.Raw


def group_arn(scope: Scope, name: str) -> str:
    return scope.arn("logs", f"log-group:{name}")


def milliseconds(at: float) -> int:
    """Unix milliseconds of Unix seconds."""
    return int(at * 1000)
