"""Functions that do their worst on a real server, at each sandbox level: what SECURITY.md promises, and a log line.

For each level one server runs all of them at once, while a neighbour's function is invoked on and on.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from busway.function.runtimes.walls import SCOPE_ABI, landlock_abi

from .whole_server import BIN, ROLE, WholeServer, whole_server, zipped

LEVELS = ("process", "kernel", "bubblewrap")
NEEDS = {"bubblewrap": [pytest.mark.needs("bwrap")]}
TIMEOUT_S = 3
SECRET_OF_THE_SERVER = "canary-of-the-server"
NEIGHBOUR = "count = 0\ndef handler(event, context):\n global count; count += 1; return count"
ABUSES = {
    "bomb": """
        import os, time
        def handler(event, context):
            # Bounded here too, so that a fault of ours does not take the machine down.
            for _ in range(3_000):
                if os.fork() == 0:
                    time.sleep(600)
                    os._exit(0)
            time.sleep(600)
    """,
    "flood": """
        import os
        def handler(event, context):
            while True:
                os.write(1, b"x" * 999 + b"\\n")
    """,
    "exit": "import os\ndef handler(event, context): os._exit(3)",
    "eat": """
        def handler(event, context):
            eaten = []
            for _ in range(1_024):
                eaten.append(b"x" * 10_485_760)
    """,
    "stubborn": """
        import signal, time
        def handler(event, context):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            while True:
                time.sleep(600)
    """,
    "daemon": """
        import os, time
        def handler(event, context):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execv("/bin/sleep", ["sleep", event["sleeps"]])
                os._exit(0)
            os.wait()
            print("daemonised")
            time.sleep(600)
    """,
    "trespass": """
        def handler(event, context):
            open(event["path"])
    """,
    "spy": """
        import ctypes, glob, os, resource, signal
        def attached(shared):
            libc = ctypes.CDLL(None)
            libc.shmat.restype = ctypes.c_void_p
            return libc.shmat(shared, None, 0) != ctypes.c_void_p(-1).value
        def tried(what):
            try:
                return bool(what())
            except OSError:
                return False
        def handler(event, context):
            data, server = event["data"], event["server"]
            others = glob.escape(data) + "/functions/neighbour/*/app.py"
            return {
                "another function's code": tried(lambda: open(glob.glob(others)[0]).read())
                if glob.glob(others) else tried(lambda: open(event["code"]).read()),
                "the server's data": tried(lambda: open(data + "/busway.db", "rb").read()),
                "the server's environment": tried(lambda: open(f"/proc/{server}/environ").read()),
                "a signal to the server": tried(lambda: os.kill(server, 0) is None),
                "limits of the server": tried(lambda: resource.prlimit(server, resource.RLIMIT_NOFILE)),
                "shared memory": tried(lambda: attached(event["shared"])),
                "files elsewhere": tried(lambda: open(data + "/../planted", "w")),
                "names and sizes of files": tried(lambda: os.stat(data + "/busway.db")),
                "the network": tried(lambda: __import__("socket").create_connection(("127.0.0.1", event["port"]))),
                "tmp": tried(lambda: open("/tmp/" + event["sleeps"], "w").write("x")),
            }
    """,
}


@dataclass
class Wreckage:
    """What came of each abuse at one level: its answer, and its log."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    lines: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    neighbour: list[Any] = field(default_factory=list[Any])
    planted: list[str] = field(default_factory=list[str])
    health: dict[str, Any] = field(default_factory=dict[str, Any])


@pytest.fixture(scope="module", params=[pytest.param(name, marks=NEEDS.get(name, [])) for name in LEVELS])
def level(request: pytest.FixtureRequest) -> str:
    if request.param != "process" and not landlock_abi():
        pytest.skip("needs a kernel with Landlock")
    return request.param


