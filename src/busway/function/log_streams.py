"""What a function's log is called in CloudWatch Logs: a group for the function, a stream for each worker. Pure.

A stream has the day on which its worker began (UTC), the version that it runs, and 32 digits. A line keeps of it the
worker's mark, `DAY.VERSION.DIGITS`, which is shorter. What was printed by no worker is in the stream of its own day.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

from busway.arn import Scope, parse_arn
from busway.function.record import LATEST, function_arn

GROUPS = "/aws/lambda/"
_DAY_S = 86_400
# Some nine thousand years: what a damaged file says beyond that names no day.
_DAYS_MAX = 2_900_000
_MARK = re.compile(r"(?P<day>\d{1,7})\.(?P<version>\d{0,20})\.(?P<digits>[0-9a-f]{12})")
# Enough that no two workers of a function have the same ones.
_DIGITS = 12


def group_of(arn: str) -> str:
    """The group of a function, by the function's ARN."""
    parsed = parse_arn(arn)
    return GROUPS + (arn if parsed is None else parsed.name)


def function_of(scope: Scope, group: str) -> str | None:
    """The ARN of the function whose group it would be; None for a group that can be no function's."""
    name = group.removeprefix(GROUPS)
    return function_arn(scope, name) if name != group and name and "/" not in name else None


def worker_mark(version: str, at: float, unique: str) -> str:
    """The mark of a worker that began at `at` (Unix seconds). No other has its `unique` text."""
    digits = hashlib.sha256(f"{unique} {at}".encode()).hexdigest()[:_DIGITS]
    return f"{int(at // _DAY_S)}.{'' if version == LATEST else version}.{digits}"


def stream_of(arn: str, at: float, worker: str) -> str:
    """Where a line goes that the worker of this mark printed at `at` (Unix seconds); "" is no worker."""
    mark = _MARK.fullmatch(worker)
    day = int(mark["day"]) if mark else int(min(max(at, 0.0) // _DAY_S, _DAYS_MAX))
    began = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=min(day, _DAYS_MAX))
    name = hashlib.sha256(f"{arn}{mark['digits'] if mark else ''}".encode()).hexdigest()[:32]
    return f"{began:%Y/%m/%d}/[{(mark and mark['version']) or LATEST}]{name}"
