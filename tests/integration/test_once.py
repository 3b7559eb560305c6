"""`once` in real workers, and events handled once: no effect is repeated when its completion was recorded."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from busway.clock import ManualClock, SystemEntropy
from busway.config import Settings
from busway.engine.memory import MemoryEngine
from busway.errors import EngineStopped
from busway.function.definitions.code_store import Zip
from busway.function.definitions.registry import Configuration
from busway.function.functions import Functions
from busway.function.runtimes import Runtime
from busway.function.workers.process import SystemSpawn
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.trail import Trail

from .function_workshop import SCOPE, until, workshop, zipped
from .whole_server import PATIENCE_S

ARN = SCOPE.arn("lambda", "function:f")
AWS_CLIENT = {"python3": Runtime(("exec", sys.executable, "-m", "awslambdaric", "app.handler"), tcp=True)}
TAGS = {"busway:once": "event"}

CHARGE = """
    import asyncio, threading, os
    from busway import once

    def charge(order):
        if order.get("refused"):
            raise ValueError("refused")
        with open(order["file"], "a") as file:
            file.write(order["id"] + chr(10))
        return {"receipt": order["id"]}

    async def charge_later(order):
        await asyncio.sleep(0)
        return charge(order)

    def both(order):
        return [once(order["id"], charge, order), asyncio.run(later(order))]

    async def later(order):
        return await once(order["id"], charge_later, order)

    def threads(order):
        found = []
        def one(n):
            found.append(once(f"{n}", charge, {**order, "id": str(n)})["receipt"])
        started = [threading.Thread(target=one, args=(n,)) for n in range(8)]
        [thread.start() for thread in started]
        [thread.join() for thread in started]
        return sorted(found)

    def nested(order):
        return once("outer", once, order["id"], charge, order)

    def child(order):
        process = os.fork()
        if process == 0:
            try:
                once("child", charge, order)
            except Exception as error:
                os._exit(7 if type(error).__name__ == "OnceUnavailable" else 1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def handler(order, context):
        return globals()[order.get("how", "both")](order)
"""


@pytest.fixture(params=["ours", "awslambdaric"])
def runtimes(request: pytest.FixtureRequest) -> dict[str, Runtime] | None:
    return AWS_CLIENT if request.param == "awslambdaric" else None


async def test_a_step_runs_once_however_often_its_event_is_tried(tmp_path: Path, runtimes: Any):
    file = tmp_path / "charged"
    order = {"id": "o-1", "file": str(file)}
    async with workshop(tmp_path, runtimes=runtimes) as shop:
        await shop.create("f", CHARGE)
        assert (await shop.fail("f", {**order, "refused": True}))["errorType"] == "ValueError"
        receipts = [await shop.ask("f", order) for _ in range(3)]
        assert receipts == [[{"receipt": "o-1"}] * 2] * 3
        # Two steps: each has keys of its own.
        assert file.read_text() == "o-1\n" * 2
        # Another function that does the same has not done it yet.
        await shop.create("g", CHARGE)
        await shop.ask("g", order)
        assert file.read_text() == "o-1\n" * 4


async def test_threads_and_steps_within_steps_ask_over_one_connection(tmp_path: Path, runtimes: Any):
    file = tmp_path / "charged"
    order = {"id": "o-1", "file": str(file)}
    async with workshop(tmp_path, runtimes=runtimes) as shop:
        await shop.create("f", CHARGE)
        for _ in range(2):
            assert await shop.ask("f", {**order, "how": "threads"}) == [str(n) for n in range(8)]
            assert await shop.ask("f", {**order, "how": "nested"}) == {"receipt": "o-1"}
        assert sorted(file.read_text().split()) == sorted([*(str(n) for n in range(8)), "o-1"])


async def test_a_process_that_a_handler_started_can_not_speak_for_it(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("f", CHARGE)
        order = {"id": "o-1", "file": str(tmp_path / "charged"), "how": "child"}
        assert await shop.ask("f", order) == 7
        assert await shop.ask("f", {**order, "how": "both"}) == [{"receipt": "o-1"}] * 2


async def test_an_invocation_that_finds_its_step_under_way_waits_and_no_attempt_counts(tmp_path: Path):
    source = f"""
        import os, time
        from busway import once

        def slow(folder):
            open(folder + "/began", "w").close()
            while not os.path.exists(folder + "/go"):
                time.sleep(0.01)
            with open(folder + "/effects", "a") as file:
                file.write("once" + chr(10))

        def handler(event, context):
            once("step", slow, {str(tmp_path)!r})
    """
    async with workshop(tmp_path, async_retry_s="0,0", workers_max=2) as shop:
        await shop.create("f", source)
        await shop.put("f", 1, "r-1")
        await until((tmp_path / "began").exists)
        # With three attempts it would be given up at once.
        await shop.put("f", 2, "r-2")
        while not any("StillRunning" in line for line in await shop.lines("f")):
            await asyncio.sleep(0.005)
        (tmp_path / "go").touch()
        await shop.until_gone("f")
        assert (tmp_path / "effects").read_text() == "once\n"
        assert not await shop.items("busway-undeliverable-default")


async def test_an_event_that_was_handled_is_not_handled_again(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("f", "def handler(event, context): print('handled', event)", tags=TAGS)
        for n in range(3):
            await shop.put("f", n, f"r-{n}", event_id="e-1")
            await shop.until_gone("f")
        await shop.put("f", 3, "r-3", event_id="e-2")
        await shop.until_gone("f")
        await shop.put("f", 4, "r-4")
        await shop.until_gone("f")
        said = [line for line in await shop.lines("f") if line.startswith("handled")]
        assert said == ["handled 0", "handled 3", "handled 4"]


async def test_of_two_invocations_for_one_event_at_a_time_one_waits(tmp_path: Path):
    source = f"""
        import os, time
        def handler(event, context):
            print("handled", event)
            while not os.path.exists({str(tmp_path / "go")!r}):
                time.sleep(0.01)
    """
    async with workshop(tmp_path, workers_max=2) as shop:
        await shop.create("f", source, tags=TAGS)
        for n in range(4):
            await shop.put("f", n, f"r-{n}", event_id="e-1")
        await until(lambda: shop.functions.running(ARN))
        (tmp_path / "go").touch()
        await shop.until_gone("f")
        assert len([line for line in await shop.lines("f") if line.startswith("handled")]) == 1


async def test_an_event_that_failed_is_handled_again_also_as_a_redriven_letter(tmp_path: Path):
    source = f"""
        import os
        def handler(event, context):
            print("handled", event)
            assert os.path.exists({str(tmp_path / "mended")!r})
    """
    async with workshop(tmp_path, async_retry_s="0,0") as shop:
        await shop.create("f", source, tags=TAGS)
        await shop.put("f", "bad", event_id="e-1")
        await shop.until_gone("f")
        (tmp_path / "mended").touch()
        await shop.put("f", "again", "r-2", event_id="e-1")
        await shop.until_gone("f")
        said = [line for line in await shop.lines("f") if line.startswith("handled")]
        assert said == ["handled bad"] * 3 + ["handled again"]


# --- the server dies ---


class Dying:
    """Records or queues that die at a call: the one with this number, of this name, and everything after it."""

    def __init__(self, real: Any, fate: Fate) -> None:
        self._real, self._fate = real, fate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            before, after = self._fate.strikes(name)
            if before:
                raise EngineStopped("played by a test")
            given = await method(*arguments, **options)
            if after:
                raise EngineStopped("played by a test")
            return given

        return call if name not in ("wait", "names", "watch", "list", "get") else method


class Fate:
    """Lets the server die just before, or just after, the first record that is put once `armed`."""

    def __init__(self, *, before: bool) -> None:
        self._before = before
        self.armed = self.dead = False

    def strikes(self, name: str) -> tuple[bool, bool]:
        if self.dead:
            return True, False
        if self.armed and name == "put":
            self.dead = True
            return self._before, not self._before
        return False, False


class DyingEngine:
    def __init__(self, engine: MemoryEngine, fate: Fate) -> None:
        self.journal = engine.journal
        self.records, self.queues = Dying(engine.records, fate), Dying(engine.queues, fate)


async def opened(engine: Any, clock: ManualClock, folder: Path) -> Functions:
    metrics = Metrics(clock)
    queues = SqsQueues(engine, clock, SystemEntropy(), metrics)
    await queues.open()
    functions = Functions(
        engine, clock, SystemEntropy(), metrics, Trail(clock), SystemSpawn(),
        Settings(data=str(folder), function_folders=str(folder)), QueueDeadLetters(queues, metrics),
    )  # fmt: skip
    await functions.open()
    return functions


@pytest.mark.parametrize(("before", "effects"), [(True, 2), (False, 1)])
async def test_an_effect_is_repeated_by_a_crash_before_its_row_and_by_none_after_it(
    tmp_path: Path, before: bool, effects: int
):
    clock, file = ManualClock(), tmp_path / "effects"
    engine, fate = MemoryEngine(clock), Fate(before=before)
    source = f"def handler(event, context): print(event, file=open({str(file)!r}, 'a'))"
    victim = await opened(DyingEngine(engine, fate), clock, tmp_path)
    wanted = Configuration(runtime="python3.11", handler="app.handler")
    await victim.registry.create(ARN, Zip(zipped(source)), wanted, TAGS)
    await until(lambda: victim.resolve(ARN).state == "Active")
    fate.armed = True
    put = victim.invocation_put(ARN, b"1", request_id="r-1", now=clock.now(), event_id="e-1")
    await engine.queues.put([put])
    await until(lambda: fate.dead)
    await victim.close()
    assert file.read_text() == "1\n"

    heir = await opened(engine, clock, tmp_path)
    await clock.advance(30)
    await until(lambda: heir.running(ARN) == 0)
    while await engine.queues.names(ARN):
        await clock.advance(0.01)
    await heir.close()
    assert file.read_text() == "1\n" * effects

    late = await opened(engine, clock, tmp_path)
    await engine.queues.put(
        [late.invocation_put(ARN, b"1", request_id="r-2", now=clock.now(), event_id="e-1", again=True)]
    )
    while await engine.queues.names(ARN):
        await clock.advance(0.01)
    await late.close()
    assert file.read_text() == "1\n" * effects, "a letter that is redriven again, after its event was handled"


def served(folder: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", folder / "data", "--json"],
        env={**os.environ, "BUSWAY_ASYNC_RETRY_S": "0,0", "BUSWAY_SANDBOX": "process"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def client(url: str, service: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def test_nothing_that_was_recorded_is_repeated_after_kill_9(tmp_path: Path):
    """Events that ended before the kill are handled once; those in flight at most once more; none is lost."""
    file = tmp_path / "effects"
    source = f"""
def handler(event, context):
    with open({str(file)!r}, "a") as file:
        file.write(event["id"] + chr(10))
"""
    process, ready = served(tmp_path)
    try:
        client(ready["url"], "lambda").create_function(
            FunctionName="f", Runtime="python3.11", Handler="app.handler", Role="arn:aws:iam::000000000000:role/any",
            Code={"ZipFile": zipped(source)}, Tags=TAGS,
        )  # fmt: skip
        events = client(ready["url"], "events")
        events.put_rule(Name="r", EventPattern='{"source":["s"]}')
        events.put_targets(Rule="r", Targets=[{"Id": "f", "Arn": ARN}])
        entry = {"Source": "s", "DetailType": "d", "Detail": "{}"}
        ids: list[str] = []
        for _ in range(20):
            answer = events.put_events(Entries=[entry] * 10)
            ids += [one["EventId"] for one in answer["Entries"]]
        deadline = time.monotonic() + PATIENCE_S
        while not file.exists() or len(file.read_text().splitlines()) < 60:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    before = file.read_text().split()
    process, ready = served(tmp_path)
    try:
        while len(set(file.read_text().split())) < len(ids):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    handled = file.read_text().split()
    assert set(handled) == set(ids)
    repeated = [one for one in before if handled.count(one) > 1]
    # What ran, or had just run, when the server was killed: two for each of its workers at most.
    assert len(repeated) <= 2 * 32
    assert all(handled.count(one) <= 2 for one in ids)
    assert not set(repeated) & set(before[: -2 * 32])
