"""The README's first screen, run as printed: what a newcomer types must work."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from busway.cli.demo.server import free_port

ROOT = Path(__file__).parents[2]


def console_blocks() -> list[list[str]]:
    """The commands of each ```console block, continued lines joined, comments left as the shell takes them."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    joined = [block.replace("\\\n", " ") for block in blocks]
    return [[line[2:] for line in block.splitlines() if line.startswith("$ ")] for block in joined]


@pytest.fixture
def environment() -> dict[str, str]:
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "BUSWAY_PORT": str(port), "BUSWAY_ENDPOINT": f"http://127.0.0.1:{port}"}


def test_the_first_screen_works_as_printed(tmp_path: Path, environment: dict[str, str]):
    first, second = console_blocks()
    assert first[0].startswith("make setup")
    assert first[-1].startswith("busway dev")
    script = "\n".join(["set -e", f"cd {tmp_path}", first[1].replace('"$(mktemp -d)"', "."), *first[2:-1]])
    made = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "passed" in made.stdout
    project = tmp_path / "shop"
    with (tmp_path / "dev.log").open("wb") as log:
        dev = subprocess.Popen(
            ["bash", "-c", f"exec {first[-1]}"], env=environment, cwd=project, stdout=log, stderr=log
        )
    try:
        until_deployed(tmp_path / "dev.log", dev)
        said = [run(command, environment, project) for command in second]
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(timeout=30)
    sent, inbox, why = said
    assert re.fullmatch(r"[0-9a-f-]{36}", sent.splitlines()[0])
    assert "user@example.com" in inbox
    assert "shop-notify-customer" in why


def run(command: str, environment: dict[str, str], folder: Path) -> str:
    """What a command prints; the inbox is asked again until the handler had its turn."""
    deadline = time.monotonic() + 30
    while True:
        result = subprocess.run(
            ["bash", "-c", command], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        if "inbox" not in command or "@" in result.stdout or time.monotonic() > deadline:
            return result.stdout


def until_deployed(log: Path, dev: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while "watching" not in log.read_text():
        assert dev.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_the_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_boto3_example_is_accepted(tmp_path: Path, environment: dict[str, str]):
    example = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    endpoint = environment["BUSWAY_ENDPOINT"]
    server = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--data", str(tmp_path / "data")], env=environment
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{endpoint}/health")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        script = example.replace("http://127.0.0.1:4566", endpoint).replace(
            "events.put_events", "answer = events.put_events"
        )
        script += "assert answer['FailedEntryCount'] == 0\n"
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 0
