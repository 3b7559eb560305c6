"""What state an alarm is in: a pure decision from its data points. No clock, no I/O.

The rules for missing data points are CloudWatch's ("Configuring how CloudWatch alarms treat missing data"):
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

# CloudWatch looks at more periods than it judges, so that a late data point isn't missed: 5 for 3 in its own tables.
RANGE_BEYOND_JUDGED = 2

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}

# Ours: data points that a reason names, the newest; a reason has at most 1,023 characters (botocore's model).
SHOWN_MAX = 20

TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@dataclass(frozen=True, slots=True)
class Rule:
    """At least `datapoints_to_alarm` of `evaluation_periods` data points compare so with the threshold."""

    comparison: str
    threshold: float
    evaluation_periods: int = 1
    datapoints_to_alarm: int = 1
    missing: str = "missing"


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The value of one period; `at` is the period's start in Unix seconds, None stands for no value."""

    at: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The state, and why in CloudWatch's words; `data` is the same as JSON, where it is known."""

    state: str
    reason: str
    data: str | None = None


def decide(rule: Rule, points: Sequence[Datapoint], present: str) -> Decision:
    """The state that `points` (oldest first, one a period) put an alarm into whose state is `present`.

    `points` holds `evaluation_periods + RANGE_BEYOND_JUDGED` periods, the newest last.
    """
    state = state_of(rule, points, present)
    return Decision(state, _reason(rule, points, state))


def state_of(rule: Rule, points: Sequence[Datapoint], present: str) -> str:
    """What `decide` decides, without the words."""
    values = [point.value for point in points]
    compare = COMPARISONS[rule.comparison][0]
    breaching = [compare(value, rule.threshold) for value in values if value is not None]
    judged = breaching[-rule.evaluation_periods :]
    lacking = max(0, rule.evaluation_periods - len(judged))
    if lacking and rule.missing == "breaching":
        return ALARM if sum(judged) + lacking >= rule.datapoints_to_alarm else OK
    if sum(judged) >= rule.datapoints_to_alarm:
        return ALARM
    if not lacking or rule.missing == "notBreaching":
        return OK
    if not judged:
        return present if rule.missing == "ignore" else INSUFFICIENT_DATA
    oldest_age = next(len(values) - index for index, value in enumerate(values) if value is not None)
    if all(judged) and oldest_age >= rule.datapoints_to_alarm:
        # All that is known breaches, and for long enough: CloudWatch's "premature alarm" rule.
        return present if rule.missing == "ignore" else ALARM
    return OK


def _reason(rule: Rule, points: Sequence[Datapoint], state: str) -> str:
    compare, words = COMPARISONS[rule.comparison]
    real = [(point.at, point.value) for point in points if point.value is not None][-rule.evaluation_periods :]
    if not real:
        count = rule.evaluation_periods
        if rule.missing in ("breaching", "notBreaching"):
            treated = "Breaching" if rule.missing == "breaching" else "NonBreaching"
            verb = "datapoint was" if count == 1 else "datapoints were"
            periods = "period" if count == 1 else "periods"
            return (
                f"Threshold Crossed: no datapoints were received for {count} {periods} and {count} missing {verb} "
                f"treated as [{treated}]."
            )
        return f"Insufficient Data: {count} datapoint{' was' if count == 1 else 's were'} unknown."
    said = [(at, value) for at, value in real if compare(value, rule.threshold) == (state == ALARM)]
    if not said:
        # All that is known breaches, and is too little to ring: so it says.
        said, state = real, ALARM if state != ALARM else OK
    newest = list(reversed(said))[:SHOWN_MAX]
    shown = ", ".join(f"{value} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, value in newest)
    if len(said) > SHOWN_MAX:
        shown += ", …"
    verb = ("was" if len(said) == 1 else "were") + ("" if state == ALARM else " not")
    needed = rule.datapoints_to_alarm if state == ALARM else rule.evaluation_periods - rule.datapoints_to_alarm + 1
    move = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
    plural = "" if needed == 1 else "s"
    return (
        f"Threshold Crossed: {len(said)} out of the last {len(real)} datapoints [{shown}] {verb} {words} the "
        f"threshold ({rule.threshold}) (minimum {needed} datapoint{plural} for {move} transition)."
    )