@pytest.fixture(scope="module")
def wreckage(level: str) -> Iterator[Wreckage]:
    sleeps = f"98765{LEVELS.index(level)}{int(time.time())}"
    # Not in /tmp, which is another one for a worker.
    with pytest.MonkeyPatch.context() as environment, TemporaryDirectory(dir="/var/tmp") as place:
        folder = Path(place)
        environment.setenv("CANARY", SECRET_OF_THE_SERVER)
        with whole_server(folder, sandbox=level, workers_max="16") as server:
            found = run_all(server, folder, sleeps)
            until(lambda: not sleeping(sleeps))
            found.lines = {name: log_of(server, name) for name in ABUSES}
            until(lambda: "left behind" in "".join(log_of(server, "daemon")) or level == "bubblewrap")
            found.lines["daemon"] = log_of(server, "daemon")
            found.planted = [path.name for path in folder.iterdir()]
        if (Path("/tmp") / sleeps).exists():
            (Path("/tmp") / sleeps).unlink()
            found.planted.append("tmp")
        yield found


def run_all(server: WholeServer, folder: Path, sleeps: str) -> Wreckage:
    found, client = Wreckage(), server.client("lambda")
    for name, source in {"neighbour": NEIGHBOUR, **ABUSES}.items():
        memory_mb = 10_240 if name == "bomb" else 128
        client.create_function(
            FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", MemorySize=memory_mb,
            Code={"ZipFile": zipped(source)}, Timeout=30 if name == "eat" else TIMEOUT_S,
        )  # fmt: skip
    (code,) = (folder / "data" / "functions").glob("neighbour*/*/app.py")
    event = {
        "data": str(folder / "data"), "code": str(code), "server": server_pid(folder), "sleeps": sleeps,
        "path": str(code), "port": int(server.url.rsplit(":", 1)[1]),
    }  # fmt: skip
    found.health = httpx.get(f"{server.url}/health").json()
    with (
        neighbour_at_work(server, found),
        shared_memory() as event["shared"],
        ThreadPoolExecutor(len(ABUSES)) as pool,
    ):
        asked = {name: pool.submit(invoked, server, name, event) for name in ABUSES}
        found.answers = {name: answer.result() for name, answer in asked.items()}
    return found


@contextmanager
def shared_memory() -> Generator[int]:
    """A segment of this user's, as other programs of the machine have them; its number."""
    libc = ctypes.CDLL(None)
    shared = libc.shmget(0, 4_096, 0o1600)
    assert shared >= 0
    try:
        yield shared
    finally:
        libc.shmctl(shared, 0, None)


def server_pid(folder: Path) -> int:
    """The server's process, found by the data folder in its arguments."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in words and str(folder / "data").encode() in words:
            return int(process.name)
    raise AssertionError("the server is gone")


def invoked(server: WholeServer, name: str, event: dict[str, Any]) -> dict[str, Any]:
    answer = server.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return {"failed": "FunctionError" in answer, "result": json.load(answer["Payload"])}


@contextmanager
def neighbour_at_work(server: WholeServer, found: Wreckage) -> Generator[None]:
    """Invokes the neighbour again and again, until the block ends, and at least once more after that."""
    stop, client = threading.Event(), server.client("lambda")

    def work() -> None:
        while True:
            last = stop.is_set()
            answer = client.invoke(FunctionName="neighbour")
            found.neighbour.append("failed" if "FunctionError" in answer else json.load(answer["Payload"]))
            if last:
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def log_of(server: WholeServer, name: str) -> list[str]:
    done = server.run(BIN / "busway", "logs", name, "--limit", "10000", "--json")
    return [json.loads(line)["line"] for line in done.stdout.splitlines()]


def sleeping(sleeps: str) -> list[str]:
    """The daemons that are still there."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if sleeps.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return found


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def promised(level: str) -> dict[str, bool]:
    """What SECURITY.md says: which abuse, by the name in its row, this level contains."""
    table: dict[str, bool] = {}
    for row in (Path(__file__).parents[2] / "SECURITY.md").read_text().splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        name = re.match(r"`(\w[^`]*)`", cells[0])
        if name and len(cells) == 1 + len(LEVELS):
            word = cells[1 + LEVELS.index(level)]
            assert word.split(",")[0] in ("contained", "open"), row
            table[name[1]] = word.startswith("contained")
    return table


