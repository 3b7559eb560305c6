"""The alarms there are: kept in memory, written through to the records."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from busway.alarm.record import AlarmRecord, AlarmSettings, check
from busway.arn import Scope
from busway.clock import Clock, Entropy
from busway.engine import Engine

_PREFIX = "alarm/"
log = logging.getLogger(__name__)


class Alarms:
    """CRUD of alarms. What moves their state is `Evaluator`; `changing` keeps the two from overwriting each other."""

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy) -> None:
        self._engine, self._clock, self._entropy = engine, clock, entropy
        self._alarms: dict[str, AlarmRecord] = {}
        # Of 10,000 alarms, those that are looked at each second are few.
        self._on_queues: dict[str, str] = {}
        self.changing = asyncio.Lock()

    async def open(self) -> None:
        """Read what is stored; once, before anything else."""
        for value in await self._engine.records.list(_PREFIX):
            try:
                self._know(msgspec.json.decode(value.data, type=AlarmRecord))
            except msgspec.MsgspecError as error:
                # One that nobody can read must not keep the whole server from its start.
                log.critical("%s cannot be read, and rings for nobody: %s", value.key, error)

    def get(self, arn: str) -> AlarmRecord | None:
        return self._alarms.get(arn)

    def state_of(self, arn: str) -> str | None:
        """As it is now; None when there is no such alarm."""
        alarm = self._alarms.get(arn)
        return None if alarm is None else alarm.state

    def all(self) -> list[AlarmRecord]:
        return sorted(self._alarms.values(), key=lambda alarm: alarm.arn)

    def of_scope(self, scope: Scope) -> list[AlarmRecord]:
        """The alarms of one account and Region, by name."""
        prefix = alarm_arn(scope, "")
        return [alarm for alarm in self.all() if alarm.arn.startswith(prefix)]

    def on_queues(self) -> list[tuple[AlarmRecord, str]]:
        """Those that watch how full a queue is, each with the queue's ARN."""
        return [(self._alarms[arn], queue_arn) for arn, queue_arn in self._on_queues.items()]

    def on_metrics(self) -> list[AlarmRecord]:
        """All others."""
        return [alarm for arn, alarm in self._alarms.items() if arn not in self._on_queues]

    async def put(self, scope: Scope, settings: AlarmSettings, tags: dict[str, str]) -> AlarmRecord:
        """Create an alarm, or replace all settings of one that exists; its state and tags then stay.

        Raises `AlarmFeatureNotBuilt` or `InvalidAlarm`.
        """
        check(settings)
        arn, now = alarm_arn(scope, settings.name), self._clock.now()
        async with self.changing:
            present = self._alarms.get(arn)
            if present is None:
                generation = self._entropy.token(8).hex()
                record = AlarmRecord(
                    arn=arn, settings=settings, generation=generation, updated_at=now, state_at=now, tags=tags
                )
            else:
                record = msgspec.structs.replace(present, settings=settings, updated_at=now)
            await self.store(record)
        return record

    async def switch_actions(self, arn: str, enabled: bool) -> None:
        """Whether the alarm's actions are done; nothing for one that is not there."""
        async with self.changing:
            present = self._alarms.get(arn)
            if present is not None:
                settings = msgspec.structs.replace(present.settings, actions_enabled=enabled)
                await self.store(msgspec.structs.replace(present, settings=settings, updated_at=self._clock.now()))

    async def delete(self, arn: str) -> bool:
        """Forget an alarm; False when there was none. What it already queued is still told."""
        async with self.changing:
            self._alarms.pop(arn, None)
            self._on_queues.pop(arn, None)
            return await self._engine.records.delete(_PREFIX + arn)

    async def store(self, record: AlarmRecord) -> None:
        """Write, durably before return. The caller holds `changing`."""
        await self._engine.records.put(_PREFIX + record.arn, msgspec.json.encode(record))
        self._know(record)

    def _know(self, record: AlarmRecord) -> None:
        present = self._alarms.get(record.arn)
        self._alarms[record.arn] = record
        if present is None or present.settings is not record.settings:
            queue_arn = record.queue_arn
            if queue_arn:
                self._on_queues[record.arn] = queue_arn
            else:
                self._on_queues.pop(record.arn, None)


def alarm_arn(scope: Scope, name: str) -> str:
    return scope.arn("cloudwatch", f"alarm:{name}")
