"""Workers without processes: each is a task that speaks the Runtime API over the socket it was handed."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from busway.clock import ManualClock
from busway.function.runtimes import Runtime
from busway.function.workers.process import Start
from busway.function.workers.runtime_api import API, Invocation
from busway.function.workers.worker import Plan

NEXT = b"GET " + API + b"invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"


class Guest:
    """A `Child` whose handler takes as long as the function's environment says (TAKES_S), by the manual clock."""

    caged = True

    def __init__(self, start: Start, clock: ManualClock, number: int, log: Callable[[str], None]) -> None:
        assert start.channel is not None
        self.pid = number
        self.output, self._printed = os.pipe2(os.O_NONBLOCK)
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._socket = socket.socket(fileno=os.dup(start.channel.fileno()))
        self._socket.setblocking(False)
        start.channel.close()
        self._clock, self._takes_s, self._log = clock, float(start.environment["TAKES_S"]), log
        self._name = start.environment["NAME"]
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        loop, out = asyncio.get_running_loop(), NEXT
        while True:
            await loop.sock_sendall(self._socket, out)
            head = b""
            while not (found := re.search(rb"Aws-Request-Id: (\S+)\r\n", head)):
                data = await loop.sock_recv(self._socket, 65_536)
                if not data:
                    return
                head += data
            self._log(self._name)
            await self._clock.sleep(self._takes_s)
            answer = b"POST " + API + b"invocation/%s/response HTTP/1.1\r\nContent-Length: 1\r\n\r\n1" % found[1]
            out = answer + NEXT

    def kill(self) -> None:
        if not self.exited.done():
            self._task.cancel()
            self._socket.close()
            os.close(self._printed)
            self.exited.set_result(-9)

    def resident_bytes(self) -> int:
        return 0

    def ran_out_of_memory(self) -> bool:
        return False

    def processes_refused(self) -> bool:
        return False

    async def bury(self) -> int:
        self.kill()
        await asyncio.gather(self._task, return_exceptions=True)
        return 0


class Guests:
    """A `Spawn`. `started` holds the functions' names in the order in which their handlers began."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.started: list[tuple[float, str]] = []
        self.all_of: list[Guest] = []

    def start(self, start: Start) -> Guest:
        guest = Guest(
            start, self._clock, len(self.all_of) + 1, lambda name: self.started.append((self._clock.now(), name))
        )
        self.all_of.append(guest)
        return guest

    async def sweep(self, mark: str) -> int:
        return 0

    def alive(self) -> int:
        return sum(not guest.exited.done() for guest in self.all_of)


def plan(folder: Path, arn: str, revision: str, number: int, takes_s: float) -> Plan:
    environment = {"TAKES_S": str(takes_s), "NAME": arn}
    return Plan(
        arn, revision, Runtime(("python",)), environment, folder, folder / f"scratch-{number}", 128, 900.0
    )  # fmt: skip


def invocation(number: int) -> Callable[[Plan], Invocation]:
    return lambda plan: Invocation(f"r-{number}", b"{}", plan.function_arn, 0)
