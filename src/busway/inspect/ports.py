"""What our own routes look at: `server` composes it, and tests with less."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from busway.alarm.registry import Alarms
from busway.alert.routes import Route, Routes
from busway.arn import Scope
from busway.bus.buses import Buses
from busway.bus.put_events import Publisher
from busway.clock import Clock
from busway.delivery import Delivery, Failed, Outcome
from busway.engine import Engine, Put
from busway.function.logs import Logs
from busway.function.mapping.mappings import Mappings
from busway.function.record import FunctionRecord
from busway.metrics import Metrics
from busway.queue.queues import SqsQueues
from busway.redrive import Redrive
from busway.stream.streams import Streams
from busway.trail import Trail


class FunctionList(Protocol):
    """The functions there are."""

    def get(self, arn: str) -> FunctionRecord | None: ...

    def of_scope(self, scope: Scope) -> Sequence[FunctionRecord]: ...


async def _no_mail(scope: Scope, limit: int) -> Sequence[Any]:
    return ()


async def _no_series(route: Route) -> tuple[Outcome, str]:
    return Failed("NO_RESOURCE", "no series are sent", False), ""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The parts of a running server. `halted` says which buses stand still, and why.

    `sandbox` is the level in force for functions. `inbox` gives the newest mails of a scope, newest first, as
    anything that msgspec turns into JSON. `anew` makes the work that gives a delivery to its target once more.
    `jobs_closed` says why no jobs are started on AWS, "" when they are. `topic_exists` takes an ARN. `measured` are
    the queues that held something when that was looked at last. `try_series` sends a route one point.
    """

    version: str
    clock: Clock
    engine: Engine
    metrics: Metrics
    trail: Trail
    buses: Buses
    publisher: Publisher
    queues: SqsQueues
    streams: Streams
    functions: FunctionList
    mappings: Mappings
    logs: Logs
    alarms: Alarms
    routes: Routes
    redrive: Redrive
    anew: Callable[[Delivery, float], Sequence[Put]]
    inbox: Callable[[Scope, int], Awaitable[Sequence[Any]]] = _no_mail
    halted: Mapping[str, str] = field(default_factory=dict[str, str])
    sandbox: str = ""
    jobs_closed: str = ""
    topic_exists: Callable[[str], bool] = lambda arn: False
    try_series: Callable[[Route], Awaitable[tuple[Outcome, str]]] = _no_series
    measured: set[str] = field(default_factory=set[str])
