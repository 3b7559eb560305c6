"""Spans and metrics for whoever collects them, by OpenTelemetry's OTLP over HTTP.

    spans    steps of the trail  ->  spans of accept, match, attempt, dead letter          (pure)
    otlp     spans and samples   ->  what OpenTelemetry's SDK sends; the only file that imports it
    push     follows the trail, reads the metrics, until cancelled

A view like the trail itself: bounded, best effort, and never in the way of an event. Nothing here is imported where
OTEL_EXPORTER_OTLP_ENDPOINT is not set; with it, the trail has a follower, so every step of every event is noted.
"""

from __future__ import annotations

from collections.abc import Mapping

# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
DISABLED = "OTEL_SDK_DISABLED"

NOT_INSTALLED = (
    f"{ENDPOINT} is set, and nothing is sent there: what sends is not installed; hint: pip install 'busway[otel]'"
)


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment says whereto spans and metrics go."""
    return bool(environ.get(ENDPOINT)) and environ.get(DISABLED, "").lower() != "true"
