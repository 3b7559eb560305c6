"""A `LocalBus` for tests in other languages, a line of JSON each way.

    python -m busway.testing.line_bus SOCKET [--batches]

Each connection to the Unix socket is a bus of its own, in a fork of this process, which has imported all of it
already (`--batches`: also what batch handlers need). It ends with its stdin, that is with whoever started it.

A question is `{"ask": "put", "entry": {...}}`; its answer `{"answer": ...}` or `{"error": text}`. Before the answer
may come `{"call": NAME, "event": {...}}`: a handler is to be called, with Lambda's event if it takes batches. It is
answered by `{"result": ...}` or `{"error": {"name": ..., "message": ...}}`.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, BinaryIO, cast

import msgspec

from busway.errors import BuswayError
from busway.event import Event
from busway.road.rules import checked_rule
from busway.road.typescript.options import event_class_of, made, made_for_batches
from busway.testing.local_bus import AnyHandler, LocalBus

Question = dict[str, Any]
_PREFIX = "handler-"


class QuietBus(LocalBus):
    """Whoever calls the handlers has said already what they threw. `call` is given the handler's name on this bus."""

    def __init__(self, call: Callable[[str, Any], Awaitable[Any]]) -> None:
        super().__init__()
        self._call = call

    async def run_batch(self, name: str, payload: dict[str, Any]) -> Any:
        return await self._call(name, payload)

    def show(self, error: Exception) -> None:
        pass


class LineBus:
    """The bus of one connection."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._bus = stream, QuietBus(self._call)
        self._handlers: dict[int, AnyHandler] = {}
        # Two handlers of one event run one after the other: there is one line.
        self._line = asyncio.Lock()

    def answer(self, question: Question) -> Any:
        """Raises BuswayError, for what the test did wrong."""
        bus = self._bus
        asked: dict[str, Callable[[], Any]] = {
            "add": lambda: self._add(**question),
            "add_rule": lambda: self._add_rule(**question),
            "sent": lambda: bus.sent(str(question["name"])),
            "put": lambda: bus.put(question["entry"]),
            "fire": lambda: bus.fire(self._of(question)),
            "attempts": lambda: [
                {
                    "event": one.event,
                    "events": one.events,
                    "number": one.number,
                    "at": one.at,
                    "error": one.error and str(one.error),
                    "failed": one.failed,
                }
                for one in bus.attempts(self._of(question))
            ],
            "handled": lambda: bus.handled(self._of(question)),
            "dead_letters": lambda: [
                {
                    "event": letter.event,
                    "attributes": letter.attributes,
                    "errorCode": letter.error_code,
                    "errorMessage": letter.error_message,
                }
                for letter in bus.dead_letters(self._of(question))
            ],
            "now": bus.clock.now,
            "advance": lambda: bus.clock.advance(question["time"]),
        }
        return asked[question.pop("ask")]()

    def _of(self, question: Question) -> AnyHandler:
        return self._handlers[question["name"]]

    def _add(self, name: int, source: str, detail_type: str, options: dict[str, Any], batch: bool = False) -> None:
        event_class, on_bus = event_class_of(source, detail_type), f"{_PREFIX}{name}"

        async def call(event: Event) -> Any:
            return await self._call(on_bus, event.envelope.raw)

        handler = made_for_batches(event_class, options) if batch else made(event_class, options, call)
        self._handlers[name] = handler
        self._bus.add(handler, on_bus)

    async def _call(self, on_bus: str, event: Any) -> Any:
        """Have a handler called over there; what it gives. Raises what it throws."""
        async with self._line:
            self._tell({"call": int(on_bus.removeprefix(_PREFIX)), "event": event})
            said = await asyncio.to_thread(self._heard)
        if said is None:
            raise EOFError("the test ended")
        if (error := said.get("error")) is not None:
            raise type(str(error["name"]), (Exception,), {})(error["message"])
        return said["result"]

    def _add_rule(self, name: int, rule: dict[str, Any]) -> None:
        self._bus.add_rule(str(name), checked_rule(msgspec.json.encode(rule)))

    def serve(self) -> None:
        """Answer until the other side ends."""
        while (question := self._heard()) is not None:
            try:
                self._tell({"answer": self.answer(question)})
            except (BuswayError, ValueError) as error:
                self._tell({"error": str(error)})

    def _heard(self) -> Question | None:
        """The next line; None at the end."""
        line = self._stream.readline()
        return msgspec.json.decode(line) if line else None

    def _tell(self, what: Question) -> None:
        self._stream.write(msgspec.json.encode(what) + b"\n")
        self._stream.flush()


def main(path: str, *, batches: bool) -> None:
    """Serve until stdin ends. `batches`: handlers of batches will come, so import for all what each would."""
    if batches:
        import_module("busway.testing.local_batches")
    # Children that ended are nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    LineBus(cast(BinaryIO, connection.makefile("rwb"))).serve()
                    sys.stderr.flush()
                    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], batches="--batches" in sys.argv[2:])
