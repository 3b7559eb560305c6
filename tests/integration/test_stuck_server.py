"""A server whose thread never comes back is ended all the same, and says where it hung."""

from __future__ import annotations

import subprocess
import sys

STUCK = """
import asyncio, threading
from busway.cli.serve import end_within

async def main():
    hanging = asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    end_within(0.2)
    await asyncio.sleep(0.05)

asyncio.run(main())
"""


def test_a_thread_that_hangs_does_not_keep_the_process():
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 70
    assert done.stderr.startswith("error: the server did not end within 0.2 s")
    assert "threading.py" in done.stderr
    assert "what was answered with success is safe" in done.stderr


def test_a_process_that_ends_by_itself_is_left_alone():
    code = "from busway.cli.serve import end_within; end_within(600)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
