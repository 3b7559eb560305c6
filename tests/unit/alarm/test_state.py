"""An alarm's state as CloudWatch decides it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from busway.alarm.series import Series
from busway.alarm.state import ALARM, INSUFFICIENT_DATA, OK, TREATMENTS, Datapoint, Rule, decide

KEEP = "(keep)"


def points(drawing: str) -> list[Datapoint]:
    """`0 - X`: fine, missing, breaching."""
    values = {"0": 0.0, "X": 5.0, "-": None}
    return [Datapoint(60.0 * index, values[mark]) for index, mark in enumerate(drawing.split())]


# CloudWatch's user guide, "How alarm state is evaluated when data is missing": (m of 3, points, state by treatment).
TABLE = [
    (3, "0 - X - X", (OK, OK, OK, OK)),
    (3, "0 - - - -", (OK, OK, OK, OK)),
    (3, "- - - - -", (INSUFFICIENT_DATA, KEEP, ALARM, OK)),
    (3, "0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
    (3, "- - X - -", (ALARM, KEEP, ALARM, OK)),
    (2, "0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
    (2, "0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
    (2, "0 - X - -", (OK, OK, ALARM, OK)),
    (2, "- - - - 0", (OK, OK, ALARM, OK)),
    (2, "- - - X -", (ALARM, KEEP, ALARM, OK)),
]


@pytest.mark.parametrize(("needed", "drawing", "states"), TABLE)
@pytest.mark.parametrize("present", [OK, ALARM, INSUFFICIENT_DATA])
def test_missing_data_is_treated_as_cloudwatch_does(needed: int, drawing: str, states: tuple[str, ...], present: str):
    for treatment, wanted in zip(TREATMENTS, states, strict=True):
        rule = Rule("GreaterThanThreshold", 1.0, 3, needed, treatment)
        decision = decide(rule, points(drawing), present)
        assert decision.state == (present if wanted == KEEP else wanted), treatment


@pytest.mark.parametrize(
    ("comparison", "at_threshold", "above"),
    [
        ("GreaterThanOrEqualToThreshold", ALARM, ALARM),
        ("GreaterThanThreshold", OK, ALARM),
        ("LessThanThreshold", OK, OK),
        ("LessThanOrEqualToThreshold", ALARM, OK),
    ],
)
def test_each_comparison(comparison: str, at_threshold: str, above: str):
    rule = Rule(comparison, 1.0)
    assert decide(rule, [Datapoint(0, 1.0)], OK).state == at_threshold
    assert decide(rule, [Datapoint(0, 2.0)], OK).state == above


def test_the_reason_is_worded_as_cloudwatch_words_it():
    rule = Rule("GreaterThanThreshold", 50.0)
    at = 1570035540.0
    assert decide(rule, [Datapoint(at, 99.5)], OK).reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [99.5 (02/10/19 16:59:00)] was greater than the threshold "
        "(50.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert decide(rule, [Datapoint(at, 1.0)], ALARM).reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [1.0 (02/10/19 16:59:00)] was not greater than the "
        "threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert decide(rule, [Datapoint(at, None)], OK).reason == "Insufficient Data: 1 datapoint was unknown."
    breaching = Rule("GreaterThanThreshold", 50.0, 2, 2, "breaching")
    assert decide(breaching, points("- -"), OK).reason == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as "
        "[Breaching]."
    )


def test_the_period_under_way_counts_with_its_newest_sample():
    series = Series(60, 3)
    series.add(61, 4)
    series.add(65, 0)
    assert [p.value for p in series.points(70, "Maximum")] == [None, None, 0]
    assert [p.value for p in series.points(121, "Maximum")] == [None, 4, None]
    assert [p.value for p in series.points(121, "Minimum")] == [None, 0, None]
    assert [p.value for p in series.points(121, "Average")] == [None, 2, None]
    assert [p.value for p in series.points(121, "Sum")] == [None, 0, None]


def test_periods_begin_at_the_epoch_and_old_ones_are_forgotten():
    series = Series(60, 2)
    for at in (0, 60, 120, 180):
        series.add(at, at)
    assert [(p.at, p.value) for p in series.points(185, "Maximum")] == [(120, 120), (180, 180)]


@given(
    st.lists(st.sampled_from([None, 0.0, 5.0]), min_size=1, max_size=5),
    st.integers(1, 5), st.integers(1, 5), st.sampled_from(TREATMENTS), st.sampled_from([OK, ALARM]),
)  # fmt: skip
def test_the_reason_says_nothing_of_a_datapoint_that_is_not_so(
    values: list[float | None], periods: int, needed: int, treatment: str, present: str
):
    rule = Rule("GreaterThanThreshold", 1.0, periods, min(needed, periods), treatment)
    reason = decide(rule, [Datapoint(60.0 * n, value) for n, value in enumerate(values)], present).reason
    if "out of the last" in reason:
        shown = reason.partition("[")[2].partition("]")[0]
        assert ("5.0 (" in shown) != ("0.0 (" in shown)
        assert ("not greater" in reason) == ("0.0 (" in shown)
