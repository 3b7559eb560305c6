"""What a push may take of the server: time, places, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from busway.aws.gateway import Message
from busway.clock import ManualClock, SeededEntropy, settle
from busway.engine.embedded.disk import Disk
from busway.function.build.tools import Machine
from busway.function.workers.sandbox import PROCESS, Sandbox
from busway.push.access import Access
from busway.push.remote import SENDERS_MAX, SENDING_S_MAX, SILENCE_S_MAX, Remote
from busway.push.workplace import sweep

PUSH: Message = {
    "headers": [], "raw_path": b"/git/shop.git/git-receive-pack", "method": "POST", "query_string": b"",
}  # fmt: skip


class Sender:
    """Who sends a push a byte at a time, whenever `byte` is called."""

    def __init__(self) -> None:
        self.bytes = asyncio.Queue[bytes]()
        self.read = 0
        self.answers: list[Message] = []

    async def receive(self) -> Message:
        body = await self.bytes.get()
        self.read += 1
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(self, message: Message) -> None:
        self.answers.append(message)


def remote(tmp_path: Path, clock: ManualClock) -> Remote:
    machine = cast(Machine, SimpleNamespace(clock=clock, sandbox=Sandbox(PROCESS, tmp_path, {})))
    return Remote(Access(cast(Any, {}), {}, strict=False), tmp_path, machine, SeededEntropy(1), "http://127.0.0.1:1")


async def test_who_sends_a_push_drop_by_drop_is_left_after_a_while(tmp_path: Path):
    clock, sender = ManualClock(), Sender()
    pushing = asyncio.create_task(remote(tmp_path, clock)(PUSH, sender.receive, sender.send))
    for _ in range(int(SENDING_S_MAX / SILENCE_S_MAX) + 1):
        sender.bytes.put_nowait(b"0")
        await settle()
        await clock.advance(SILENCE_S_MAX - 1)
    await clock.advance(SILENCE_S_MAX)
    assert pushing.done()
    assert sender.answers == []


async def test_only_so_many_pushes_are_read_at_once_and_the_others_wait(tmp_path: Path):
    clock, senders = ManualClock(), [Sender() for _ in range(SENDERS_MAX + 1)]
    where = remote(tmp_path, clock)
    pushes = [asyncio.create_task(where(PUSH, sender.receive, sender.send)) for sender in senders]
    for sender in senders:
        sender.bytes.put_nowait(b"0")
    await settle()
    assert [sender.read for sender in senders] == [1] * SENDERS_MAX + [0]
    await clock.advance(SILENCE_S_MAX)
    assert senders[-1].read == 1
    await clock.advance(SILENCE_S_MAX)
    await asyncio.gather(*pushes)


def test_what_a_killed_server_left_is_removed_however_deep_and_what_is_at_work_stays(tmp_path: Path):
    left, busy, new = (tmp_path / f"busway-push-{name}" for name in ("left", "busy", "new"))
    for folder in (left, busy, new):
        folder.mkdir()
    (left / "lock").touch()
    (left / "elsewhere").symlink_to(new)
    (new / "stays").touch()
    inner = os.open(left, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("deep", dir_fd=inner)
        outer, inner = inner, os.open("deep", os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)
    at_work = Disk(busy)
    at_work.lock()
    sweep(tmp_path)
    at_work.unlock()
    assert sorted(tmp_path.iterdir()) == [busy, new]
    assert (new / "stays").exists()
