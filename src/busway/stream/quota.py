"""AWS's write limits of a shard, where they are asked for (the setting `shard_limits`).

1,000 records and 1 MiB a second, counted by the second as it comes: what AWS does within a second is not told.
https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
"""

from __future__ import annotations

from dataclasses import dataclass

from busway.clock import Clock

RECORDS_PER_S = 1_000
BYTES_PER_S = 1_048_576


@dataclass(slots=True)
class _Second:
    began: float
    records: int = 0
    size: int = 0


class WriteQuota:
    """Counts what goes into each shard. Off, it lets everything through."""

    def __init__(self, clock: Clock, on: bool) -> None:
        self.on = on
        self._clock = clock
        self._seconds: dict[str, _Second] = {}

    def admits(self, journal: str, size: int) -> bool:
        """Whether one more record of `size` bytes may go into the shard now; counts it if so.

        A record may go in where nothing did in this second, whatever its size: the default limit of a record is as
        large as a second's.
        """
        now = self._clock.monotonic()
        second = self._seconds.get(journal)
        if second is None or now - second.began >= 1.0:
            second = self._seconds[journal] = _Second(now)
        if second.records >= RECORDS_PER_S or (second.size and second.size + size > BYTES_PER_S):
            return False
        second.records += 1
        second.size += size
        return True

    def forget(self, journal: str) -> None:
        self._seconds.pop(journal, None)
