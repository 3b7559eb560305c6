"""Metric math: precedence, what is not defined, and what is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from busway.errors import InvalidExpression
from busway.metrics.expression import DEPTH_MAX, parse
from busway.metrics.points import metric_of
from busway.metrics.queries import Query, Stat, answers, periods_of, starts_between
from busway.metrics.values import Known, Value

ERRORS, CALLS, GAPS = {0: 1.0, 60: 2.0, 120: 0.0}, {0: 10.0, 60: 0.0, 120: 5.0}, {0: 1.0, 120: 3.0}
KNOWN = Known({"e": ERRORS, "c": CALLS, "g": GAPS}, {"errors": ERRORS, "calls": CALLS}, 60, [0, 60, 120])


def found(text: str) -> Value:
    return parse(text).evaluate(KNOWN)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("(1 + 2) * 3", 9.0),
        ("-2 ^ 2", -4.0),
        ("2 * -3", -6.0),
        ("1e2 + 0.5", 100.5),
        ("1 < 2 AND 2 <= 1 OR 3 != 3", 0.0),
        ("1 == 1 && 2 > 1", 1.0),
        ("100 * e / c", {0: 10.0, 120: 0.0}),
        ("e + g", {0: 2.0, 120: 3.0}),
        ("e > 0", {0: 1.0, 60: 1.0, 120: 0.0}),
        ("SUM(e)", 3.0),
        ("METRIC_COUNT(METRICS())", 2.0),
        ("SUM(METRICS()) / METRIC_COUNT(METRICS())", {0: 5.5, 60: 1.0, 120: 2.5}),
        ("AVG(METRICS())", {0: 5.5, 60: 1.0, 120: 2.5}),
        ("MAX([e, c])", {0: 10.0, 60: 2.0, 120: 5.0}),
        ('SUM(METRICS("err"))', ERRORS),
        ("METRICS() * 2", [{0: 2.0, 60: 4.0, 120: 0.0}, {0: 20.0, 60: 0.0, 120: 10.0}]),
        ("FILL(g, 0)", {0: 1.0, 60: 0.0, 120: 3.0}),
        ("FILL(g, REPEAT)", {0: 1.0, 60: 1.0, 120: 3.0}),
        ("FILL(g, LINEAR)", {0: 1.0, 60: 2.0, 120: 3.0}),
        ("IF(c > 0, e / c, 0)", {0: 0.1, 60: 0.0, 120: 0.0}),
        ("IF(e, c)", {0: 10.0, 60: 0.0}),
        ("IF(1, e, c)", ERRORS),
        ("DIFF(e)", {60: 1.0, 120: -2.0}),
        ("RATE(g)", {120: 2 / 120}),
        ("RUNNING_SUM(e)", {0: 1.0, 60: 3.0, 120: 3.0}),
        ("PERIOD(e)", 60.0),
        ("ABS(e - 2)", {0: 1.0, 60: 0.0, 120: 2.0}),
        ("LOG10(c)", {0: 1.0, 120: pytest.approx(0.69897, rel=1e-5)}),
        ("TIME_SERIES(7)", {0: 7.0, 60: 7.0, 120: 7.0}),
    ],
)
def test_an_expression_is_what_cloudwatch_makes_of_it(text: str, wanted: object):
    assert found(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("e)", "character 2: '\\)' is not expected"),
        ("e c", "character 3: 'c'"),
        ("1 +", "'its end' is not expected"),
        ("e $ c", "character 2"),
        ("FOO(e)", "the function FOO is not built"),
        ("SUM(e, c)", "SUM takes 1 values, not 2"),
        ("SUM(1)", "SUM takes a series"),
        ("1 / 0", "division by zero"),
        ("METRICS() + [e]", "arrays of 2 and 1 series"),
        ("[1, e]", "an array is of series"),
        ("(" * (DEPTH_MAX + 1) + "1" + ")" * (DEPTH_MAX + 1), "nests deeper"),
    ],
)
def test_what_is_none_is_refused_with_its_place(text: str, said: str):
    with pytest.raises(InvalidExpression, match=said):
        found(text)


@given(st.text(alphabet="ec()+-*/^<>=&|,[]0.1 FILMETRCSU'", max_size=20))
def test_no_text_does_anything_but_give_a_value_or_say_why_not(text: str):
    try:
        expression = parse(text)
        value = expression.evaluate(KNOWN) if expression.refers <= set(KNOWN.series) else 0
    except InvalidExpression:
        return
    assert isinstance(value, float | int | list | dict)


def starts(period_s: int) -> list[int]:
    return starts_between(0, 120, period_s)


def asked(name: str, text: str) -> Query:
    return Query(name, parse(text))


@pytest.mark.parametrize("text", ["LOG(0)", "m + LOG(SUM(m))", "CEIL(1 / 0)"])
def test_what_is_not_defined_is_an_error_in_words(text: str):
    stat = Stat(metric_of("Shop", "Calls", {}), 60, "Sum")
    with pytest.raises(InvalidExpression):
        answers([asked("e", text), Query("m", stat, 60)], {stat: {0: 0.0}}, starts)


def test_hundreds_of_queries_that_refer_to_all_before_them_have_their_periods_at_once():
    stat = Stat(metric_of("Shop", "Calls", {}), 300, "Sum")
    later = [asked(f"e{number}", " + ".join(f"e{before}" for before in range(number))) for number in range(1, 100)]
    queries = [Query("e0", stat, 300), *later]
    assert set(periods_of(queries).values()) == {300}


def test_a_line_is_filled_between_the_points_that_are_there():
    series = {0: 0.0, 180: 3.0, 300: 3.0}
    stat = Stat(metric_of("Shop", "Calls", {}), 60, "Sum")
    queries = [asked("e", "FILL(m, LINEAR)"), Query("m", stat, 60)]
    found = answers(queries, {stat: series}, lambda _: range(-60, 420, 60))["e"]
    assert found == {0: 0, 60: 1, 120: 2, 180: 3, 240: 3, 300: 3}


def test_queries_refer_to_each_other_in_any_order_but_in_no_circle():
    stat = Stat(metric_of("Shop", "Calls", {}), 60, "Sum")
    queries = [asked("b", "a * 2"), asked("a", "m + TIME_SERIES(1)"), Query("m", stat, 60)]
    assert answers(queries, {stat: {}}, starts)["b"] == {}
    with pytest.raises(InvalidExpression, match="there is no query 'm'"):
        answers(queries[:2], {}, starts)
    with pytest.raises(InvalidExpression, match="in a circle"):
        answers([asked("a", "b"), asked("b", "a")], {}, starts)
