"""The workers of one function and the line in front of them. Decides nothing and starts nothing: `pool` does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field

import msgspec

from busway.function.workers.placement import Claim
from busway.function.workers.rate import Rate, Window
from busway.function.workers.worker import Answer, Worker


class Run(msgspec.Struct, frozen=True, gc=False):
    """An invocation that ended. `init_s` is set for the first one of a worker.

    `remarks` say what was contained, for the function's log. `in_init`: it ended before it could be given the event;
    `tail` is what it printed until then. `worker` is the mark of who ran it.
    """

    answer: Answer
    duration_s: float
    init_s: float | None
    memory_bytes: int
    memory_mb: int
    tail: bytes
    remarks: tuple[str, ...] = ()
    in_init: bool = False
    worker: str = ""


@dataclass(eq=False, slots=True)
class Ticket:
    """A place in line: gets a worker, or the answer of a worker that failed to start."""

    since: float
    served: asyncio.Future[Worker | Run]


@dataclass(eq=False, slots=True)
class Bounds:
    """What all versions of one function may use together. `running` counts those in line too.

    `typical_s` is what an invocation takes of late, of whichever version ran last.
    """

    reserved: int | None = None
    window: Window | None = None
    running: int = 0
    workers: int = 0
    typical_s: float = 0.0
    # Somebody will say when the window has room again.
    awaited: bool = False

    def assign(self, reserved: int | None, rate: Rate | None) -> None:
        self.reserved = reserved
        if rate is None or self.window is None:
            self.window = None if rate is None else Window(rate)
        elif self.window.rate != rate:
            self.window = self.window.changed(rate)


@dataclass(eq=False, slots=True)
class Crew:
    """The workers of one version. Those of another revision than the present one only finish what they do.

    `arn` names the version (the unqualified one is $LATEST), `function` is the unqualified ARN. `typical_s` is what
    an invocation takes of late, `ready_at` when a worker last became ready, `served_at` when an
    event was last taken up.
    """

    arn: str
    function: str
    revision: str
    bounds: Bounds
    workers: set[Worker] = field(default_factory=set[Worker])
    free: list[Worker] = field(default_factory=list[Worker])
    line: deque[Ticket] = field(default_factory=deque[Ticket])
    starting: int = 0
    typical_s: float = 0.0
    ready_at: float = 0.0
    served_at: float = 0.0
    looked_after: bool = False

    @property
    def size(self) -> int:
        return len(self.workers)

    @property
    def full(self) -> bool:
        reserved = self.bounds.reserved
        return reserved is not None and self.size >= max(1, reserved)

    def claim(self, now: float) -> Claim:
        # Since it was last served: who keeps a long line would always have waited longest.
        return Claim(self.arn, self.size, now - max(self.line[0].since, self.served_at) if self.line else 0.0)

    def free_worker(self) -> Worker | None:
        """Last in, first out: the workers that are not needed stay idle, and are ended."""
        return self.free.pop() if self.free and not self.line else None

    def stand(self, now: float) -> Ticket:
        ticket = Ticket(now, asyncio.get_running_loop().create_future())
        self.line.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> Worker | None:
        """Leave the line; the worker that was handed over in the moment in which its caller went away."""
        with contextlib.suppress(ValueError):
            self.line.remove(ticket)
        served = ticket.served
        if not served.done() or served.cancelled() or served.exception() is not None:
            return None
        worker = served.result()
        return worker if isinstance(worker, Worker) else None

    def serve(self, served: Worker | Run, now: float) -> bool:
        """Give it to the first in line; False when nobody waits."""
        self.served_at = now
        while self.line:
            ticket = self.line.popleft()
            if not ticket.served.done():
                ticket.served.set_result(served)
                return True
        return False

    def send_away(self, error: Exception) -> None:
        while self.line:
            ticket = self.line.popleft()
            if not ticket.served.done():
                ticket.served.set_exception(error)
