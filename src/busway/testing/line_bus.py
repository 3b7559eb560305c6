"""A `LocalBus` for tests in other languages, a line of JSON each way: `python -m busway.testing.line_bus SOCKET`.

Each connection to the Unix socket is a bus of its own, in a fork of this process, which has imported all of it
already. It ends with its stdin, that is with whoever started it.

A question is `{"ask": "put", "entry": {...}}`; its answer `{"answer": ...}` or `{"error": text}`. Before the answer
may come `{"call": NAME, "event": {...}}`: a handler is to be called, which is answered by `{"result": ...}` or
`{"error": {"name": ..., "message": ...}}`.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import msgspec

from busway.errors import BuswayError
from busway.event import Event
from busway.handling import Handler, handler
from busway.road.rules import checked_rule
from busway.road.typescript.options import event_class_of, python_options
from busway.testing.local_bus import LocalBus

Question = dict[str, Any]


class QuietBus(LocalBus):
    """Whoever calls the handlers has said already what they threw."""

    def show(self, error: Exception) -> None:
        pass


class LineBus:
    """The bus of one connection."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._bus = stream, QuietBus()
        self._handlers: dict[int, Handler[Any, Any]] = {}
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
                {"event": one.event, "number": one.number, "at": one.at, "error": one.error and str(one.error)}
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

    def _of(self, question: Question) -> Handler[Any, Any]:
        return self._handlers[question["name"]]

    def _add(self, name: int, source: str, detail_type: str, options: dict[str, Any]) -> None:
        async def call(event: Event) -> Any:
            async with self._line:
                self._tell({"call": name, "event": event.envelope.raw})
                said = await asyncio.to_thread(self._heard)
            if said is None:
                raise EOFError("the test ended")
            if (error := said.get("error")) is not None:
                raise type(str(error["name"]), (Exception,), {})(error["message"])
            return said["result"]

        self._handlers[name] = handler(event_class_of(source, detail_type), **python_options(options))(call)
        self._bus.add(self._handlers[name], f"handler-{name}")

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


def main(path: str) -> None:
    """Serve until stdin ends."""
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
    main(sys.argv[1])
