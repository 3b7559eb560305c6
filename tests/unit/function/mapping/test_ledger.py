"""What is durable when a mapping's ledger is cut short between its page and its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from busway.clock import ManualClock
from busway.engine.memory import MemoryEngine
from busway.errors import EngineStopped, StorageFull
from busway.function.mapping.ledger import DELIVERED, Ledger, Note, journal_of, pages

SHARD = "stream/s/shard-0"
NOTE = Note(DELIVERED, 0.0, [1, 2])


@pytest.fixture
async def engine() -> MemoryEngine:
    engine = MemoryEngine(ManualClock())
    await engine.journal.append(SHARD, [b"one", b"two"])
    return engine


def ledger_of(engine: MemoryEngine) -> Ledger:
    return Ledger(engine, ManualClock(), "u", lambda: 60.0)


async def noted(engine: MemoryEngine) -> list[tuple[str, list[int]]]:
    return [(note.outcome, list(note.offsets)) async for page in pages(engine, "u") for note in page[SHARD]]


@pytest.mark.parametrize("fault", [EngineStopped, StorageFull])
async def test_a_checkpoint_never_moves_before_the_page_that_accounts_for_it(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
):
    real = engine.journal.append

    async def append(name: str, entries: Sequence[bytes]) -> int:
        if name == journal_of("u"):
            raise fault("cut short")
        return await real(name, entries)

    ledger = ledger_of(engine)
    ledger.note(SHARD, NOTE)
    ledger.moved(SHARD, 2)
    with monkeypatch.context() as patched:
        patched.setattr(engine.journal, "append", append)
        if fault is StorageFull:
            assert not await ledger.flush()
        else:
            with pytest.raises(EngineStopped):
                await ledger.flush()
        assert await engine.journal.position(SHARD, "u") == 0
    assert await ledger.flush()
    assert await engine.journal.position(SHARD, "u") == 2
    assert await noted(engine) == [(DELIVERED, [1, 2])]


async def test_a_page_whose_checkpoint_did_not_move_is_kept_and_the_checkpoint_comes_with_the_next(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
):
    async def advance(name: str, reader: str, offset: int) -> None:
        raise EngineStopped("cut short")

    ledger = ledger_of(engine)
    ledger.note(SHARD, NOTE)
    ledger.moved(SHARD, 2)
    with monkeypatch.context() as patched:
        patched.setattr(engine.journal, "advance", advance)
        with pytest.raises(EngineStopped):
            await ledger.flush()
    assert await noted(engine) == [(DELIVERED, [1, 2])]
    assert await engine.journal.position(SHARD, "u") == 0
    assert await ledger.flush()
    assert await engine.journal.position(SHARD, "u") == 2
