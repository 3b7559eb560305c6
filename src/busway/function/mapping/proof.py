"""The proof for streams' mappings: for each mapping and shard, of the records that are retained,

    up to the checkpoint:  all = handled + given up + filtered out     beyond it: handled ahead, or pending

The left side is the shard's journal, read again; the right side is the mapping's ledger, which is written before the
checkpoint moves. Sets of offsets are compared, not numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from busway.clock import Clock
from busway.engine import Engine
from busway.function.mapping.ledger import DELIVERED, FILTERED, FINAL, GIVEN_UP, Note, pages
from busway.function.mapping.mappings import PREFIX
from busway.function.mapping.record import AT_TIMESTAMP, MappingRecord
from busway.function.mapping.redriven import single_records
from busway.function.mapping.runner import event_id_of
from busway.queue.moves import source_of
from busway.stream.record import ACTIVE, Shard, StreamRecord, unpack

PAGE = 500
# Ours: how many records that are missing are named, of each shard.
OFFENDERS_MAX = 20


class LostRecord(msgspec.Struct, frozen=True):
    """A record below the checkpoint of which the ledger knows nothing. `event_id` is "" for what is no event."""

    mapping: str
    function: str
    stream: str
    shard: str
    sequence_number: str
    event_id: str


class MappingAccount(msgspec.Struct, frozen=True):
    """One shard for one mapping: `records` = handled + given_up + filtered_out + pending + missing.

    Of those given up, the letters of `on_file` are in the on-failure queue, those of `letters_gone` were redriven or
    taken from it, and for `untold` there was no such queue.
    """

    mapping: str
    function: str
    stream: str
    shard: str
    records: int
    handled: int
    given_up: int
    on_file: int
    letters_gone: int
    untold: int
    filtered_out: int
    pending: int
    missing: int
    missing_first: tuple[LostRecord, ...] = ()


@dataclass(slots=True)
class _Told:
    """What the ledger says of one shard: ranges by outcome, and where the letters are."""

    ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict[str, list[tuple[int, int]]])
    lost: list[Note] = field(default_factory=list[Note])

    def add(self, note: Note) -> None:
        if note.outcome in FINAL:
            self.ranges.setdefault(note.outcome, []).extend(note.ranges())
        if note.outcome == GIVEN_UP:
            self.lost.append(note)

    def offsets(self, outcome: str) -> set[int]:
        return {offset for first, last in self.ranges.get(outcome, ()) for offset in range(first, last + 1)}


async def prove(engine: Engine, clock: Clock) -> list[MappingAccount]:
    """One account for each mapping and shard, from the records alone. May run while the mappings work."""
    records = await engine.records.list("stream/")
    streams = {found.arn: found for value in records if (found := _stream(value.data)).status == ACTIVE}
    letters = _Letters(engine)
    accounts: list[MappingAccount] = []
    for value in await engine.records.list(PREFIX):
        mapping = msgspec.json.decode(value.data, type=MappingRecord)
        stream = streams.get(mapping.source_arn)
        if stream is None or mapping.deleting:
            continue
        # The checkpoints before the ledger, which is never behind them.
        checkpoints = {s.journal: await engine.journal.position(s.journal, mapping.uuid) for s in stream.shards}
        told = await _told(engine, mapping)
        for shard in stream.shards:
            checkpoint, told_here = checkpoints[shard.journal], told.get(shard.journal, _Told())
            offsets = await _retained(engine, clock, mapping, stream, shard)
            missing = _missing(told_here, offsets, checkpoint)
            lost = [await _named(engine, mapping, shard, offset) for offset in sorted(missing)[:OFFENDERS_MAX]]
            accounts.append(await _account(mapping, shard, told_here, offsets, missing, lost, letters))
    return accounts


def _stream(data: bytes) -> StreamRecord:
    return msgspec.json.decode(data, type=StreamRecord)


async def _told(engine: Engine, mapping: MappingRecord) -> dict[str, _Told]:
    told: dict[str, _Told] = {}
    async for page in pages(engine, mapping.uuid):
        for part, notes in page.items():
            for note in notes:
                told.setdefault(part, _Told()).add(note)
    return told


async def begin_of(engine: Engine, mapping: MappingRecord, shard: Shard) -> int:
    """The offset up to which a mapping never wanted a shard's records."""
    begun = mapping.starts.get(shard.id, 0)
    if mapping.position == AT_TIMESTAMP and mapping.position_at is not None:
        begun = max(begun, await engine.journal.offset_at(shard.journal, mapping.position_at))
    return begun


