"""PutEvents: entries in, ids or errors out, and one append a bus. The hot path of the front.

An entry with an error is never stored; the others are, and they are durable before this returns. An entry for a
bus that doesn't exist gets an id and is dropped, as on AWS; the trail and a metric say so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from busway.arn import DEFAULT_BUS, Scope, parse_arn
from busway.bus.buses import Bus, Buses
from busway.bus.envelope import NO_NOTES, Notes, build_envelope, check_detail, frame, time_text
from busway.bus.record import TICK_SOURCE, TICK_TYPE, bus_arn
from busway.clock import uuids
from busway.errors import InvalidBusRequest, MalformedDetail, MalformedTime, StorageFull
from busway.publishing import ENTRIES_MAX, TIME_BYTES, TOTAL_BYTES_MAX, sized
from busway.tracing import is_trace

# A UTF-8 character is at most this many bytes.
BYTES_PER_CHAR_MAX = 4

# How many requests' ids are remembered with their offsets, so that `why EVENT` needn't read the journal. Ours.
REMEMBERED = 2_000
NAMESPACE = "AWS/Events"


class EventEntry(msgspec.Struct, rename="pascal"):
    """One entry as the client sends it. `time` is Unix seconds."""

    time: float | None = None
    source: str | None = None
    resources: list[str] | None = None
    detail_type: str | None = None
    detail: str | None = None
    event_bus_name: str | None = None
    trace_header: str | None = None


class EventResult(msgspec.Struct, rename="pascal", omit_defaults=True):
    """What the client is told about one entry: an id, or an error."""

    event_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event such as an AWS service puts; nobody else may. `at` is Unix seconds, `detail` a JSON object."""

    event_id: str
    scope: Scope
    source: str
    detail_type: str
    at: float
    resources: Sequence[str]
    detail: bytes


@dataclass(frozen=True, slots=True)
class Remembered:
    """Events appended by one request, their offsets counting up from `first`."""

    bus_arn: str
    first: int
    ids: list[str]


def _required(name: str) -> EventResult:
    return EventResult(
        None, "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument."
    )


NO_SOURCE, NO_DETAIL_TYPE, NO_DETAIL = _required("Source"), _required("DetailType"), _required("Detail")
FOREIGN_SOURCE = EventResult(None, "NotAuthorizedForSourceException", "Not authorized for the source.")
MALFORMED_DETAIL = EventResult(None, "MalformedDetail", "Detail is malformed.")
MALFORMED_TIME = EventResult(None, "InvalidArgument", "Parameter Time is not valid. Reason: It is out of range.")
STORAGE_FULL = EventResult(None, "InternalFailure", "The disk is full; the entry was not stored.")


