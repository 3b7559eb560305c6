"""What there is and how it does: /health, /metrics and /_busway/status."""

from __future__ import annotations

from typing import Any

from busway.bus.buses import Bus
from busway.bus.router import READER
from busway.bus.rules import current_rules
from busway.clock import ManualClock
from busway.delivery.outbox import QUEUE_PREFIX
from busway.errors import EngineStopped
from busway.inspect import workload
from busway.inspect.absent import problem_of
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.pattern import default_implementation

# Ours: how far behind its journal a router is counted to be.
BEHIND_MAX = 1_000
# https://github.com/prometheus/docs/blob/main/content/docs/instrumenting/exposition_formats.md
PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def health(server: Inspection, request: Request) -> Answer:
    """200 as long as the server answers and routes; `accepting` is False while the disk is full."""
    told: dict[str, Any] = {"version": server.version, "uptime_s": server.metrics.uptime_s}
    told |= {"sandbox": server.sandbox, "matcher": default_implementation()[1]}
    try:
        engine = await server.engine.health()
    except EngineStopped as error:
        return Answer({"status": "stopped", "accepting": False, "detail": str(error), **told}, 503)
    status = "halted" if server.halted else "ok" if engine.accepting else "full"
    told |= {"accepting": engine.accepting, "detail": engine.detail, "halted": dict(server.halted)}
    return Answer({"status": status, **told}, 503 if server.halted else 200)


async def metrics(server: Inspection, request: Request) -> Answer:
    """What was counted, how deep each queue that holds something is now, and how far behind streams' readers are."""
    await workload.measure(server)
    return Answer(server.metrics.prometheus(), content_type=PROMETHEUS_TYPE)


async def status(server: Inspection, request: Request) -> Answer:
    """Everything in the caller's account and Region, by name."""
    scope = request.scope
    engine = await server.engine.health()
    buses = [bus for record in server.buses.list(scope) if (bus := server.buses.by_arn(record.arn)) is not None]
    return Answer(
        {
            "version": server.version,
            "uptime_s": server.metrics.uptime_s,
            "now": server.clock.now(),
            "clock": "manual" if isinstance(server.clock, ManualClock) else "system",
            "account": scope.account,
            "region": scope.region,
            "sandbox": server.sandbox,
            "engine": {"accepting": engine.accepting, "detail": engine.detail},
            "buses": [await _bus(server, bus) for bus in buses],
            "rules": [rule for bus in buses for rule in _rules(server, bus)],
            "functions": await workload.functions(server, scope),
            "queues": await workload.queues(server, scope),
            "streams": await workload.streams(server, scope),
            "mappings": await workload.mappings(server, scope),
            "alarms": [
                {
                    "name": alarm.settings.name,
                    "arn": alarm.arn,
                    "queue": alarm.settings.queue_name,
                    "state": alarm.state,
                    "since": alarm.state_at,
                    "reason": alarm.reason,
                    "actions": alarm.settings.alarm_actions,
                }
                for alarm in server.alarms.of_scope(scope)
            ],
            "routes": server.routes.of_scope(scope),
            "deliveries": [
                {"target": name.removeprefix(QUEUE_PREFIX), **await workload.counts(server, name)}
                for name in await server.engine.queues.names(QUEUE_PREFIX)
            ],
        }
    )


async def _bus(server: Inspection, bus: Bus) -> dict[str, Any]:
    """`behind` counts entries that are not routed yet, up to BEHIND_MAX."""
    position = await server.engine.journal.position(bus.arn, READER)
    behind = await server.engine.journal.read(bus.arn, position, BEHIND_MAX)
    return {
        "name": bus.name,
        "arn": bus.arn,
        "rules": len(current_rules(bus)),
        "head": await server.engine.journal.head(bus.arn),
        "position": position,
        "behind": len(behind),
        "behind_s": max(0.0, server.clock.now() - behind[0].at) if behind else 0.0,
        "halted": server.halted.get(bus.arn, ""),
    }


def _rules(server: Inspection, bus: Bus) -> list[dict[str, Any]]:
    """`problem` of a target is why it gets nothing; "" when it does."""
    return [
        {
            "name": rule.name,
            "arn": rule.arn,
            "bus": bus.name,
            "state": rule.state,
            "pattern": rule.pattern,
            "schedule": rule.schedule,
            "targets": [
                {"id": target.id, "arn": target.arn, "problem": problem_of(server, target.arn)}
                for target in rule.targets
            ],
        }
        for rule in sorted(current_rules(bus), key=lambda rule: rule.name)
    ]
