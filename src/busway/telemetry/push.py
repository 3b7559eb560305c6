"""Follows the trail and reads the metrics, and hands both to `Otlp`, until cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from busway.clock import Clock
from busway.metrics import Metrics
from busway.telemetry.otlp import Otlp
from busway.telemetry.spans import Spans
from busway.trail import Follower, Step, Trail

# https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#periodic-exporting-metricreader
INTERVAL, INTERVAL_MS = "OTEL_METRIC_EXPORT_INTERVAL", 60_000

log = logging.getLogger(__name__)


async def push(
    trail: Trail, metrics: Metrics, clock: Clock, environ: Mapping[str, str], measure: Callable[[], Awaitable[None]]
) -> None:
    """`measure` sets the gauges that nobody sets when they change; `clock` is the machine's own."""
    otlp = Otlp(environ, metrics.started_at)

    async def send_metrics() -> None:
        await measure()
        await asyncio.to_thread(otlp.metrics, metrics.snapshot(), clock.now())

    interval_s = _interval_s(environ.get(INTERVAL, ""))
    with trail.follow() as steps:
        following = asyncio.create_task(_follow(steps, otlp), name="telemetry of the trail")
        try:
            while True:
                await clock.sleep(interval_s)
                try:
                    await send_metrics()
                except Exception:
                    log.exception("metrics were not sent by OTLP; they are tried again in %g s", interval_s)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await asyncio.to_thread(otlp.close)


async def _follow(steps: Follower[Step], otlp: Otlp) -> None:
    spans = Spans()
    async for step in steps:
        if step.kind == "missed":
            log.warning("%s steps came faster than they could be sent as spans", step.facts.get("count"))
        for span in spans.of(step):
            otlp.span(span)


def _interval_s(text: str) -> float:
    return (int(text) if text.isdecimal() and int(text) > 0 else INTERVAL_MS) / 1000
