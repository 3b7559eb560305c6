"""When a rule's ScheduleExpression is due: `rate(5 minutes)`, `cron(0 9 ? * MON-FRI *)`. Pure; times are UTC.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from busway.errors import InvalidBusRequest

PERIODS_S = {"minute": 60, "hour": 3_600, "day": 86_400}
YEAR_MIN, YEAR_MAX = 1970, 2199
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
# 1 is Sunday.
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}

_RATE = re.compile(r"rate\(([1-9][0-9]{0,8}) (minute|hour|day)(s?)\)")
_CRON = re.compile(r"cron\(([^()]*)\)")
_PART = re.compile(r"(\*|([0-9A-Z]+)(?:-([0-9A-Z]+))?)(?:/([0-9]+))?")
_NEAREST = re.compile(r"([0-9]+)W")
_LAST = re.compile(r"([0-9A-Z]*)L")
_NTH = re.compile(r"([0-9A-Z]+)#([1-5])")


Days = Callable[[int, int, int], set[int]]
"""The days that a part of a field means in a month: from its year, its number and its length."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Every `period_s` seconds, the first time one period after its beginning."""

    period_s: int

    def next_after(self, at: float) -> float | None:
        """The next time, in Unix seconds, after `at`, which is a time at which it was due, or its beginning."""
        return at + self.period_s

    def caught_up(self, at: float, now: float) -> float:
        """From where to go on at `now`, having been due at `at`: what lies between is left out, the rhythm stays."""
        return at + (now - at) // self.period_s * self.period_s


@dataclass(frozen=True, slots=True)
class Cron:
    """Some minutes of some days, which are those of any of `days`."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[Days, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]

    def next_after(self, at: float) -> float | None:
        """The next time, in Unix seconds, after `at`; None when the years are over."""
        first = datetime.fromtimestamp(at // 60 * 60, UTC) + timedelta(minutes=1)
        for day in self._dates(first.date()):
            for hour in self.hours:
                for minute in self.minutes:
                    due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if due >= first:
                        return due.timestamp()
        return None

    def caught_up(self, at: float, now: float) -> float:
        """From where to go on at `now`, having been due at `at`: what lies between is left out."""
        return max(at, now)

    def _dates(self, first: date) -> Iterator[date]:
        for year in self.years:
            if year < first.year:
                continue
            for month in self.months:
                length = calendar.monthrange(year, month)[1]
                if date(year, month, length) >= first:
                    found = set[int]().union(*(days(year, month, length) for days in self.days))
                    yield from (day for n in sorted(found) if (day := date(year, month, n)) >= first)


Schedule = Rate | Cron


def parse_schedule(expression: str) -> Schedule:
    """Raises `InvalidBusRequest` in AWS's words."""
    try:
        return _schedule(expression)
    except ValueError as error:
        raise InvalidBusRequest("Parameter ScheduleExpression is not valid.") from error


def _schedule(expression: str) -> Schedule:
    """This, and what it calls, raises ValueError."""
    if rate := _RATE.fullmatch(expression):
        count = int(rate[1])
        if (count == 1) != (rate[3] == ""):
            raise ValueError(
                f"{count} takes {rate[2]}{'' if count == 1 else 's'}: singular for one, and only for one"
            )
        return Rate(count * PERIODS_S[rate[2]])
    cron = _CRON.fullmatch(expression)
    if cron is None:
        raise ValueError("neither rate nor cron")
    minutes, hours, days, months, weekdays, years = cron[1].upper().split()
    if (days == "?") == (weekdays == "?"):
        raise ValueError("one of day-of-month and day-of-week must be ?, and only one")
    if "#" in weekdays and "," in weekdays:
        raise ValueError("found # in a list")
    return Cron(
        tuple(_numbers(minutes, 0, 59)),
        tuple(_numbers(hours, 0, 23)),
        tuple(map(_by_weekday, weekdays.split(",")) if days == "?" else map(_by_number, days.split(","))),
        tuple(_numbers(months, 1, 12, _MONTHS)),
        tuple(_numbers(years, YEAR_MIN, YEAR_MAX, wraps=False)),
    )


def _numbers(
    field: str, low: int, high: int, names: dict[str, int] | None = None, *, wraps: bool = True
) -> list[int]:
    """The values of a field, sorted. A range may pass the end (`20-2`), where that makes sense."""
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"found {part!r}")
        step = int(match[4] or 1)
        if match[1] == "*":
            first, last = low, high
        else:
            first = _number(match[2], low, high, names)
            last = _number(match[3], low, high, names) if match[3] else high if match[4] else first
        if step < 1 or (last < first and not wraps):
            raise ValueError(f"found {part!r}")
        span = high - low + 1
        found |= {low + (n - low) % span for n in range(first, last + (span if last < first else 0) + 1, step)}
    return sorted(found)


def _number(text: str, low: int, high: int, names: dict[str, int] | None) -> int:
    number = (names or {}).get(text)
    number = int(text) if number is None else number
    if not low <= number <= high:
        raise ValueError(f"found {number}, wanted {low} to {high}")
    return number


def _by_number(part: str) -> Days:
    """A part of the field day-of-month."""
    if part == "L":
        return lambda year, month, length: {length}
    if nearest := _NEAREST.fullmatch(part):
        wanted = _number(nearest[1], 1, 31, None)
        return lambda year, month, length: (
            {_nearest_workday(year, month, wanted, length)} if wanted <= length else set()
        )
    numbers = _numbers(part, 1, 31)
    return lambda year, month, length: {day for day in numbers if day <= length}


def _nearest_workday(year: int, month: int, day: int, length: int) -> int:
    """Never in another month."""
    weekday = date(year, month, day).weekday()
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _by_weekday(part: str) -> Days:
    """A part of the field day-of-week."""
    if nth := _NTH.fullmatch(part):
        weekday, place = _number(nth[1], 1, 7, _WEEKDAYS), int(nth[2])
        return lambda year, month, length: set(_of_weekday(weekday, year, month, length)[place - 1 : place])
    if last := _LAST.fullmatch(part):
        # Alone it is the week's last day.
        of_last = _number(last[1] or "SAT", 1, 7, _WEEKDAYS)
        return lambda year, month, length: {_of_weekday(of_last, year, month, length)[-1]}
    weekdays = _numbers(part, 1, 7, _WEEKDAYS)
    return lambda year, month, length: {day for one in weekdays for day in _of_weekday(one, year, month, length)}


def _of_weekday(weekday: int, year: int, month: int, length: int) -> list[int]:
    # Of Python's, 0 is Monday.
    return [day for day in range(1, length + 1) if (date(year, month, day).weekday() + 1) % 7 == weekday - 1]
