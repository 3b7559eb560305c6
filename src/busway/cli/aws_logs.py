"""`busway tail` and `busway logs` with `--profile`: what the functions of a project on AWS do, from their logs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from busway.cli.aws_options import OnAws
from busway.cli.output import STYLES, line, moment, print_line, problem_of, say
from busway.cli.timeline import KIND_WIDTH, short_id
from busway.cli.tracebacks import brief_lines

if TYPE_CHECKING:
    from busway.road.aws.attempt_log import LogLine

# Ours: how far back `logs` looks where nothing is said.
LOGS_SINCE = "10m"
_STYLES = {**STYLES, "ended": "green", "failed": "bold red", "printed": ""}
_INDENT = " " * 24


def tail_functions(
    on_aws: OnAws, kinds: tuple[str, ...], since_s: int, count: int | None, once: bool, as_json: bool
) -> None:
    """Step by step, until `count` were shown, or for good; with `once` those that there are."""
    from busway.road.aws.attempt_log import Steps
    from busway.road.aws.log_groups import follow, function_groups

    _, site, aws = on_aws.open()
    groups = partial(function_groups, aws, site.names)
    start_ms = _since_ms(since_s)
    if not once:
        say(f"following the functions of {site.names.environment} in {aws.region}; Ctrl-C ends it")
    steps = Steps()
    lines = follow(aws, groups, start_ms, once=once)
    told = (step for one in lines if (step := steps.of(one)) and (not kinds or step["kind"] in kinds))
    for step in islice(told, count):
        if as_json:
            print_line(step)
        else:
            _show(step)


def show_log(
    on_aws: OnAws, handler: str, since: str, since_s: int, pattern: str, follows: bool, limit: int, as_json: bool
) -> None:
    """The newest lines of a handler, or all from `since_s` on as they come."""
    from busway.cli.logs import show_line
    from busway.road.aws.attempt_log import Requests, begun_before
    from busway.road.aws.history import printed_by
    from busway.road.aws.log_groups import follow, function_groups, search

    _, site, aws = on_aws.open()
    (group, *_) = function_groups(aws, site.names, handler)
    start_ms = _since_ms(since_s)
    if follows:
        requests = Requests()
        followed = follow(aws, lambda: [group], start_ms, pattern=pattern)
        shown: Iterable[dict[str, Any]] = (_printed(one, requests.of(one)) for one in followed)
    else:
        # Oldest first is how AWS gives them, and the newest are wanted.
        newest = deque(search(aws, group, start_ms, pattern=pattern), limit)
        # Beginnings are among them only where no pattern left them out.
        whose = printed_by(aws, group, newest) if pattern else begun_before(newest, newest)
        shown = deque(_printed(one, whose[one.id]) for one in newest)
    for printed in shown:
        if as_json:
            print_line(printed)
        else:
            show_line(printed)
    if not shown:
        say(f"{handler} printed nothing in the last {since}; --since looks further back")
    elif isinstance(shown, deque) and len(shown) == limit:
        say(f"the newest {limit} lines; --limit shows more")


def _printed(printed: LogLine, request_id: str) -> dict[str, Any]:
    return {"at": printed.at, "request_id": request_id, "line": printed.text}


def _since_ms(since_s: int) -> int:
    return round((time.time() - since_s) * 1000)


def _show(step: Mapping[str, Any]) -> None:
    """One line, as `show_step` of a server's; what goes on over several lines is below it."""
    kind = str(step["kind"])
    printed = list(brief_lines(str(step.get("line", "")).split("\n")))
    took = step.get("duration_ms")
    words = {"printed": f": {printed[0]}" if printed else "", "attempt": ""}.get(kind)
    if words is None:
        words = "" if took is None else f" after {took:.0f} ms"
    line(
        (f"{moment(step['at'])}  {short_id(step['request_id']):8}  ", "dim"),
        (f"{kind:{KIND_WIDTH}}  ", _STYLES.get(kind, "")),
        str(step["function"]) + words,
    )
    for text in printed[1:]:
        line((f"{_INDENT}│ {text}", "dim"))
    if kind == "failed":
        problem = problem_of(step)
        line(f"{_INDENT}└ ", (problem, _STYLES[kind]))
