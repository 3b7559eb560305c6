"""One worker: a process that runs one version of one function, one invocation at a time.

    start    spawn, then wait until the runtime client asks for its first event
    run      hand over an event, wait for the answer, the end of the process, or the deadline
    end      nothing of the process is left afterwards

Whatever the handler does ends in an `Answer`; only `WorkerFailed` (the process could not be made ready) is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from busway.clock import Clock, first_of
from busway.function.runtimes import Runtime
from busway.function.workers.cage import PROCESSES_MAX
from busway.function.workers.output import Output
from busway.function.workers.process import Child, Spawn, Start, peer_is_ours
from busway.function.workers.runtime_api import RESPONSE_BYTES_MAX, Invocation, RuntimeConnection, stop_listening
from busway.function.workers.sandbox import NOT_ENCLOSED, Enclosure

# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html (Init phase). AWS then runs it again
# within the function's timeout; here it goes on for the longer of both.
INIT_S_MAX = 10.0
# AWS's errorType of a function that took too long.
TIMED_OUT = "Sandbox.Timedout"
# Ours: how long a process that closed its socket may take to end.
FAREWELL_S = 1.0

_SIGNALS: dict[int, str] = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
}


async def knows_nothing(question: bytes) -> bytes:
    """For functions whose steps nobody keeps."""
    return b'{"errorType":"OnceUnavailable","errorMessage":"this server keeps no steps"}'


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is made from: everything that, when it changes, needs another worker.

    `once` answers what its handler asks about steps that are to run once. `bytecode` is the folder for what Python
    compiles, where that can't lie beside its source. `fault`: why none can be made from it. `mark` is the worker's
    own, by which its log lines are known.
    """

    function_arn: str
    revision: str
    runtime: Runtime
    environment: Mapping[str, str]
    folder: Path
    scratch: Path
    memory_mb: int
    timeout_s: float
    once: Callable[[bytes], Awaitable[bytes]] = knows_nothing
    enclosure: Enclosure = NOT_ENCLOSED
    bytecode: Path | None = None
    fault: str = ""
    mark: str = ""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came of an invocation. `kind` is the errorType of an error, None for a result."""

    body: bytes
    kind: str | None = None


class WorkerFailed(Exception):
    """The worker never became ready; `answer` is what its invocation gets."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode(errors="replace"))
        self.answer = answer


LineSink = Callable[[Plan, Invocation | None, str], None]
"""(what the worker was made from, the invocation under way, a line that it printed)"""


