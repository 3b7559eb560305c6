"""What happens and what is printed, as it comes: /_busway/tail and /_busway/logs/{function}."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from busway.errors import FunctionNotFound
from busway.function.logs import Line
from busway.function.record import resolve
from busway.inspect.http import Answer, Lines, Request
from busway.inspect.ports import Inspection
from busway.logs.filter import Filter, parse_filter
from busway.trail import Follower, Step

LINES_DEFAULT, LINES_MAX = 200, 10_000


async def tail(server: Inspection, request: Request) -> Lines:
    """Every step of every event, from now on or from those kept after the sequence `since`."""
    since = request.number("since", 0, 2**53) if "since" in request.query else None
    return Lines(_steps(server.trail.follow(since)))


async def _steps(follower: Follower[Step]) -> AsyncGenerator[dict[str, Any]]:
    with follower:
        async for step in follower:
            yield {"sequence": step.sequence, "at": step.at, "kind": step.kind, **step.facts}


async def logs(server: Inspection, request: Request) -> Answer | Lines:
    """The newest lines of a function, of the last `since_s` seconds; with `follow=1` as a stream that goes on.

    `filter` is a filter pattern of CloudWatch Logs: only the lines that it finds.
    `state` is the function's, `failure` why it, or its last update, could not be built.
    """
    arn, _ = resolve(request.path.removeprefix("/_busway/logs/"), request.scope)
    function = server.functions.get(arn)
    if function is None:
        raise FunctionNotFound(arn)
    state = {"state": function.state, "failure": function.failure}
    if "request_id" in request.query:
        return Answer({"lines": await server.logs.of_request(request.query["request_id"]), **state})
    limit = request.number("limit", LINES_DEFAULT, LINES_MAX)
    since_s = request.number("since_s", 0, 2**53)
    since = server.clock.now() - since_s if since_s else 0.0
    wanted = parse_filter(request.query["filter"]) if request.query.get("filter") else None
    if request.query.get("follow", "0") in ("0", "false", ""):
        return Answer({"lines": await server.logs.tail(arn, limit, since, wanted), **state})
    return Lines(_lines(server, arn, limit, since, wanted))


async def _lines(
    server: Inspection, arn: str, limit: int, since: float, wanted: Filter | None
) -> AsyncGenerator[Line]:
    """First the newest lines, then those that come; it listens before it looks, so that none is missed."""
    with server.logs.follow(arn) as coming:
        kept = await server.logs.tail(arn, limit, since, wanted)
        for line in kept:
            yield line
        known = set(kept)
        async for line in coming:
            # A line that came while the newest were read is in both. What was left out is told to everybody.
            if line not in known and (wanted is None or wanted(line.line) or line.line.startswith("[busway: ")):
                yield line
