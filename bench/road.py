"""The paved road in seconds: from an empty folder to a handled event, a project's own tests, what a handler imports.

    python bench/road.py

Environment and package cache are there already; every command is one that the README has.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BUSWAY = [sys.executable, "-m", "busway"]
EVENT = [
    "--event", "CustomerNotification", "--source", "com.benlimmer.Monolith", "--detail-type", "Customer Notification",
    "--field", "notification:str=unrecognized-login", "--field", "ip-address:str=1.2.3.4",
    "--field", "location:str=Denver", "--template", "email",
]  # fmt: skip
HANDLERS, IMPORTS = 10, 9
# Plugins of Busway's own tests, which a new project does not have.
OURS = ("hypothesispytest", "asyncio", "xdist", "xdist.looponfail")


def run(words: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [*BUSWAY, *words], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


def first_hour() -> dict[str, float]:
    """Seconds of each of the five lines that a newcomer types, and of all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    rows: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder, shop = Path(scratch), Path(scratch) / "shop"
        began = last = time.perf_counter()

        def lap(name: str) -> None:
            nonlocal last
            now = time.perf_counter()
            rows[name], last = now - last, now

        run(["new", "shop"], folder)
        lap("new")
        run(["add", "handler", "notify-customer", *EVENT], shop)
        lap("add handler")
        run(["test"], shop)
        lap("test")
        window = subprocess.Popen(
            [*BUSWAY, "dev"], cwd=shop, env={**os.environ, "BUSWAY_ENDPOINT": endpoint},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            until(window, "watching for saves")
            lap("dev is ready")
            run(["send", "CustomerNotification"], shop, BUSWAY_ENDPOINT=endpoint)
            until(window, "delivered")
            lap("send, and it is handled")
            rows["all"] = time.perf_counter() - began
        finally:
            window.send_signal(signal.SIGINT)
            window.communicate()
    return rows


def until(window: subprocess.Popen[str], words: str) -> None:
    assert window.stdout is not None
    for line in window.stdout:
        if words in line:
            return
    raise SystemExit(f"dev ended before it showed {words!r}")


def own_tests() -> dict[str, dict[str, float]]:
    """Ten handlers with the tests that were generated with them."""
    with tempfile.TemporaryDirectory() as scratch:
        shop = Path(scratch) / "shop"
        run(["new", "shop"], Path(scratch))
        run(["add", "handler", "handler-0", *EVENT[:-2]], shop)
        for number in range(1, HANDLERS):
            run(["add", "handler", f"handler-{number}", "--event", "CustomerNotification"], shop)
        run(["test"], shop)
        return {
            "as a project's environment is": timed_tests(
                shop, [word for name in OURS for word in ("-p", f"no:{name}")]
            ),
            "with the plugins that are installed here": timed_tests(shop, []),
        }


def timed_tests(shop: Path, options: list[str]) -> dict[str, float]:
    walls, inside, count = [], [], 0
    for _ in range(5):
        began = time.perf_counter()
        told = run(["test", *options], shop)
        walls.append(time.perf_counter() - began)
        found = re.search(r"(\d+) passed in ([\d.]+)s", told)
        assert found is not None, told
        count = int(found[1])
        inside.append(float(found[2]))
    return {"tests": count, "pytest says s": statistics.median(inside), "wall s": statistics.median(walls)}


def imports() -> dict[str, float]:
    """Milliseconds, medians; what a handler imports, beyond pydantic, which it stands on."""

    def median_ms(statement: str) -> float:
        times = []
        for _ in range(IMPORTS):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            times.append((time.perf_counter() - began) * 1000)
        return statistics.median(times)

    ours = median_ms("from busway import Event, handler")
    pydantic = median_ms("import pydantic; from pydantic import BaseModel, ConfigDict, PrivateAttr")
    return {"from busway import Event, handler ms": ours, "pydantic ms": pydantic, "beyond it ms": ours - pydantic}


def road() -> dict[str, Any]:
    return {"new to handled s": first_hour(), "ten handlers' own tests": own_tests(), "import": imports()}


if __name__ == "__main__":
    print(json.dumps(road(), indent=2))
