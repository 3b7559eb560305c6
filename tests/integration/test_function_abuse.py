"""What a handler can do to its worker, and that nobody else notices: the server and other functions go on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .function_workshop import Workshop, until, workshop

NEIGHBOUR = "count = 0\ndef handler(event, context):\n global count; count += 1; return count"


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def marked(shop: Workshop) -> list[str]:
    """The processes of this workshop's workers."""
    mark = f"BUSWAY_WORKER={shop.functions.mark}/".encode()
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes():
                found.append(folder.name)
    return found


async def check_neighbour(shop: Workshop) -> None:
    """The neighbour's worker is still the same one, and answers."""
    if shop.functions.get(shop.arn("neighbour")) is None:
        await shop.create("neighbour", NEIGHBOUR)
        assert await shop.ask("neighbour") == 1
    else:
        assert await shop.ask("neighbour") == 2


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("os._exit(0)", "Runtime.ExitError", "Runtime exited without providing a reason"),
        ("os._exit(3)", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("sys.exit(4)", "Runtime.ExitError", "Runtime exited with error: exit status 4"),
        ("ctypes.string_at(0)", "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
        ("os.kill(os.getpid(), 9)", "Runtime.ExitError", "Runtime exited with error: signal: killed"),
        ("os.abort()", "Runtime.ExitError", "Runtime exited with error: signal: aborted"),
        (
            "os.closerange(0, 10_000); time.sleep(600)",
            "Runtime.ExitError",
            "Runtime exited with error: signal: killed",
        ),
    ],
)
async def test_a_worker_that_ends_is_an_error_of_its_own_invocation_only(
    tmp_path: Path, body: str, kind: str, message: str
):
    async with workshop(tmp_path) as shop:
        await check_neighbour(shop)
        await shop.create(
            "f", f"import ctypes, os, sys, time\ndef handler(event, context):\n if event: {body}\n return 1"
        )
        assert await shop.ask("f", 0) == 1
        result = await shop.functions.invoke(shop.arn("f"), b"1", request_id="r-1")
        assert json.loads(result.payload) == {"errorType": kind, "errorMessage": f"RequestId: r-1 Error: {message}"}
        assert await shop.ask("f", 0) == 1
        await check_neighbour(shop)


