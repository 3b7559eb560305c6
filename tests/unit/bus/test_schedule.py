"""Schedule expressions: what AWS takes and refuses, and when they are due."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from busway.bus.schedule import parse_schedule
from busway.errors import InvalidBusRequest

# A Tuesday.
START = "2026-11-24T00:00"


def due(expression: str, after: str = START, count: int = 3) -> list[str]:
    schedule, at, found = parse_schedule(expression), at_of(after), list[str]()
    while len(found) < count and (later := schedule.next_after(at)) is not None:
        at = later
        found.append(datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M"))
    return found


def at_of(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("rate(1 minute)", ["2026-11-24T00:01", "2026-11-24T00:02", "2026-11-24T00:03"]),
        ("rate(12 hours)", ["2026-11-24T12:00", "2026-11-25T00:00", "2026-11-25T12:00"]),
        ("rate(7 days)", ["2026-12-01T00:00", "2026-12-08T00:00", "2026-12-15T00:00"]),
        ("cron(* * * * ? *)", ["2026-11-24T00:01", "2026-11-24T00:02", "2026-11-24T00:03"]),
        ("cron(0 9 ? * MON-FRI *)", ["2026-11-24T09:00", "2026-11-25T09:00", "2026-11-26T09:00"]),
        ("cron(0/30 20-23 ? * 2-6 *)", ["2026-11-24T20:00", "2026-11-24T20:30", "2026-11-24T21:00"]),
        ("cron(0 20-2/3 * * ? *)", ["2026-11-24T02:00", "2026-11-24T20:00", "2026-11-24T23:00"]),
        ("cron(0 2 ? * SAT#3 *)", ["2026-12-19T02:00", "2027-01-16T02:00", "2027-02-20T02:00"]),
        ("cron(0 2 ? * 6L *)", ["2026-11-27T02:00", "2026-12-25T02:00", "2027-01-29T02:00"]),
        ("cron(0 2 ? * L *)", ["2026-11-28T02:00", "2026-12-26T02:00", "2027-01-30T02:00"]),
        ("cron(0 9 L * ? *)", ["2026-11-30T09:00", "2026-12-31T09:00", "2027-01-31T09:00"]),
        ("cron(0 9 1W * ? *)", ["2026-12-01T09:00", "2027-01-01T09:00", "2027-02-01T09:00"]),
        ("cron(0 9 3W 12-1 ? *)", ["2026-12-03T09:00", "2027-01-04T09:00", "2027-12-03T09:00"]),
        ("cron(0 9 1W MAY ? 2027)", ["2027-05-03T09:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
        ("cron(5,1 0 ? 1 1,7 2027)", ["2027-01-02T00:01", "2027-01-02T00:05", "2027-01-03T00:01"]),
        ("cron(0 0 31 2 ? *)", []),
        ("cron(15 10 ? * 6L 2002-2005)", []),
    ],
)
def test_an_expression_is_due_when_aws_s_pages_say(expression: str, times: list[str]):
    assert due(expression) == times


@pytest.mark.parametrize(
    "expression",
    [
        "", "cron(INVALID)", "cron(0 1 * * * *)", "cron(0 1 ? * ? *)", "cron(7 20 * * NOT *)", "cron(71 8 1 * ? *)",
        "cron(0 dummy ? * MON-FRI *)", "cron(0 0 ? * 2#6 *)", "cron(0 0 ? * 2#1,3 *)", "cron(0 0 0 * ? *)",
        "cron(0 0 32W * ? *)", "cron(*/0 * * * ? *)", "cron(* * * * ? 2030-2020)", "cron(* * * * ? 2200)",
        "cron(* * * * ?)", "rate(1 minutes)", "rate(2 minute)", "rate(0 minutes)", "rate(01 minutes)",
        "rate(5 seconds)", "rate(5  minutes)", "rate(-5 minutes)", "at(2026-01-01T00:00:00)", "cron(,1 * * * ? *)",
    ],
)  # fmt: skip
def test_what_aws_refuses_is_refused_in_its_words(expression: str):
    with pytest.raises(InvalidBusRequest, match=r"^Parameter ScheduleExpression is not valid\.$"):
        parse_schedule(expression)


@given(st.text(max_size=60) | st.from_regex(r"cron\([0-9*?/,LW#A-Z -]{0,40}\)", fullmatch=True))
def test_any_text_is_a_schedule_or_refused(text: str):
    try:
        schedule = parse_schedule(text)
    except InvalidBusRequest:
        return
    later = schedule.next_after(at_of(START))
    assert later is None or later > at_of(START)


@given(st.sampled_from(["rate(1 minute)", "rate(7 hours)", "cron(* * * * ? *)"]), st.integers(0, 400_000_000))
def test_who_catches_up_is_due_next_when_it_would_have_been(expression: str, missed_s: int):
    schedule, began = parse_schedule(expression), at_of(START)
    now = began + missed_s
    later = schedule.next_after(schedule.caught_up(began, now))
    assert later is not None and later > now
    period = {"rate(7 hours)": 25_200}.get(expression, 60)
    assert later - now <= period and (later - began) % period == 0


def field(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """A field's text with the values that it means."""
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(sorted)
    return st.one_of(
        st.just(("*", set(range(low, high + 1)))),
        number.map(lambda n: (str(n), {n})),
        ranges.map(lambda r: (f"{r[0]}-{r[1]}", set(range(r[0], r[1] + 1)))),
        st.tuples(number, st.integers(1, high)).map(lambda p: (f"{p[0]}/{p[1]}", set(range(p[0], high + 1, p[1])))),
        st.lists(number, min_size=1, max_size=3).map(lambda ns: (",".join(map(str, ns)), set(ns))),
    )


@settings(max_examples=60)
@given(field(0, 59), field(0, 23), field(1, 31), field(1, 12), st.booleans(), st.datetimes(
    datetime(2024, 1, 1), datetime(2030, 1, 1)
))  # fmt: skip
def test_the_next_time_is_the_first_minute_that_fits(
    minutes: tuple[str, set[int]],
    hours: tuple[str, set[int]],
    days: tuple[str, set[int]],
    months: tuple[str, set[int]],
    by_weekday: bool,
    after: datetime,
):
    weekdays = {day % 7 + 1 for day in days[1]}
    day_fields = f"? {months[0]} {','.join(map(str, sorted(weekdays)))}" if by_weekday else f"{days[0]} {months[0]} ?"
    schedule = parse_schedule(f"cron({minutes[0]} {hours[0]} {day_fields} *)")

    def fits(day: datetime) -> bool:
        # 1 is Sunday.
        of_week = (day.weekday() + 1) % 7 + 1
        return day.month in months[1] and (of_week in weekdays if by_weekday else day.day in days[1])

    found = schedule.next_after(after.replace(tzinfo=UTC).timestamp())
    first = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = first.replace(hour=0, minute=0)
    for _ in range(4 * 366 + 1):
        if fits(day):
            times = (day.replace(hour=h, minute=m) for h in sorted(hours[1]) for m in sorted(minutes[1]))
            wanted = next((time for time in times if time >= first), None)
            if wanted is not None:
                assert found == calendar.timegm(wanted.timetuple())
                return
        day += timedelta(days=1)
    assert found is None or found >= calendar.timegm(day.timetuple())