class Worker:
    """A process that runs a function. `on_gone` is called when it ended by itself while idle."""

    def __init__(
        self, plan: Plan, spawn: Spawn, clock: Clock, sink: LineSink, on_gone: Callable[[Worker], None]
    ) -> None:
        self.plan = plan
        self.init_s = 0.0
        # The last 4 KB that it printed before it was ready.
        self.init_tail = b""
        self.memory_peak = 0
        self.over_memory = False
        self.idle_since = self.ready_at = 0.0
        self.runs = 0
        # Why it was ended, where that was us and is no timeout.
        self.ended_for = ""
        self.child: Child | None = None
        self._spawn, self._clock, self._sink, self._on_gone = spawn, clock, sink, on_gone
        self._ready: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[Answer] | None = None
        self._invocation: Invocation | None = None
        self._handed = self._expired = False
        self._deadline = math.inf
        self._waiting: RuntimeConnection | None = None
        self._connections: set[RuntimeConnection] = set()
        self._listener: asyncio.Server | None = None
        self._ended = False
        self._output: Output | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> bool:
        return self.child is not None and not self.child.exited.done()

    @property
    def busy(self) -> bool:
        """Whether an invocation was handed over and its books are not closed."""
        return self._invocation is not None

    @property
    def took(self) -> bool:
        """Whether the process was given the event of the present or last invocation."""
        return self._handed

    # --- start ---

    async def start(self) -> None:
        """Return when the runtime waits for its first event. Raises `WorkerFailed`; the caller calls `end` then."""
        if self.plan.fault:
            raise WorkerFailed(_error("Busway.NoSecret", "", self.plan.fault))
        began = self._clock.monotonic()
        try:
            await self._begin()
        except OSError as error:
            raise WorkerFailed(
                _error("Runtime.InvalidEntrypoint", "", f"no process could be started: {error}")
            ) from error
        limit_s = max(INIT_S_MAX, self.plan.timeout_s)
        try:
            async with self._clock.timeout(limit_s):
                failure = await self._ready
        except TimeoutError:
            failure = _error(TIMED_OUT, "", f"Task timed out after {limit_s:.2f} seconds")
        self.init_s = self._clock.monotonic() - began
        if self._output is not None:
            self.init_tail = self._output.finish()
        self.sample_memory()
        if failure is not None:
            raise WorkerFailed(failure)

    async def _begin(self) -> None:
        for folder in filter(None, (self.plan.scratch, self.plan.bytecode)):
            folder.mkdir(parents=True, exist_ok=True)
        environment, channel = dict(self.plan.environment), None
        if self.plan.runtime.tcp:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._tcp_connection, "127.0.0.1", 0)
            port: int = self._listener.sockets[0].getsockname()[1]
            environment["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{port}"
        else:
            ours, channel = socket.socketpair()
            ours.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, ours)
        memory_bytes = self.plan.memory_mb * 1_048_576
        walls, wrapper = self.plan.enclosure.walls, self.plan.enclosure.wrapper
        start = Start(self.plan.runtime.command, environment, self.plan.folder, memory_bytes, channel, walls, wrapper)
        self.child = self._spawn.start(start)
        self._output = Output(self.child.output, lambda line: self._sink(self.plan, self._invocation, line))
        self.child.exited.add_done_callback(self._exited)

    def _connection(self) -> RuntimeConnection:
        connection = RuntimeConnection(self)
        self._connections.add(connection)
        return connection

    def _tcp_connection(self) -> RuntimeConnection:
        connection = RuntimeConnection(self, peer_is_ours)
        if self._ended:
            connection.close()
        self._connections.add(connection)
        return connection

    # --- run ---

    async def run(self, invocation: Invocation) -> Answer:
        """The answer to one event. Afterwards the worker is `alive` if it can take another."""
        assert self._output is not None
        self._output.begin()
        self._answer = asyncio.get_running_loop().create_future()
        self._invocation = invocation
        self._handed = self._expired = False
        self._deadline = self._clock.monotonic() + self.plan.timeout_s
        if not self.alive:
            return self._exit_error()
        if self._waiting is not None:
            self._hand_over(self._waiting)
        return await self.answer()

    async def answer(self) -> Answer:
        """What comes of the invocation under way. May be asked again by someone else when the asker was cancelled."""
        assert self._answer is not None
        answer = await asyncio.shield(self._answer)
        if self._expired:
            await self._stop()
        return answer

    def expire(self, now: float) -> None:
        """End the invocation under way if its time is over. `watch` asks: a timer for each would cost more."""
        if self._invocation is None or self._answer is None or self._answer.done() or now < self._deadline:
            return
        self._expired = True
        message = f"Task timed out after {self.plan.timeout_s:.2f} seconds"
        self._settle(_error(TIMED_OUT, self._invocation.request_id, message))

    def finish(self) -> bytes:
        """Close the books of the invocation: the last 4 KB that it printed."""
        assert self._output is not None
        tail = self._output.finish()
        self._answer = self._invocation = None
        return tail

    def _hand_over(self, connection: RuntimeConnection) -> None:
        assert self._invocation is not None
        self._handed = True
        self._waiting = None
        connection.send(self._invocation)

    def _settle(self, answer: Answer) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    # --- what the runtime client asks (runtime_api.Runtime) ---

    def next(self, connection: RuntimeConnection) -> None:
        self._waiting = connection
        if not self._ready.done():
            self._ready.set_result(None)
        if self._answer is None or self._answer.done() or self._invocation is None:
            return
        if self._handed:
            # It has the event and asks for another one without an answer: its state is lost.
            self._settle(_error("Runtime.ExitError", self._invocation.request_id, "the runtime gave no answer"))
            self.kill()
        else:
            self._hand_over(connection)

    def response(self, request_id: str, body: bytes, *, too_large: bool) -> int:
        if not self._expects(request_id):
            return 400
        if too_large:
            text = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
            kind = "Function.ResponseSizeTooLarge"
            self._settle(Answer(msgspec.json.encode({"errorType": kind, "errorMessage": text}), kind))
            return 413
        self._settle(Answer(body))
        return 202

    def error(self, request_id: str, body: bytes, kind: str) -> int:
        if not self._expects(request_id):
            return 400
        self._settle(Answer(body, kind or "Unhandled"))
        return 202

    def init_error(self, body: bytes, kind: str) -> int:
        if self._ready.done():
            return 403
        self._ready.set_result(Answer(body, kind or "Runtime.InitError"))
        return 202

    def once(self, connection: RuntimeConnection, body: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._tell(connection, body))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _tell(self, connection: RuntimeConnection, body: bytes) -> None:
        connection.reply(await self.plan.once(body))

    def hung_up(self, connection: RuntimeConnection) -> None:
        self._connections.discard(connection)
        if self._waiting is connection:
            self._waiting = None
        # Ours never closes its socket while it serves: without it the worker is on its way out, or out of reach.
        if not self.plan.runtime.tcp and self.alive and self._farewell is None:
            self._farewell = asyncio.get_running_loop().create_task(self._see_out())

    async def _see_out(self) -> None:
        """Let a process that ends by itself do so, for the sake of its exit status."""
        assert self.child is not None
        await first_of(self._clock, asyncio.shield(self.child.exited), FAREWELL_S)
        self.kill()

    def _expects(self, request_id: str) -> bool:
        return self._invocation is not None and self._handed and self._invocation.request_id == request_id

    # --- end ---

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()

    async def _stop(self) -> None:
        self.kill()
        if self.child is not None:
            await asyncio.shield(self.child.exited)

    async def end(self) -> None:
        """End the process and everything that it started; close what it held. May be called twice."""
        try:
            if self.child is not None and (strays := await self.child.bury()):
                self._sink(self.plan, None, f"[busway: ended {strays} process(es) that it left behind]")
        finally:
            if self._farewell is not None:
                self._farewell.cancel()
            self._ended = True
            if self._listener is not None:
                await stop_listening(self._listener, self._clock)
            for connection in list(self._connections):
                connection.close()
            if self._output is not None:
                self._output.close()
            with contextlib.suppress(OSError):
                await asyncio.to_thread(shutil.rmtree, self.plan.scratch, True)

    def remarks(self, answer: Answer) -> tuple[str, ...]:
        """What was contained so far, in words for the function's log; nothing for an invocation that went well."""
        said: list[str] = []
        if answer.kind is None:
            return ()
        if self.over_memory:
            said.append(f"[busway: ended: it used more than its {self.plan.memory_mb} MB of memory]")
        if self.ended_for:
            said.append(f"[busway: ended: {self.ended_for}]")
        if self.plan.enclosure.walls and (answer.kind == "PermissionError" or b"EACCES" in answer.body):
            said.append(
                "[busway: in its sandbox it reads its own code and writes /tmp; see docs/settings.md, sandbox]"
            )
        if self.child is not None and self.child.processes_refused():
            said.append(f"[busway: it may have {PROCESSES_MAX} processes and threads; further ones were refused]")
        return tuple(said)

    def sample_memory(self) -> int:
        """Note and return the memory in use now, in bytes."""
        now = 0 if self.child is None else self.child.resident_bytes()
        self.memory_peak = max(self.memory_peak, now)
        return now

    def _exited(self, _: asyncio.Future[int]) -> None:
        error = self._exit_error()
        if not self._ready.done():
            self._ready.set_result(error)
        self._settle(error)
        self._on_gone(self)

    def _exit_error(self) -> Answer:
        """The error of a process that ended instead of answering, in AWS's words."""
        assert self.child is not None
        request_id = "" if self._invocation is None else self._invocation.request_id
        status = self.child.exited.result()
        if self.over_memory or self.child.ran_out_of_memory():
            self.over_memory = True
            return _error("Runtime.OutOfMemory", request_id, "Runtime exited with error: signal: killed")
        if status < 0:
            name = _SIGNALS.get(-status) or signal.strsignal(-status) or str(-status)
            return _error("Runtime.ExitError", request_id, f"Runtime exited with error: signal: {name.lower()}")
        if status:
            return _error("Runtime.ExitError", request_id, f"Runtime exited with error: exit status {status}")
        return _error("Runtime.ExitError", request_id, "Runtime exited without providing a reason")


def billed_ms(duration_s: float) -> int:
    """Whole milliseconds, rounded up, as on AWS's bill."""
    return math.ceil(duration_s * 1000)


def _error(kind: str, request_id: str, message: str) -> Answer:
    text = f"RequestId: {request_id} Error: {message}"
    return Answer(msgspec.json.encode({"errorType": kind, "errorMessage": text}), kind)
