"""The logs of a deployed project's functions, asked of CloudWatch Logs; nothing is changed."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from busway.errors import AwsUnusable, UnknownHandler
from busway.road.aws.access import Aws
from busway.road.aws.attempt_log import GROUPS, LogLine, Window, log_line
from busway.road.aws.names import Names

# Ours: how often what is new is asked for, and how many groups are asked in a second. AWS has a quota of requests per
# account and region, which others need too: https://docs.aws.amazon.com/general/latest/gr/cwl_region.html
ROUND_S, GROUPS_PER_S = 2.0, 4
# Ours: by how much a line may come late and still be shown; how many of a group's lines are known by their ids.
OVERLAP_MS, SEEN_MAX = 30_000, 50_000


def function_groups(aws: Aws, names: Names, handler: str | None = None) -> list[str]:
    """The log groups of a project's functions, also of those that are gone; or that of one handler.

    Raises UnknownHandler; AwsUnusable where there is none at all; AwsRefused.
    """
    prefix = names.log_group("")
    found = list(_groups(aws, prefix))
    if not found:
        raise AwsUnusable(
            f"{aws.region} has no log groups {prefix}…, so no function of {names.environment} is there",
            f"`busway status {names.environment}` shows what is deployed; --region and --env choose another place",
        )
    if handler is None:
        return found
    entry = handler.replace("_", "-")
    chosen = [group for group in found if group in (prefix + entry, GROUPS + entry)]
    if not chosen:
        known = [group.removeprefix(prefix) for group in found]
        error = UnknownHandler(handler, known, f"the environment {names.environment}")
        error.hint = f"`busway status {names.environment}` shows them"
        raise error
    return chosen


def _groups(aws: Aws, prefix: str) -> Iterator[str]:
    groups = aws.paged("logs", "DescribeLogGroups", "logGroups", token="nextToken", logGroupNamePrefix=prefix)
    return (str(group["logGroupName"]) for group in groups)


def search(
    aws: Aws, group: str, start_ms: int, end_ms: int | None = None, *, pattern: str = "", stream: str = ""
) -> Iterator[LogLine]:
    """Lines in the order of time, page by page; none of a group that is gone. Raises AwsUnusable, AwsRefused."""
    return (log_line(group, event) for event in _events(aws, group, start_ms, end_ms, pattern, stream))


def _events(
    aws: Aws, group: str, start_ms: int, end_ms: int | None, pattern: str, stream: str
) -> Iterator[Mapping[str, Any]]:
    page: dict[str, Any] = {"logGroupName": group, "startTime": max(0, start_ms)}
    if end_ms is not None:
        page["endTime"] = end_ms
    if pattern:
        page["filterPattern"] = pattern
    if stream:
        page["logStreamNames"] = [stream]
    return aws.paged("logs", "FilterLogEvents", "events", token="nextToken", absent_ok=True, **page)


def follow(
    aws: Aws,
    groups: Callable[[], Sequence[str]],
    start_ms: int,
    *,
    pattern: str = "",
    once: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """Lines of all groups from `start_ms` on, as they come, each once; with `once` those that are there.

    `groups` is asked each time: a function may be deployed meanwhile. In the order of time, but for what comes late.
    """
    windows: dict[str, Window] = {}
    while True:
        known = groups()
        windows = {group: windows.get(group) or Window(start_ms, OVERLAP_MS, SEEN_MAX) for group in known}
        yield from heapq.merge(
            *(_new(aws, group, window, pattern) for group, window in windows.items()), key=lambda line: line.at
        )
        if once:
            return
        for window in windows.values():
            window.slide()
        wait(max(ROUND_S, len(known) / GROUPS_PER_S))


def _new(aws: Aws, group: str, window: Window, pattern: str) -> Iterator[LogLine]:
    for event in _events(aws, group, window.start_ms, None, pattern, ""):
        if window.is_new(event):
            yield log_line(group, event)
