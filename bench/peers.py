"""The servers that are measured beside each other, each in a process of its own on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(__file__).parent.parent / ".build" / "peers" / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server under test; `functions` says whether it runs function code without Docker."""

    name: str
    functions: bool
    durable: bool
    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="busway-bench-")))
    process: subprocess.Popen[bytes] | None = None

    def command(self) -> tuple[list[str], dict[str, str]]:
        """The words that start it, and what its environment needs besides ours."""
        if self.name == "moto":
            return [str(PEERS / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)], {}
        if self.name == "ministack":
            return [str(PEERS / "ministack")], {"GATEWAY_PORT": str(self.port), "MINISTACK_HOST": "127.0.0.1"}
        if self.name == "limit":
            limit = str(Path(__file__).parent / "limit.py")
            return [sys.executable, limit, str(self.port), str(self.folder / "data")], {}
        serve = [sys.executable, "-m", "busway", "serve", "--port", str(self.port)]
        return [*serve, "--data", str(self.folder / "data")], {"BUSWAY_RULES_PER_BUS": "5000"}

    def start(self, within_s: float = 60.0) -> float:
        """Seconds from the start of the process to its first answer to an AWS call."""
        words, extra = self.command()
        began = time.perf_counter()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                words, env={**os.environ, **extra}, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        while time.perf_counter() < began + within_s:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended:\n{(self.folder / 'log').read_text()[-2000:]}")
            if self._answers():
                return time.perf_counter() - began
            time.sleep(0.01)
        raise RuntimeError(f"{self.name} did not answer within {within_s} s")

    def _answers(self) -> bool:
        from load import call, request

        try:
            status, _ = call(self.port, request("events", "AWSEvents.ListEventBuses", "1.1", {}, self.port))
        except (OSError, EOFError):
            return False
        return status == 200

    def memory_mb(self) -> float:
        """Resident memory of the server and its children, in MB."""
        assert self.process is not None
        total = 0.0
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
                if os.getsid(int(status.parent.name)) == self.process.pid:
                    total += (
                        next((int(ln.split()[1]) for ln in text.splitlines() if ln.startswith("VmRSS")), 0) / 1024
                    )
            except (OSError, ProcessLookupError):
                continue
        return total

    def cpu_s(self) -> float:
        """CPU seconds, user and system, of the server process itself."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
