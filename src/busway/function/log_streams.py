"""What a function's log is called in CloudWatch Logs: a group for the function, a stream for each day. Pure.

Ours: on AWS each worker has a stream of its own, named by the day on which it began and by its version. Here all
workers and versions of a function share the stream of the day (UTC), and `[$LATEST]` stands for all of them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from busway.arn import Scope, parse_arn
from busway.function.record import LATEST, function_arn

GROUPS = "/aws/lambda/"


def group_of(arn: str) -> str:
    """The group of a function, by the function's ARN."""
    parsed = parse_arn(arn)
    return GROUPS + (arn if parsed is None else parsed.name)


def function_of(scope: Scope, group: str) -> str | None:
    """The ARN of the function whose group it would be; None for a group that can be no function's."""
    name = group.removeprefix(GROUPS)
    return function_arn(scope, name) if name != group and name and "/" not in name else None


def stream_of(arn: str, at: float) -> str:
    """Where the function's lines of that day go. `at` is Unix seconds."""
    day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    return f"{day:%Y/%m/%d}/[{LATEST}]{hashlib.sha256(arn.encode()).hexdigest()[:32]}"
