"""What every test may ask for: tools that must be there, a free port, the house clock."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path

import pytest

from busway.clock import ManualClock, SeededEntropy

# Tool -> where it comes from, for the skip message.
PACKAGES = {
    "strace": "the package `strace`",
    "node": "Node.js 20 or newer",
    "go": "Go",
    "cc": "a C compiler",
    "bwrap": "the package `bubblewrap`",
    "root": "running as root",
    "ministack": "the peers: make .build/peers/.ready",
    "matcher": "the compiled matcher, which needs Rust: make matcher",
}
PEERS = Path(__file__).parents[1] / ".build" / "peers" / "bin"


def _present(tool: str) -> bool:
    if tool == "root":
        return os.geteuid() == 0
    if tool == "matcher":
        return importlib.util.find_spec("busway_matcher") is not None
    return (PEERS / tool).exists() if tool == "ministack" else shutil.which(tool) is not None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(tool): skip loudly, or fail when BUSWAY_REQUIRED lists the tool")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        tool = str(mark.args[0])
        if _present(tool):
            continue
        reason = f"needs {tool}: install {PACKAGES.get(tool, tool)}"
        if tool in os.environ.get("BUSWAY_REQUIRED", "").split(","):
            pytest.fail(f"{reason} (it is listed as required)", pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def entropy() -> SeededEntropy:
    return SeededEntropy(1)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
