"""A real `busway serve` in a process of its own, for the demo to talk to, kill and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DidNotHappen(Exception):
    """Something that the demo waited for did not come."""


@dataclass
class ServerProcess:
    """`busway serve` on a data folder; `start` returns when it answers /health."""

    data: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict[str, str])
    flags: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.data.parent / "server.log"

    @property
    def pid(self) -> int:
        """Of the process that runs. Raises DidNotHappen when none does."""
        if self._process is None:
            raise DidNotHappen("the server was not launched")
        return self._process.pid

    def start(self, within_s: float = 20.0) -> float:
        """Start and wait until it is ready; return the seconds that took."""
        began = time.monotonic()
        self.launch()
        self.wait_until_ready(within_s)
        return time.monotonic() - began

    def launch(self, *before: str) -> None:
        """Start and return at once; `before` is a command that runs it."""
        command = [sys.executable, "-m", "busway", "serve", "--port", str(self.port), "--data", str(self.data)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*before, *command, *self.flags], env={**os.environ, **self.environment}, stdout=log, stderr=log
            )

    def wait_until_ready(self, within_s: float = 20.0) -> None:
        """Raises DidNotHappen, with the end of the log, when it ends instead or is not ready in time."""
        deadline = time.monotonic() + within_s
        with httpx.Client(timeout=1.0) as asking:
            while time.monotonic() < deadline:
                code = self.exit_code()
                if code is not None:
                    raise DidNotHappen(f"the server ended with exit code {code}:\n{self.log_tail()}")
                try:
                    if asking.get(f"{self.endpoint}/health").status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(0.02)
        raise DidNotHappen(f"the server was not ready after {within_s:.0f} s:\n{self.log_tail()}")

    def exit_code(self) -> int | None:
        """How it ended; None while it runs, or when none was launched."""
        return None if self._process is None else self._process.poll()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL: the server gets no chance to finish anything."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM, then wait; return the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code
