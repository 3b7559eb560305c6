"""The demo is a test: it exits 0 only when all of the story was observed, and notices a swallowed event."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def run_demo(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "busway", "demo", "--json", *flags],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=240,
    )


def test_the_story_of_the_readme_happens(tmp_path: Path):
    result = run_demo(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(result.stdout)["ok"]


def test_a_swallowed_event_is_noticed(tmp_path: Path):
    result = run_demo(tmp_path, "--sabotage")
    assert result.returncode == 1
    assert "lost" in json.loads(result.stdout)["fault"]