class Publisher:
    """Takes events in."""

    def __init__(self, buses: Buses) -> None:
        self._buses = buses
        self._kit = buses.kit
        self.remembered: deque[Remembered] = deque(maxlen=REMEMBERED)

    async def put_events(
        self, entries: Sequence[EventEntry], scope: Scope, trace_header: str | None
    ) -> list[EventResult]:
        """One result an entry, in order. `trace_header` is the request's, for entries without one.

        Raises `InvalidBusRequest` for too many entries or bytes, and `StorageFull` when nothing could be stored.
        """
        check_size(entries)
        now = time_text(self._kit.clock.now())
        results: list[EventResult] = []
        appends: dict[str, tuple[list[bytes], list[int]]] = {}
        request_notes = notes_of(trace_header) if trace_header is not None else NO_NOTES
        # Nearly always one name for all entries.
        known: dict[str | None, tuple[str, Bus | None]] = {}
        for entry, event_id in zip(entries, uuids(self._kit.entropy, len(entries)), strict=True):
            event = self._build(entry, event_id, scope, now)
            if isinstance(event, EventResult):
                results.append(event)
                continue
            name = entry.event_bus_name
            arn, bus = known.get(name) or known.setdefault(name, await self._bus(name, scope))
            if bus is None:
                self._drop(entry, event_id, arn)
            else:
                notes = request_notes if entry.trace_header is None else notes_of(entry.trace_header)
                events, places = appends.setdefault(arn, ([], []))
                events.append(event if notes is NO_NOTES else frame(event, notes))
                places.append(len(results))
            results.append(EventResult(event_id))
        await self._append(appends, results)
        self._count(results, scope)
        if self._kit.trail.listening:
            self._note(entries, results, scope, trace_header)
        return results

    async def forward(self, arn: str, event: bytes, notes: Notes) -> bool:
        """Append an event that another bus passes on; False where the bus doesn't exist."""
        if self._buses.by_arn(arn) is None:
            name = arn.rsplit("/", 1)[-1]
            self._kit.metrics.count("Busway/Events", "EventsForMissingBus", of=arn, EventBusName=name)
            return False
        await self._kit.engine.journal.append(arn, [frame(event, notes)])
        return True

    async def announce(self, event: Announcement) -> None:
        """Append an event of the server's own to its account's default bus, durably before return."""
        scope = event.scope
        arn, bus = await self._bus(None, scope)
        if bus is None:
            return
        envelope = build_envelope(
            event.event_id, event.detail_type, event.source, scope.account, time_text(event.at), scope.region,
            [*event.resources], event.detail,
        )  # fmt: skip
        # What it tells of is in the trail already.
        await self._append_own(arn, event.event_id, envelope)

    async def tick(self, bus_arn: str, rule_arn: str, at: float) -> None:
        """Append the event of a rule's schedule that was due at `at` (Unix seconds)."""
        (identity,) = uuids(self._kit.entropy, 1)
        rule = parse_arn(rule_arn)
        assert rule is not None, rule_arn
        event = build_envelope(
            identity, TICK_TYPE, TICK_SOURCE, rule.account, time_text(at), rule.region, [rule_arn], b"{}"
        )
        await self._append_own(bus_arn, identity, event)
        if self._kit.trail.listening:
            bus = bus_arn.rsplit("/", 1)[-1]
            self._kit.trail.note("accepted", event_id=identity, bus=bus, detail_type=TICK_TYPE, source=TICK_SOURCE)

    async def _append_own(self, bus_arn: str, event_id: str, event: bytes) -> None:
        first = await self._kit.engine.journal.append(bus_arn, [event])
        self.remembered.append(Remembered(bus_arn, first, [event_id]))

    def _build(self, entry: EventEntry, event_id: str, scope: Scope, now: str) -> bytes | EventResult:
        """The event of an entry, or why there is none."""
        source, detail_type = entry.source, entry.detail_type
        if not source:
            return NO_SOURCE
        if not detail_type:
            return NO_DETAIL_TYPE
        if not entry.detail:
            return NO_DETAIL
        if source.startswith("aws."):
            return FOREIGN_SOURCE
        try:
            return build_envelope(
                event_id,
                detail_type,
                source,
                scope.account,
                now if entry.time is None else time_text(entry.time),
                scope.region,
                entry.resources or [],
                check_detail(entry.detail),
            )
        except MalformedDetail:
            return MALFORMED_DETAIL
        except MalformedTime:
            return MALFORMED_TIME

    async def _bus(self, name: str | None, scope: Scope) -> tuple[str, Bus | None]:
        """The ARN that an entry's bus name stands for, and the bus, if there is one."""
        arn = self._arn(name, scope)
        bus = self._buses.by_arn(arn)
        if bus is None and arn == bus_arn(scope, DEFAULT_BUS):
            bus = await self._buses.find(arn, scope)
        return arn, bus

    def _arn(self, name: str | None, scope: Scope) -> str:
        name = name or "default"
        return name if name.startswith("arn:") else f"arn:aws:events:{scope.region}:{scope.account}:event-bus/{name}"

    async def _append(self, appends: dict[str, tuple[list[bytes], list[int]]], results: list[EventResult]) -> None:
        """One append a bus. A disk that fills up between two of them fails the entries that were left."""
        stored = False
        for arn, (events, places) in appends.items():
            try:
                first = await self._kit.engine.journal.append(arn, events)
            except StorageFull:
                if not stored:
                    raise
                for place in places:
                    results[place] = STORAGE_FULL
                continue
            stored = True
            self.remembered.append(Remembered(arn, first, [results[place].event_id or "" for place in places]))

    def _drop(self, entry: EventEntry, event_id: str, arn: str) -> None:
        bus = arn.rsplit("/", 1)[-1]
        self._kit.metrics.count("Busway/Events", "EventsForMissingBus", of=arn, EventBusName=bus)
        self._kit.trail.note(
            "dropped",
            event_id=event_id,
            bus=bus,
            detail_type=entry.detail_type,
            source=entry.source,
            error_message=f"Event bus {bus} does not exist.",
        )

    def _count(self, results: list[EventResult], scope: Scope) -> None:
        failed = sum(result.event_id is None for result in results)
        metrics = self._kit.metrics
        metrics.count(NAMESPACE, "PutEventsApproximateCallCount", of=scope)
        metrics.count(NAMESPACE, "PutEventsEntriesCount", len(results), of=scope)
        if failed:
            metrics.count(NAMESPACE, "PutEventsFailedEntriesCount", failed, of=scope)

    def _note(
        self, entries: Sequence[EventEntry], results: list[EventResult], scope: Scope, trace_header: str | None
    ) -> None:
        for entry, result in zip(entries, results, strict=True):
            arn = self._arn(entry.event_bus_name, scope)
            # What was for a missing bus has an id too; of that it was noted that it is dropped.
            if result.event_id is not None and self._buses.by_arn(arn) is not None:
                trace = (trace_header if entry.trace_header is None else entry.trace_header) or ""
                self._kit.trail.note(
                    "accepted",
                    event_id=result.event_id,
                    bus=arn.rsplit("/", 1)[-1],
                    detail_type=entry.detail_type,
                    source=entry.source,
                    **({"trace_header": trace} if is_trace(trace) else {}),
                )


