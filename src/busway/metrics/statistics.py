"""What is known of a metric's samples in a period: five statistics, and enough of the values for percentiles. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
# Ours: so many different values of a period are kept as they are; of more, each by its first three digits.
VALUES_MAX = 500
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")


class Statistics(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`values` is how often each was seen; None where only the other four were told, and no percentile is known."""

    samples: float
    total: float
    low: float
    high: float
    values: dict[float, float] | None


def of_values(counts: Mapping[float, float]) -> Statistics:
    """`counts`: how often each value was seen, at least one."""
    total = sum(value * count for value, count in counts.items())
    return Statistics(sum(counts.values()), total, min(counts), max(counts), _bounded(dict(counts)))


def of_set(samples: float, total: float, low: float, high: float) -> Statistics:
    """A statistic set as a client sends it; where all its samples are one value, that is known too."""
    values = {low: samples} if samples and (samples == 1 or low == high) else None
    return Statistics(samples, total, low, high, values)


def merged(parts: Iterable[Statistics]) -> Statistics | None:
    """Of all samples together; None for none."""
    found = list(parts)
    if len(found) < 2:
        return found[0] if found else None
    values: dict[float, float] | None = {}
    for part in found:
        if part.values is None or values is None:
            values = None
            continue
        for value, count in part.values.items():
            values[value] = values.get(value, 0.0) + count
    return Statistics(
        sum(part.samples for part in found),
        sum(part.total for part in found),
        min(part.low for part in found),
        max(part.high for part in found),
        values and _bounded(values),
    )


def short(value: float) -> float:
    """As it is kept beside many others: its first three digits."""
    return float(f"{value:.3g}")


def _bounded(values: dict[float, float]) -> dict[float, float]:
    if len(values) <= VALUES_MAX:
        return values
    rounded: dict[float, float] = {}
    for value, count in values.items():
        kept = short(value)
        rounded[kept] = rounded.get(kept, 0.0) + count
    return rounded


def is_statistic(name: str) -> bool:
    """Whether `value` knows it."""
    return name in SIMPLE or _PERCENTILE.fullmatch(name) is not None


def value(found: Statistics, statistic: str) -> float | None:
    """One of SIMPLE, or a percentile such as `p99.9`; None where that is not known."""
    match statistic:
        case "SampleCount":
            return found.samples
        case "Sum":
            return found.total
        case "Average":
            return found.total / found.samples if found.samples else None
        case "Minimum":
            return found.low
        case "Maximum":
            return found.high
        case _:
            percentile = _PERCENTILE.fullmatch(statistic)
            return _percentile(found.values, float(percentile[1])) if percentile and found.values else None


def _percentile(values: Mapping[float, float], percent: float) -> float:
    """Between the two samples around it, in proportion."""
    ordered = sorted(values.items())
    place = percent / 100 * (sum(values.values()) - 1)
    seen, below = 0.0, ordered[0][0]
    for number, count in ordered:
        if place < seen:
            # Between the last sample of the value before and the first of this one.
            return below + (number - below) * (place - seen + 1)
        seen += count
        if place <= seen - 1:
            return number
        below = number
    return below