def test_the_level_in_force_is_told(level: str, wreckage: Wreckage):
    assert wreckage.health["sandbox"] == level


def test_the_neighbour_is_undisturbed(wreckage: Wreckage):
    """The same worker answered all along: it counted every one of its invocations."""
    assert wreckage.neighbour == list(range(1, len(wreckage.neighbour) + 1))
    assert len(wreckage.neighbour) > 20


ENDS = {
    "bomb": (
        "BlockingIOError|Runtime.ExitError|Sandbox.Timedout",
        r"\[busway: (it may have 1024|ended: it had more)",
    ),
    "flood": (
        "Sandbox.Timedout",
        r"\[busway: output above 1048576 bytes or 10000 lines is left out here: \d+ bytes\]",
    ),
    "exit": ("Runtime.ExitError", "Runtime exited with error: exit status 3"),
    "eat": ("Runtime.OutOfMemory", r"\[busway: ended: it used more than its 128 MB of memory\]"),
    "stubborn": ("Sandbox.Timedout", "Task timed out after 3.00 seconds"),
    "daemon": ("Sandbox.Timedout", "Task timed out after 3.00 seconds"),
}


@pytest.mark.parametrize("abuse", ENDS)
def test_an_abuse_ends_as_an_error_of_its_own_with_a_line_in_the_function_s_log(wreckage: Wreckage, abuse: str):
    kind, line = ENDS[abuse]
    answer = wreckage.answers[abuse]
    assert answer["failed"]
    assert re.fullmatch(kind, answer["result"]["errorType"]), answer
    assert any(re.search(line, printed) for printed in wreckage.lines[abuse]), wreckage.lines[abuse][-5:]


def test_a_daemon_is_ended_with_its_worker_and_the_log_says_so(level: str, wreckage: Wreckage):
    assert "daemonised" in wreckage.lines["daemon"]
    # In a name space of its own, its processes end with the first of them.
    if level != "bubblewrap":
        assert "[busway: ended 1 process(es) that it left behind]" in wreckage.lines["daemon"]


def test_a_function_that_trespasses_is_refused_where_the_table_says_so_and_its_log_says_why(
    level: str, wreckage: Wreckage
):
    contained = promised(level)["another function's code"]
    assert wreckage.answers["trespass"]["failed"] == contained
    told = any("[busway: in its sandbox it reads its own code" in line for line in wreckage.lines["trespass"])
    assert told == (contained and wreckage.answers["trespass"]["result"]["errorType"] == "PermissionError")


def test_what_is_in_reach_is_what_the_table_says(level: str, wreckage: Wreckage):
    reached = wreckage.answers["spy"]["result"]
    assert reached.pop("tmp"), "a handler writes to /tmp, as on AWS"
    table = promised(level)
    if landlock_abi() < SCOPE_ABI:
        # An older kernel bounds no signals; the table says from which one on.
        reached.pop("a signal to the server")
    if level == "process" and os.geteuid() != 0:
        # With access keys the server is hidden from its own user.
        reached.pop("the server's environment")
    assert reached == {name: not table[name] for name in reached}
    assert SECRET_OF_THE_SERVER not in json.dumps(wreckage.lines)


def test_nothing_is_left_outside_of_the_sandbox(level: str, wreckage: Wreckage):
    assert ("planted" in wreckage.planted) == (level == "process")
    assert ("tmp" in wreckage.planted) == (level == "process")


def test_every_abuse_of_the_table_is_tried_here():
    tried = {"another function's code", *re.findall(r'^\s+"([a-z\' ]+)": tried', ABUSES["spy"], re.MULTILINE)} - {
        "tmp"
    }
    assert set(promised("kernel")) >= tried