def notes_of(trace_header: str) -> Notes:
    """A trace header that makes no sense is left out, as on AWS."""
    return Notes(trace_header) if is_trace(trace_header) else NO_NOTES


def check_size(entries: Sequence[EventEntry]) -> None:
    """Raise `InvalidBusRequest` for more entries or bytes than AWS takes."""
    if len(entries) > ENTRIES_MAX:
        shown = ", ".join(map(_java, entries))
        raise InvalidBusRequest(
            f"1 validation error detected: Value '[{shown}]' at 'entries' failed to satisfy constraint: "
            f"Member must have length less than or equal to {ENTRIES_MAX}"
        )
    if (
        sum(map(_chars, entries)) * BYTES_PER_CHAR_MAX > TOTAL_BYTES_MAX
        and sum(map(entry_bytes, entries)) > TOTAL_BYTES_MAX
    ):
        raise InvalidBusRequest("Total size of the entries in the request is over the limit.")


def entry_bytes(entry: EventEntry) -> int:
    """The size of an entry by AWS's formula."""
    return sized(_sized(entry), timed=entry.time is not None)


def _chars(entry: EventEntry) -> int:
    """At least the characters of an entry that count; cheap."""
    chars = TIME_BYTES + len(entry.source or "") + len(entry.detail_type or "") + len(entry.detail or "")
    return chars + sum(map(len, entry.resources)) if entry.resources else chars


def _sized(entry: EventEntry) -> tuple[str, ...]:
    return (entry.source or "", entry.detail_type or "", entry.detail or "", *(entry.resources or ()))


def _java(entry: EventEntry) -> str:
    """An entry as AWS's server prints it in an error."""

    def shown(value: object) -> str:
        return "null" if value is None else str(value)

    resources = "null" if entry.resources is None else f"[{', '.join(entry.resources)}]"
    return (
        f"PutEventsRequestEntry(time={shown(entry.time)}, source={shown(entry.source)}, resources={resources}, "
        f"detailType={shown(entry.detail_type)}, detail={shown(entry.detail)}, "
        f"eventBusName={shown(entry.event_bus_name)}, traceHeader={shown(entry.trace_header)}, "
        "kmsKeyIdentifier=null, internalMetadata=null)"
    )
