"""Fires rules that run on a schedule: when one is due, its event goes into the default bus's journal.

A scheduled rule matches the events that name it in `resources`, and nobody else can make those (a source that begins
with `aws.` is refused). So from the journal on it is like every other rule: routed, retried, explained and proved.

What a rule was last due at is remembered after its event is durable. After a crash between the two it fires twice for
one time; what was due while no server ran is made up for once, not once for each time that was missed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import msgspec

from busway.bus.buses import Bus, Buses
from busway.bus.put_events import Publisher
from busway.bus.record import RuleDefinition
from busway.bus.schedule import Schedule, parse_schedule
from busway.clock import any_of
from busway.errors import EngineStopped, StorageFull

_KEY = "schedule/"
# Ours: the machine's clock may be set, so it is looked at from time to time; and the pause while the disk is full.
LOOK_EVERY_S = 60.0
PAUSE_S = 1.0

log = logging.getLogger(__name__)


class LastDue(msgspec.Struct, frozen=True):
    """Up to when a rule with this expression is seen to: from when it got it, or was last due. Unix seconds."""

    expression: str
    at: float


@dataclass(frozen=True, slots=True)
class _Armed:
    """A rule that fires next at `due_at`, Unix seconds; infinity for never again."""

    bus: Bus
    schedule: Schedule
    due_at: float


class Ticker:
    """The task that fires; `open` it once the buses are."""

    def __init__(self, buses: Buses, publisher: Publisher) -> None:
        self._buses, self._publisher = buses, publisher
        self._kit = buses.kit
        self._last: dict[str, LastDue] = {}
        self._armed: dict[str, _Armed] = {}
        self._changed: dict[str, Bus] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to fire what has a schedule; returns at once."""
        for value in await self._kit.engine.records.list(_KEY):
            self._last[value.key.removeprefix(_KEY)] = msgspec.json.decode(value.data, type=LastDue)
        self._buses.on_rule.append(self._note)
        for bus in self._buses.all():
            for arn in bus.rules:
                self._note(bus, arn)
        self._task = asyncio.create_task(self._run(), name="ticker")

    async def close(self) -> None:
        if self._note in self._buses.on_rule:
            self._buses.on_rule.remove(self._note)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _note(self, bus: Bus, arn: str) -> None:
        self._changed[arn] = bus
        self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                due_at = min((armed.due_at for armed in self._armed.values()), default=float("inf"))
                wait_s = due_at - self._kit.clock.now()
                if self._armed:
                    wait_s = min(wait_s, LOOK_EVERY_S)
                await any_of(self._kit.clock, wait_s, self._woken.wait())
                self._woken.clear()
                await self._rearm()
                await self._fire()
            except EngineStopped as error:
                log.info("schedules end: %s", error)
                return
            except StorageFull as error:
                log.warning("schedules wait: %s", error)
                await self._go_on()
            except Exception:
                log.exception("a fault of ours in the schedules; they go on")
                await self._go_on()

    async def _go_on(self) -> None:
        """After a pause, with what was left undone."""
        await self._kit.clock.sleep(PAUSE_S)
        self._woken.set()

    async def _rearm(self) -> None:
        while self._changed:
            arn, bus = next(iter(self._changed.items()))
            record = bus.rules.get(arn)
            await self._arm(bus, arn, record.current if record else None)
            if bus.rules.get(arn) is record:
                del self._changed[arn]

    async def _arm(self, bus: Bus, arn: str, rule: RuleDefinition | None) -> None:
        if rule is None or rule.schedule is None or not rule.enabled:
            if arn in self._last:
                await self._kit.engine.records.delete(_KEY + arn)
                self._armed.pop(arn, None)
                del self._last[arn]
            return
        last = self._last.get(arn)
        if last is None or last.expression != rule.schedule:
            last = await self._remember(arn, rule.schedule, self._kit.clock.now())
        schedule = parse_schedule(rule.schedule)
        self._armed[arn] = _Armed(bus, schedule, _next(schedule, last.at))

    async def _fire(self) -> None:
        now = self._kit.clock.now()
        for arn, armed in list(self._armed.items()):
            if armed.due_at > now:
                continue
            await self._publisher.tick(armed.bus.arn, arn, armed.due_at)
            at = armed.schedule.caught_up(armed.due_at, now)
            await self._remember(arn, self._last[arn].expression, at)
            self._armed[arn] = _Armed(armed.bus, armed.schedule, _next(armed.schedule, at))

    async def _remember(self, arn: str, expression: str, at: float) -> LastDue:
        last = LastDue(expression, at)
        await self._kit.engine.records.put(_KEY + arn, msgspec.json.encode(last))
        self._last[arn] = last
        return last


def _next(schedule: Schedule, at: float) -> float:
    due_at = schedule.next_after(at)
    return float("inf") if due_at is None else due_at
