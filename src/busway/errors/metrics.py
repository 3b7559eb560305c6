"""Metrics: what cannot be kept, or cannot be asked."""

from __future__ import annotations

from busway.errors.root import BuswayError


class InvalidExpression(BuswayError):
    """A metric math expression that says nothing, or too much."""


class InvalidMetric(BuswayError):
    """Metric data, or a question about it, that is out of its range."""


class ConflictingMetric(BuswayError):
    """Metric data, or a question about it, that says two things which cannot both be."""


class TooManyMetrics(BuswayError):
    """An account has as many metrics in a Region as are kept."""

    def __init__(self, metrics_max: int) -> None:
        super().__init__(f"There are {metrics_max} metrics already; each set of dimensions is one of its own.")
        self.hint = "dimensions are for what is aggregated; an id of each request belongs into a log"
