"""The server's own metrics into the time series: at the end of every minute, what was seen in it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from busway.clock import Clock
from busway.errors import BuswayError, StorageFull
from busway.metrics import Metrics
from busway.metrics.points import MINUTE_S, Point, metric_of
from busway.metrics.series import TimeSeries

# What CloudWatch says of a metric's unit. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
MILLISECONDS, COUNT, BYTES = "Milliseconds", "Count", "Bytes"
_IN_MS = ("Duration", "IteratorAge", "Milliseconds")

log = logging.getLogger(__name__)


class Feed:
    """`sample` sets the gauges that nobody sets when they change."""

    def __init__(
        self, metrics: Metrics, series: TimeSeries, clock: Clock, sample: Callable[[], Awaitable[None]]
    ) -> None:
        self._metrics, self._series, self._clock, self._sample = metrics, series, clock, sample

    async def run(self) -> None:
        """Every minute, until cancelled; what was seen until then is kept."""
        try:
            while True:
                now = self._clock.now()
                await self._clock.sleep(MINUTE_S - now % MINUTE_S)
                await self._sample()
                await self.keep(now)
                try:
                    await self._series.tend()
                except StorageFull as error:
                    log.warning("metrics are put together later: %s", error)
        finally:
            await self.keep(self._clock.now())

    async def keep(self, at: float) -> None:
        """What was seen, as of the minute of `at`. A minute that cannot be kept is lost, and said so."""
        minute = int(at) - int(at) % MINUTE_S
        for scope, taken in self._metrics.take().items():
            points = [
                Point(metric_of(namespace, name, dict(dimensions)), minute, unit_of(name), seen)
                for (namespace, name, dimensions), seen in taken
            ]
            try:
                await self._series.put(scope, points, own=True)
            except BuswayError as error:
                log.warning("%d metrics of a minute are not kept: %s", len(points), error)


def unit_of(name: str) -> str:
    """By what it is called. Pure."""
    if name.endswith(_IN_MS):
        return MILLISECONDS
    return BYTES if name.endswith("Bytes") else COUNT