async def _retained(
    engine: Engine, clock: Clock, mapping: MappingRecord, stream: StreamRecord, shard: Shard
) -> set[int]:
    """The offsets that the mapping is to handle, or was. What is past the retention is nobody's business any more."""
    expired = await engine.journal.offset_at(shard.journal, clock.now() - stream.retention_s)
    after = max(expired, await begin_of(engine, mapping, shard))
    offsets: set[int] = set()
    while entries := await engine.journal.read(shard.journal, after, PAGE):
        offsets.update(entry.offset for entry in entries)
        after = entries[-1].offset
        await clock.sleep(0)
    return offsets


def _missing(told: _Told, offsets: set[int], checkpoint: int) -> set[int]:
    finished = set[int]().union(*(told.offsets(outcome) for outcome in FINAL))
    return {offset for offset in offsets if offset <= checkpoint} - finished


async def _account(
    mapping: MappingRecord, shard: Shard, told: _Told, offsets: set[int], missing: set[int], lost: list[LostRecord],
    letters: _Letters,
) -> MappingAccount:  # fmt: skip
    handled = told.offsets(DELIVERED) & offsets
    given_up = (told.offsets(GIVEN_UP) & offsets) - handled
    filtered = (told.offsets(FILTERED) & offsets) - handled - given_up
    on_file, gone, untold = set[int](), set[int](), set[int]()
    for note in told.lost:
        covered = {offset for first, last in note.ranges() for offset in range(first, last + 1)} & given_up
        if note.queue:
            there = await letters.of(note.queue, mapping.uuid, shard.id)
            held = {offset for offset in covered if shard.sequence_number(offset) in there}
            on_file |= held
            gone |= covered - held
        else:
            untold |= covered
    gone -= on_file
    return MappingAccount(
        mapping=mapping.uuid,
        function=mapping.function_arn,
        stream=shard.arn,
        shard=shard.id,
        records=len(offsets),
        handled=len(handled),
        given_up=len(given_up),
        on_file=len(on_file),
        letters_gone=len(gone),
        untold=len(untold - on_file - gone),
        filtered_out=len(filtered),
        pending=len(offsets - handled - given_up - filtered - missing),
        missing=len(missing),
        missing_first=tuple(lost),
    )


async def _named(engine: Engine, mapping: MappingRecord, shard: Shard, offset: int) -> LostRecord:
    entries = await engine.journal.read(shard.journal, offset - 1, 1)
    there = bool(entries) and entries[0].offset == offset
    event_id = event_id_of(unpack(shard, entries[0]).data) if there else ""
    number = shard.sequence_number(offset)
    return LostRecord(mapping.uuid, mapping.function_arn, shard.arn, shard.id, number, event_id)


class _Letters:
    """Which records the letters in on-failure queues are about, each queue looked through once.

    Records, not letters: one that was redriven and given up again has another letter.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._found: dict[str, dict[tuple[str, str], set[str]]] = {}

    async def of(self, queue: str, mapping: str, shard_id: str) -> set[str]:
        """Sequence numbers."""
        if queue not in self._found:
            self._found[queue] = await self._sequence_numbers(queue)
        return self._found[queue].get((mapping, shard_id), set())

    async def _sequence_numbers(self, queue: str) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = {}
        after = 0
        while page := await self._engine.queues.browse(queue, PAGE, after):
            for source in filter(None, map(source_of, page)):
                for single in single_records(source.payload) if source.kind == "batch" else ():
                    shard_id, _, number = single.record_event_id.partition(":")
                    found.setdefault((source.mapping, shard_id), set()).add(number)
            after = page[-1].id
        return found
