"""Alert routes, the clock, the inbox, the proof."""

from __future__ import annotations

from typing import Any

import msgspec

from busway.alert.routes import RouteSettings
from busway.clock import ManualClock
from busway.delivery import Failed
from busway.errors import ClockNotManual, InvalidQuestion
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.verify import verify

MAILS_DEFAULT, MAILS_MAX = 100, 1_000
# Ours: a hundred years.
ADVANCE_S_MAX = 100 * 366 * 86_400.0


class Advance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far to move the clock, in seconds."""

    advance_s: float


async def routes(server: Inspection, request: Request) -> Answer:
    return Answer({"routes": server.routes.of_scope(request.scope)})


async def put_route(server: Inspection, request: Request) -> Answer:
    return Answer(await server.routes.put(request.scope, _name(request), request.read(RouteSettings)))


async def get_route(server: Inspection, request: Request) -> Answer:
    return Answer(server.routes.named(request.scope, _name(request)))


async def try_series(server: Inspection, request: Request) -> Answer:
    """Send the route one point, and say what was answered, in the words of a step."""
    route = server.routes.named(request.scope, _name(request))
    if not route.series:
        raise InvalidQuestion(f"route {route.name}: it is sent no series")
    outcome, answer = await server.try_series(route)
    facts = {"kind": "alert", "at": server.clock.now(), "route": route.arn.rsplit(":", 1)[-1], "series": True}
    if isinstance(outcome, Failed):
        told = {"delivered": False, "error_code": outcome.code, "error_message": outcome.message}
    else:
        told = {"delivered": True, "answer": answer}
    return Answer({**facts, **told})


async def delete_route(server: Inspection, request: Request) -> Answer:
    await server.routes.delete(request.scope, _name(request))
    return Answer({})


async def clock(server: Inspection, request: Request) -> Answer:
    kind = "manual" if isinstance(server.clock, ManualClock) else "system"
    return Answer({"now": server.clock.now(), "clock": kind})


async def advance_clock(server: Inspection, request: Request) -> Answer:
    """Move a manual clock; answers when whatever became due has begun."""
    if not isinstance(server.clock, ManualClock):
        raise ClockNotManual
    advance_s = request.read(Advance).advance_s
    if not 0 <= advance_s <= ADVANCE_S_MAX:
        raise InvalidQuestion(f"advance_s is {advance_s}; wanted seconds from 0 to {ADVANCE_S_MAX:.0f}")
    await server.clock.advance(advance_s)
    return await clock(server, request)


async def inbox(server: Inspection, request: Request) -> Answer:
    mails: Any = await server.inbox(request.scope, request.number("limit", MAILS_DEFAULT, MAILS_MAX))
    return Answer({"messages": mails})


async def prove(server: Inspection, request: Request) -> Answer:
    return Answer(await verify(server.engine, server.clock))


def _name(request: Request) -> str:
    return request.path.rsplit("/", 1)[-1]