@pytest.mark.parametrize("trap", ["pass", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
async def test_a_hanging_handler_is_ended_at_its_timeout(tmp_path: Path, trap: str):
    source = f"import os, signal, time\ndef handler(event, context):\n print(os.getpid()); {trap}; time.sleep(600)"
    async with workshop(tmp_path) as shop:
        await check_neighbour(shop)
        arn = await shop.create("hang", source, timeout_s=1)
        result = await shop.functions.invoke(arn, b"{}", True, request_id="r-1")
        assert json.loads(result.payload) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": "RequestId: r-1 Error: Task timed out after 1.00 seconds",
        }
        assert result.log_tail is not None
        assert b"Status: timeout" in result.log_tail
        assert gone(int(result.log_tail.splitlines()[1]))
        await check_neighbour(shop)


async def test_a_handler_that_hangs_in_its_import_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("busway.function.workers.worker.INIT_S_MAX", 0.3)
    async with workshop(tmp_path) as shop:
        await shop.create("hang", "import time; time.sleep(600)", timeout_s=1)
        error = await shop.fail("hang")
    assert error["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in error["errorMessage"]


@pytest.mark.parametrize("cages", [True, False], ids=["control group, if any", "watched"])
async def test_a_handler_that_eats_memory_is_ended_at_its_limit(tmp_path: Path, cages: bool):
    source = """
        import time
        def handler(event, context):
            eaten = []
            while event:
                eaten.append(b"x" * 5_000_000)
                time.sleep(0.002)
            return 1
    """
    async with workshop(tmp_path, cages=cages) as shop:
        await check_neighbour(shop)
        await shop.create("eat", source, memory_mb=128)
        error = await shop.fail("eat", 1)
        assert error["errorType"] == "Runtime.OutOfMemory"
        assert error["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
        assert await shop.ask("eat", 0) == 1
        await check_neighbour(shop)


@pytest.mark.parametrize("cages", [True, False], ids=["control group, if any", "watched"])
async def test_memory_of_a_worker_s_own_children_counts(tmp_path: Path, cages: bool):
    source = """
        import subprocess, sys
        def handler(event, context):
            subprocess.run([sys.executable, "-c", "x = b'x' * 300_000_000; import time; time.sleep(600)"])
            import time; time.sleep(600)
    """
    async with workshop(tmp_path, cages=cages) as shop:
        await shop.create("eat", source, memory_mb=128, timeout_s=3)
        error = await shop.fail("eat")
    # A control group ends the child that is too large; the handler itself then runs into its timeout.
    assert error["errorType"] in ("Runtime.OutOfMemory", "Sandbox.Timedout")


async def test_memory_that_children_share_is_counted_once(tmp_path: Path):
    source = """
        import os, time
        held = b"x" * 60_000_000
        def handler(event, context):
            children = [os.fork() or (time.sleep(2), os._exit(0)) for _ in range(8)]
            for child in children:
                os.waitpid(child, 0)
            return len(children)
    """
    async with workshop(tmp_path, cages=False) as shop:
        await shop.create("share", source, memory_mb=128)
        assert await shop.ask("share") == 8


@pytest.mark.parametrize("cages", [True, False], ids=["control group, if any", "watched"])
async def test_processes_that_a_handler_leaves_behind_are_ended_with_its_worker(tmp_path: Path, cages: bool):
    source = """
        import os, subprocess, sys, time
        def handler(event, context):
            child = subprocess.Popen(["sleep", "600"])
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    print("daemon", os.getpid(), flush=True)
                    time.sleep(600)
                os._exit(0)
            print("child", child.pid, flush=True)
            time.sleep(600)
    """
    async with workshop(tmp_path, cages=cages) as shop:
        arn = await shop.create("leave", source, timeout_s=1)
        result = await shop.functions.invoke(arn, b"{}", True)
        assert result.log_tail is not None
        words = [line.split() for line in result.log_tail.decode().splitlines()]
        pids = {word[0]: int(word[1]) for word in words if word[0] in ("daemon", "child")}
        assert set(pids) == {"daemon", "child"}
        await until(lambda: all(gone(pid) for pid in pids.values()))


@pytest.mark.parametrize("cages", [True, False], ids=["control group, if any", "watched"])
async def test_a_fork_bomb_is_bounded_and_ended(tmp_path: Path, cages: bool):
    source = """
        import os, time
        def handler(event, context):
            # Bounded here too, so that a fault of ours does not take the machine down.
            for _ in range(1_500):
                try:
                    if os.fork() == 0:
                        time.sleep(600)
                        os._exit(0)
                except OSError:
                    break
            time.sleep(600)
    """
    async with workshop(tmp_path, cages=cages) as shop:
        await check_neighbour(shop)
        await shop.create("bomb", source, timeout_s=4, memory_mb=10_240)
        error = await shop.fail("bomb")
        assert error["errorType"] in ("Runtime.ExitError", "Sandbox.Timedout")
        # The neighbour's worker is all that is left.
        await until(lambda: len(marked(shop)) <= 1)
        await check_neighbour(shop)


async def test_fifty_megabytes_of_output_neither_block_the_worker_nor_fill_the_server(tmp_path: Path):
    source = """
        import os, sys
        def handler(event, context):
            line = b"x" * 999 + b"\\n"
            for _ in range(50_000):
                os.write(1, line)
            sys.stderr.write("the end\\n")
            return 1
    """
    async with workshop(tmp_path) as shop:
        arn = await shop.create("talk", source)
        result = await shop.functions.invoke(arn, b"{}", True)
        assert result.payload == b"1"
        assert result.log_tail is not None
        assert b"the end" in result.log_tail
        lines = await shop.lines("talk")
    assert sum(map(len, lines)) < 1_100_000
    left_out = "[busway: output above 1048576 bytes or 10000 lines is left out here: 4895"
    assert any(line.startswith(left_out) for line in lines)


async def test_a_line_without_end_is_cut(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("talk", "import os\ndef handler(event, context): os.write(1, b'x' * 500_000)")
        await shop.invoke("talk")
        lines = await shop.lines("talk")
    assert sum(len(line) for line in lines if set(line) == {"x"}) == 500_000
    assert max(len(line) for line in lines) < 200_000


async def test_output_that_is_no_text_is_shown_as_far_as_it_is(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("talk", "import os\ndef handler(event, context): os.write(1, b'a\\xff\\x00b\\r\\n')")
        await shop.invoke("talk")
        assert "a\ufffd\x00b" in await shop.lines("talk")


async def test_a_handler_that_answers_for_someone_else_gets_nowhere(tmp_path: Path):
    """A forged answer to another invocation's id is refused; the right one counts."""
    source = """
        import os, re, socket
        def handler(event, context):
            fd = max(int(f) for f in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{f}")
                     and "socket" in os.readlink(f"/proc/self/fd/{f}"))
            end = socket.socket(fileno=os.dup(fd))
            head = b"POST /2018-06-01/runtime/invocation/other/response HTTP/1.1\\r\\nContent-Length: 1\\r\\n\\r\\n9"
            end.sendall(head)
            answer = end.recv(1000)
            return answer.decode().split("\\r\\n")[0]
    """
    async with workshop(tmp_path) as shop:
        await shop.create("forge", source)
        assert await shop.ask("forge") == "HTTP/1.1 400 Bad Request"


async def test_noise_instead_of_http_ends_the_worker_and_nothing_else(tmp_path: Path):
    source = """
        import os, socket, time
        def handler(event, context):
            fd = max(int(f) for f in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{f}")
                     and "socket" in os.readlink(f"/proc/self/fd/{f}"))
            socket.socket(fileno=os.dup(fd)).sendall(b"\\x00noise" * 100 + b"\\r\\n\\r\\n")
            time.sleep(600)
    """
    async with workshop(tmp_path) as shop:
        await check_neighbour(shop)
        await shop.create("noise", source)
        assert (await shop.fail("noise"))["errorType"] == "Runtime.ExitError"
        await check_neighbour(shop)


SERVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from integration.function_workshop import workshop
SOURCE = '''
import os, subprocess, time
from pathlib import Path
def handler(event, context):
    child = subprocess.Popen(["sleep", "600"])
    if os.fork() == 0:
        os.setsid()
        Path(event, "daemon").write_text(str(os.getpid()))
        time.sleep(600)
    Path(event, "child").write_text(str(child.pid))
    Path(event, "worker").write_text(str(os.getpid()))
    time.sleep(600)
'''
async def main():
    async with workshop(Path({data!r})) as shop:
        await shop.create("hang", SOURCE, timeout_s=600)
        await shop.functions.invoke(shop.arn("hang"), {place!r}.encode())
asyncio.run(main())
"""


async def test_no_process_stays_when_the_server_is_killed(tmp_path: Path):
    data, place = tmp_path / "data", tmp_path / "place"
    place.mkdir()
    script = SERVER.format(tests=str(Path(__file__).parents[1]), data=str(data), place=json.dumps(str(place)))
    server = subprocess.Popen([sys.executable, "-c", script])
    names = ("worker", "child", "daemon")
    try:
        await until(lambda: all((place / name).exists() and (place / name).read_text() for name in names))
        pids = {name: int((place / name).read_text()) for name in names}
        assert not any(gone(pid) for pid in pids.values())
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        # The worker and what is in its group die with the server; what left the group, at the next start.
        await until(lambda: gone(pids["worker"]) and gone(pids["child"]))
        async with workshop(data):
            await until(lambda: gone(pids["daemon"]))
    finally:
        server.kill()
        server.wait()
