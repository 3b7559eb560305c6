"""When a rule's ScheduleExpression is due: `rate(5 minutes)`, `cron(0 9 ? * MON-FRI *)`. Pure; times are UTC.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from busway.errors import InvalidBusRequest

PERIODS_S = {"minute": 60, "hour": 3_600, "day": 86_400}
YEAR_MIN, YEAR_MAX = 1970, 2199
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
# 1 is Sunday.
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_SATURDAY = 7

_RATE = re.compile(r"rate\(([1-9][0-9]{0,8}) (minute|hour|day)(s?)\)")
_CRON = re.compile(r"cron\(([^()]*)\)")
_PART = re.compile(r"(\*|([0-9A-Z]+)(?:-([0-9A-Z]+))?)(?:/([0-9]+))?")
_NEAREST = re.compile(r"([0-9]+)W")
_LAST = re.compile(r"([0-9A-Z]+)L")
_NTH = re.compile(r"([0-9A-Z]+)#([1-5])")


@dataclass(frozen=True, slots=True)
class Rate:
    """Every `period_s` seconds, the first time one period after its beginning."""

    period_s: int

    def next_after(self, at: float) -> float | None:
        """The next time, in Unix seconds, after `at`, which is a time at which it was due, or its beginning."""
        return at + self.period_s


@dataclass(frozen=True, slots=True)
class Cron:
    """Some minutes of some days. Of `days` and `weekdays` one is "?": any, as the other decides."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[str, ...]
    months: tuple[int, ...]
    weekdays: tuple[str, ...]
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

    def _dates(self, first: date) -> Iterator[date]:
        for year in self.years:
            if year < first.year:
                continue
            for month in self.months:
                length = calendar.monthrange(year, month)[1]
                if date(year, month, length) >= first:
                    yield from (day for day in self._month(year, month, length) if day >= first)

    def _month(self, year: int, month: int, length: int) -> list[date]:
        found: set[int] = set()
        for part in self.days:
            found |= _days(part, year, month, length)
        for part in self.weekdays:
            found |= _by_weekday(part, year, month, length)
        return [date(year, month, day) for day in sorted(found)]


Schedule = Rate | Cron


def parse_schedule(expression: str) -> Schedule:
    """Raises `InvalidBusRequest` in AWS's words."""
    if rate := _RATE.fullmatch(expression):
        count = int(rate[1])
        # Singular for one, and only for one.
        if (count == 1) == (rate[3] == ""):
            return Rate(count * PERIODS_S[rate[2]])
    elif cron := _CRON.fullmatch(expression):
        try:
            return _cron(cron[1].upper().split())
        except ValueError:
            pass
    raise InvalidBusRequest("Parameter ScheduleExpression is not valid.")


def _cron(fields: list[str]) -> Cron:
    """Raises ValueError."""
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise ValueError("one of day-of-month and day-of-week must be ?, and only one")
    return Cron(
        tuple(_numbers(minutes, 0, 59)),
        tuple(_numbers(hours, 0, 23)),
        () if days == "?" else tuple(_checked_days(days)),
        tuple(_numbers(months, 1, 12, _MONTHS)),
        () if weekdays == "?" else tuple(_checked_weekdays(weekdays)),
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


def _checked_days(field: str) -> Iterable[str]:
    for part in field.split(","):
        if nearest := _NEAREST.fullmatch(part):
            _number(nearest[1], 1, 31, None)
        elif part != "L":
            _numbers(part, 1, 31)
        yield part


def _checked_weekdays(field: str) -> Iterable[str]:
    parts = field.split(",")
    if "#" in field and len(parts) > 1:
        raise ValueError("found # in a list")
    for part in parts:
        if special := _NTH.fullmatch(part) or _LAST.fullmatch(part):
            _number(special[1], 1, 7, _WEEKDAYS)
        elif part != "L":
            _numbers(part, 1, 7, _WEEKDAYS)
        yield part


def _days(part: str, year: int, month: int, length: int) -> set[int]:
    """The days of a month that one part of the field day-of-month means."""
    if part == "L":
        return {length}
    if nearest := _NEAREST.fullmatch(part):
        wanted = int(nearest[1])
        return {_nearest_workday(year, month, wanted, length)} if wanted <= length else set()
    return {day for day in _numbers(part, 1, 31) if day <= length}


def _nearest_workday(year: int, month: int, day: int, length: int) -> int:
    """Never in another month."""
    weekday = date(year, month, day).weekday()
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _by_weekday(part: str, year: int, month: int, length: int) -> set[int]:
    """The days of a month that one part of the field day-of-week means."""
    if nth := _NTH.fullmatch(part):
        weekday, place = _number(nth[1], 1, 7, _WEEKDAYS), int(nth[2])
        return set(_of_weekday(weekday, year, month, length)[place - 1 : place])
    if part == "L":
        return {_of_weekday(_SATURDAY, year, month, length)[-1]}
    if last := _LAST.fullmatch(part):
        return {_of_weekday(_number(last[1], 1, 7, _WEEKDAYS), year, month, length)[-1]}
    return {day for wanted in _numbers(part, 1, 7, _WEEKDAYS) for day in _of_weekday(wanted, year, month, length)}


def _of_weekday(weekday: int, year: int, month: int, length: int) -> list[int]:
    # Of Python's, 0 is Monday.
    return [day for day in range(1, length + 1) if (date(year, month, day).weekday() + 1) % 7 == weekday - 1]
