"""The quick starts of docs/runtimes.md, run as printed: each file as it stands there, each command in its order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .packages import CACHE, put_esbuild
from .whole_server import BIN, WholeServer, whole_server

PAGE = Path(__file__).parents[2] / "docs" / "runtimes.md"
# Generous: what is compiled the first time takes its time.
COMPILE_S = 300
REQUIRED = os.environ.get("BUSWAY_REQUIRED", "").split(",")
# A block of the page, and the file named right before it, if any.
BLOCK = re.compile(r"(?:`(?P<file>[\w./]+\.\w+)`[^`\n]*:\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)


def section(title: str) -> str:
    """What stands below a heading."""
    found = re.search(rf"^###? {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def written(title: str, folder: Path) -> str:
    """The commands of a quick start, as one script; its files are written before."""
    script: list[str] = []
    for block in BLOCK.finditer(section(title)):
        if block["kind"] == "console":
            script += re.sub(r"^\$ ", "", block["text"], flags=re.MULTILINE).splitlines()
        else:
            assert block["file"], block["text"]
            file = folder / block["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block["text"])
    return "\n".join(script)


def run(server: WholeServer, script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (keys,) = [block["text"] for block in BLOCK.finditer(section("Quick start"))]
    whole = ["set -e", keys.removeprefix("$ ").replace("http://127.0.0.1:4566", server.url), script]
    # The user's own home: compilers keep there what they fetched.
    known = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "BUSWAY_ENDPOINT": server.url, **environment}
    return subprocess.run(
        ["bash", "-c", "\n".join(whole)], cwd=folder, env=known, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=COMPILE_S, check=False,
    )  # fmt: skip


@pytest.mark.needs("node")
@pytest.mark.needs("zip")
def test_the_quick_start_in_typescript_works_as_printed(tmp_path: Path):
    put_esbuild(tmp_path / "data")
    work = tmp_path / "work"
    script = written("TypeScript", work)
    with whole_server(tmp_path, access_keys="") as server:
        done = run(server, script, work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"hello Ada"\n') == 2


@pytest.mark.needs("go")
@pytest.mark.needs("zip")
def test_the_quick_start_in_go_works_as_printed(tmp_path: Path):
    script = written("Go", tmp_path)
    with whole_server(tmp_path / "server", access_keys="") as server:
        done = run(server, script, tmp_path, GOCACHE=str(CACHE / "go"))
    if not (tmp_path / "go.sum").exists() and "go" not in REQUIRED:
        pytest.skip(f"the module aws-lambda-go could not be fetched: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith('"hello Ada"\n')


@pytest.mark.skipif("cargo" not in REQUIRED, reason="compiles for a minute: BUSWAY_REQUIRED=cargo")
def test_the_quick_start_in_rust_works_as_printed(tmp_path: Path):
    work = tmp_path / "work"
    script = f"cargo init -q --name hello\n{written('Rust', work)}"
    with whole_server(tmp_path, access_keys="") as server:
        done = run(server, script, work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith('"hello Ada"\n')
