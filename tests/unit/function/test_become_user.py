"""Who builds what was pushed, where the server is root's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WALLS = Path(__file__).parents[3] / "src/busway/function/runtimes/walls.py"


@pytest.mark.needs("root")
def test_behind_the_walls_a_process_can_be_another_user_for_good(tmp_path: Path):
    (tmp_path / "mine").write_text("secret")
    (tmp_path / "mine").chmod(0o600)
    code = f"""
import os, runpy
walls = runpy.run_path({str(WALLS)!r})
walls["raise_walls"](["r/", "w{tmp_path}", "u61200"])
print(os.getresuid(), os.getresgid(), os.getgroups())
for step in (lambda: os.setuid(0), lambda: open({str(tmp_path / "mine")!r}).read()):
    try:
        step()
    except PermissionError:
        print("refused")
"""
    tmp_path.chmod(0o755)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert run.stdout.splitlines() == ["(61200, 61200, 61200) (61200, 61200, 61200) []", "refused", "refused"]
