"""Invoking functions in real worker processes."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zipfile
from pathlib import Path

import pytest

from busway.errors import (
    FunctionConflict,
    FunctionNotFound,
    FunctionThrottled,
    InvalidFunction,
    InvalidPackage,
    InvalidPayload,
    PayloadTooLarge,
)
from busway.function.definitions.code_store import Folder, Zip
from busway.function.definitions.registry import Configuration

from .function_workshop import PATIENCE_S, Workshop, until, workshop, zipped


async def test_a_handler_gets_the_event_and_its_result_comes_back(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("echo", "def handler(event, context): return {'got': event, 'ü': 1}")
        assert await shop.ask("echo", {"a": [1, "ö"]}) == {"got": {"a": [1, "ö"]}, "ü": 1}


async def test_no_payload_is_an_empty_object(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("echo", "def handler(event, context): return event")
        assert (await shop.functions.invoke(arn, b"")).payload == b"{}"


async def test_the_context_has_aws_s_attributes(tmp_path: Path):
    source = """
        def handler(event, context):
            names = [n for n in dir(context) if not n.startswith("_") and not callable(getattr(context, n))]
            facts = {n: getattr(context, n) for n in names}
            facts["identity"] = context.identity.cognito_identity_id
            facts["client_context"] = context.client_context.custom
            return facts | {"left": context.get_remaining_time_in_millis()}
    """
    async with workshop(tmp_path) as shop:
        arn = await shop.create("about", source, memory_mb=256, timeout_s=7)
        custom = json.dumps({"custom": {"k": "v"}})
        result = await shop.functions.invoke(arn, b"{}", request_id="r-7", client_context=custom)
    facts = json.loads(result.payload)
    assert 5_000 < facts.pop("left") <= 7_000
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", facts.pop("log_stream_name"))
    assert facts == {
        "aws_request_id": "r-7",
        "client_context": {"k": "v"},
        "function_name": "about",
        "function_version": "$LATEST",
        "identity": None,
        "invoked_function_arn": arn,
        "log_group_name": "/aws/lambda/about",
        "memory_limit_in_mb": "256",
        "tenant_id": None,
    }


async def test_a_worker_s_environment_is_aws_s_and_the_function_s_and_nothing_of_the_server_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    source = "import os, sys\ndef handler(event, context): return [dict(os.environ), sys.path, os.getcwd()]"
    async with workshop(tmp_path) as shop:
        await shop.create("env", source, environment={"MINE": "1", "AWS_ENDPOINT_URL_SQS": "http://elsewhere"})
        found, path, here = await shop.ask("env")
        code = str(tmp_path / "functions" / "env")
    assert "SECRET_OF_THE_SERVER" not in found
    assert "AWS_ENDPOINT_URL" not in found
    assert found["AWS_ENDPOINT_URL_EVENTBRIDGE"] == "http://127.0.0.1:4566"
    assert found["AWS_ENDPOINT_URL_SQS"] == "http://elsewhere"
    assert (found["MINE"], found["TZ"], found["_HANDLER"]) == ("1", ":UTC", "app.handler")
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert found["HOME"] == found["TMPDIR"] != ""
    assert found["LAMBDA_TASK_ROOT"] == here == path[0]
    assert here.startswith(code)


async def test_with_an_upstream_other_calls_go_there(tmp_path: Path):
    async with workshop(tmp_path, upstream="http://127.0.0.1:5000") as shop:
        await shop.create("env", "import os\ndef handler(event, context): return os.environ['AWS_ENDPOINT_URL']")
        assert await shop.ask("env") == "http://127.0.0.1:5000"


async def test_a_handler_made_with_busway_runs_as_it_is(tmp_path: Path):
    source = """
        from busway import Event, handler as made

        class Ordered(Event, source="shop", detail_type="Ordered"):
            number: int

        @made(Ordered)
        async def handler(event):
            return event.number + 1
    """
    event = {
        "version": "0", "id": "1", "detail-type": "Ordered", "source": "shop", "account": "000000000000",
        "time": "2026-11-23T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {"number": 41},
    }  # fmt: skip
    async with workshop(tmp_path) as shop:
        await shop.create("order", source)
        assert await shop.ask("order", event) == 42


async def test_an_async_handler_is_awaited_on_one_loop(tmp_path: Path):
    source = """
        import asyncio
        loops = []
        async def handler(event, context):
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(0)
            return len(set(loops))
    """
    async with workshop(tmp_path) as shop:
        await shop.create("later", source)
        assert [await shop.ask("later"), await shop.ask("later")] == [1, 1]


async def test_an_exception_is_a_function_error_in_aws_s_order(tmp_path: Path):
    source = """
        def inner():
            raise ValueError("bad ö")

        def handler(event, context):
            inner()
    """
    async with workshop(tmp_path) as shop:
        arn = await shop.create("bad", source)
        result = await shop.functions.invoke(arn, b"{}", request_id="r-1")
        error = json.loads(result.payload)
        assert result.function_error == "Unhandled"
        assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert (error["errorMessage"], error["errorType"], error["requestId"]) == ("bad ö", "ValueError", "r-1")
        assert [frame.split("in ")[-1] for frame in error["stackTrace"]] == [
            "handler\n    inner()\n",
            'inner\n    raise ValueError("bad ö")\n',
        ]
        assert shop.metrics.value("AWS/Lambda", "Errors", FunctionName="bad") == 1


@pytest.mark.parametrize(
    ("source", "handler", "kind", "message"),
    [
        (
            "import nothing_like_this",
            "app.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No m",
        ),
        ("x = 1", "other.handler", "Runtime.ImportModuleError", "Unable to import module 'other'"),
        ("x = 1", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("x = 1", "app", "Runtime.MalformedHandlerName", "Bad handler 'app': not enough values to unpack"),
        ("def f(:", "app.f", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("1 / 0", "app.handler", "ZeroDivisionError", "division by zero"),
    ],
)
async def test_code_that_does_not_load_says_why(tmp_path: Path, source: str, handler: str, kind: str, message: str):
    async with workshop(tmp_path) as shop:
        await shop.create("broken", source, handler=handler)
        error = await shop.fail("broken")
    assert error["errorType"] == kind
    assert error["errorMessage"].startswith(message)
    assert error["requestId"] == ""


@pytest.mark.parametrize(
    ("source", "kind", "printed", "told"),
    [
        ("print('hello')\n1 / 0", "ZeroDivisionError", ["hello"], "[ERROR] ZeroDivisionError: division by zero"),
        (
            "import os\nos._exit(3)",
            "Runtime.ExitError",
            [],
            "RequestId: r-1 Error: Runtime exited with error: exit status 3 Runtime.ExitError",
        ),
    ],
)
async def test_the_log_and_its_tail_say_why_code_did_not_load(
    tmp_path: Path, source: str, kind: str, printed: list[str], told: str
):
    async with workshop(tmp_path) as shop:
        await shop.create("broken", source)
        result = await shop.invoke("broken", {}, log_tail=True, request_id="r-1")
        lines = await shop.lines("broken")
    tail = (result.log_tail or b"").decode().splitlines()
    assert tail == lines
    assert lines[:1] == (printed or lines[:1])
    begun = lines.index("START RequestId: r-1 Version: $LATEST")
    assert lines[begun - 1].startswith("INIT_REPORT Init Duration: ")
    assert lines[begun - 1].endswith(f"\tPhase: init\tStatus: error\tError Type: {kind}")
    assert lines[begun + 1 : begun + 3] == [told, "END RequestId: r-1"]
    assert lines[begun + 3].endswith(f"\tStatus: error\tError Type: {kind}")
    assert "Init Duration" not in lines[begun + 3]


async def test_each_of_many_callers_of_broken_code_gets_its_error(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("broken", "1 / 0")
        errors = await asyncio.gather(*(shop.fail("broken") for _ in range(5)))
    assert {error["errorType"] for error in errors} == {"ZeroDivisionError"}


async def test_a_result_that_is_no_json_is_an_error(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("odd", "def handler(event, context): return {1, 2}")
        error = await shop.fail("odd")
    assert error["errorType"] == "Runtime.MarshalError"
    assert error["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


async def test_a_decimal_is_a_number_as_on_aws(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("d", "from decimal import Decimal\ndef handler(event, context): return Decimal('1.5')")
        assert await shop.ask("d") == 1.5


async def test_a_result_above_six_megabytes_is_refused_and_the_worker_goes_on(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        await shop.create("big", "def handler(event, context): return 'x' * event")
        error = await shop.fail("big", 7_000_000)
        assert error["errorType"] == "Function.ResponseSizeTooLarge"
        assert "maximum allowed payload size (6291556 bytes)" in error["errorMessage"]
        assert len(await shop.ask("big", 6_000_000)) == 6_000_000


async def test_payloads_are_bounded_and_must_be_json(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("echo", "def handler(event, context): return len(event)")
        assert (await shop.functions.invoke(arn, b'"' + b"x" * 6_000_000 + b'"')).payload == b"6000000"
        with pytest.raises(PayloadTooLarge, match="too large for the RequestResponse invocation type"):
            await shop.functions.invoke(arn, b'"' + b"x" * 6_291_456 + b'"')
        with pytest.raises(InvalidPayload, match="Could not parse request body into json"):
            await shop.functions.invoke(arn, b"{nope")
        with pytest.raises(InvalidPayload):
            await shop.functions.invoke(arn, b'"\xff"')


async def test_the_log_tail_is_start_output_end_and_report(tmp_path: Path):
    source = """
        import logging
        logging.getLogger().setLevel("INFO")
        def handler(event, context):
            print("hello")
            logging.info("logged")
            import sys; sys.stdout.write("no newline")
    """
    async with workshop(tmp_path) as shop:
        arn = await shop.create("talk", source)
        result = await shop.functions.invoke(arn, b"{}", True, request_id="r-1")
        assert result.log_tail is not None
        lines = result.log_tail.decode().splitlines()
        kept = await shop.functions.logs.of_request("r-1")
    assert lines[0] == "START RequestId: r-1 Version: $LATEST"
    assert lines[1] == "hello"
    assert lines[2].startswith("[INFO]\t")
    assert lines[2].endswith("Z\tr-1\tlogged")
    assert lines[3].startswith("no newline")
    assert lines[-1].startswith("REPORT RequestId: r-1\tDuration: ")
    assert "Init Duration: " in lines[-1]
    assert [line.line for line in kept][:3] == lines[:3]
    assert [line.line for line in kept][-1] == lines[-1]


async def test_the_log_tail_is_the_last_four_kilobytes(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("talk", "def handler(event, context):\n for n in range(5000): print('line', n)")
        tail = (await shop.functions.invoke(arn, b"{}", True)).log_tail
    assert tail is not None
    assert len(tail) == 4096
    assert b"line 4999\nEND" in tail


async def test_a_worker_is_used_again(tmp_path: Path):
    source = "count = 0\ndef handler(event, context):\n global count; count += 1; return count"
    async with workshop(tmp_path) as shop:
        await shop.create("count", source)
        assert [await shop.ask("count") for _ in range(4)] == [1, 2, 3, 4]


async def test_invocations_that_wait_run_side_by_side(tmp_path: Path):
    """Each waits until all have started: only with a worker for each does any of them end."""
    source = """
        import os, pathlib, time
        def handler(event, context):
            place = pathlib.Path(event["place"])
            (place / str(os.getpid())).touch()
            while len(list(place.iterdir())) < event["all"]:
                time.sleep(0.005)
            return os.getpid()
    """
    place = tmp_path / "place"
    place.mkdir()
    async with workshop(tmp_path / "data") as shop:
        await shop.create("meet", source)
        pids = await asyncio.gather(*(shop.ask("meet", {"place": str(place), "all": 6}) for _ in range(6)))
    assert len(set(pids)) == 6


async def test_one_function_can_not_keep_another_from_running(tmp_path: Path):
    async with workshop(tmp_path, workers_max=2) as shop:
        await shop.create("hang", "import time\ndef handler(event, context): time.sleep(600)")
        await shop.create("quick", "def handler(event, context): return 1")
        hanging = [asyncio.create_task(shop.invoke("hang")) for _ in range(4)]
        await until(lambda: shop.functions.running(shop.arn("hang")) == 4)
        assert await shop.ask("quick") == 1
        for task in hanging:
            task.cancel()


async def test_an_idle_worker_of_another_function_makes_room(tmp_path: Path):
    async with workshop(tmp_path, workers_max=2) as shop:
        source = "import os, time\ndef handler(event, context): time.sleep(event); return os.getpid()"
        await shop.create("a", source)
        await shop.create("b", source)
        await asyncio.gather(*(shop.ask("a", 0.2) for _ in range(2)))
        assert len(set(await asyncio.gather(*(shop.ask("b", 0.3) for _ in range(2))))) == 2


async def test_idle_workers_are_ended(tmp_path: Path):
    async with workshop(tmp_path, worker_idle_s=0.05) as shop:
        await shop.create("pid", "import os\ndef handler(event, context): return os.getpid()")
        pid = await shop.ask("pid")
        await until(lambda: not Path(f"/proc/{pid}").exists())
        assert await shop.ask("pid") != pid


async def test_reserved_concurrency_throttles(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("slow", "import time\ndef handler(event, context): time.sleep(event); return 1")
        await shop.functions.attached.put_concurrency(arn, 1)
        running = asyncio.create_task(shop.ask("slow", 0.3))
        await until(lambda: shop.functions.running(arn) == 1)
        with pytest.raises(FunctionThrottled) as caught:
            await shop.invoke("slow", 0)
        assert caught.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert await running == 1
        await shop.functions.attached.put_concurrency(arn, 0)
        with pytest.raises(FunctionThrottled):
            await shop.invoke("slow", 0)
        assert shop.metrics.value("AWS/Lambda", "Throttles", FunctionName="slow") == 2
        with pytest.raises(InvalidFunction, match="below its minimum value of"):
            await shop.functions.attached.put_concurrency(arn, 901)


async def test_new_code_takes_over_while_the_old_one_finishes(tmp_path: Path):
    source = "import time\ndef handler(event, context): time.sleep(event); return 'old'"
    async with workshop(tmp_path) as shop:
        arn = await shop.create("f", source)
        assert await shop.ask("f", 0) == "old"
        running = asyncio.create_task(shop.ask("f", 0.5))
        await until(lambda: shop.functions.running(arn) == 1)
        before = shop.functions.registry.need(arn)
        after = await shop.functions.registry.update_code(
            arn, Zip(zipped("def handler(event, context): return 'new'"))
        )
        assert await shop.ask("f", 0) == "new"
        assert await running == "old"
        assert await shop.ask("f", 0) == "new"
        assert before.code_sha256 != after.code_sha256
        assert before.revision != after.revision


async def test_new_configuration_takes_effect(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("f", "import os\ndef handler(event, context): return os.environ.get('A')")
        assert await shop.ask("f") is None
        await shop.functions.registry.update_configuration(arn, Configuration(environment={"A": "1"}))
        assert await shop.ask("f") == "1"


async def test_a_function_is_there_after_a_restart_and_gone_after_its_deletion(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        arn = await shop.create("f", "def handler(event, context): return 1")
        with pytest.raises(FunctionConflict, match="Function already exist: f"):
            await shop.create("f", "")
        again = Workshop(**vars(shop))
        again.functions = type(shop.functions)(
            shop.engine, shop.clock, shop.functions._entropy, shop.metrics, shop.trail, shop.functions._spawn,
            shop.functions._settings, shop.functions._desk.dead_letters,
        )  # fmt: skip
        await shop.functions.close()
        await again.functions.open()
        assert await again.ask("f") == 1
        await again.functions.registry.delete(arn)
        with pytest.raises(FunctionNotFound):
            await again.invoke("f")
        await again.functions.close()


async def test_a_folder_is_code_in_development_and_is_refused_with_access_keys(tmp_path: Path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text("def handler(event, context): return 1")
    wanted = Configuration(runtime="python3.11", handler="app.handler")
    async with workshop(tmp_path / "data") as shop:
        arn = (await shop.functions.registry.create(shop.arn("f"), Folder(str(code)), wanted)).arn
        assert await shop.ask("f") == 1
        (code / "app.py").write_text("def handler(event, context): return 2 + 0")
        await shop.functions.registry.update_code(arn, Folder(str(code)))
        assert await shop.ask("f") == 2
        with pytest.raises(InvalidFunction, match="wanted a folder's absolute path"):
            await shop.functions.registry.create(shop.arn("g"), Folder("not/absolute"), wanted)
    async with workshop(tmp_path / "guarded", access_keys="K:S") as shop:
        with pytest.raises(InvalidFunction, match="is for development"):
            await shop.functions.registry.create(shop.arn("f"), Folder(str(code)), wanted)


async def test_a_save_in_a_folder_is_run_while_the_code_before_finishes(tmp_path: Path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(
        "import os, time\ndef handler(event, context):\n"
        "    print('begun', flush=True)\n"
        "    while event and not os.path.exists(event): time.sleep(0.01)\n    return 'one'\n"
    )
    async with workshop(tmp_path) as shop:
        configuration = Configuration(runtime="python3.12", handler="app.handler", timeout_s=20)
        await shop.functions.registry.create(shop.arn("f"), Folder(str(code)), configuration)
        under_way = asyncio.create_task(shop.ask("f", str(code / "go")))
        await until(lambda: "begun" in [line.line for line in shop.functions.logs.recent(shop.arn("f"))])
        (code / "app.py").write_text("def handler(event, context): return 'second'")
        async with asyncio.timeout(PATIENCE_S):
            while await shop.ask("f") != "second":
                await asyncio.sleep(0.01)
        (code / "go").touch()
        assert await under_way == "one"


async def test_a_bad_zip_makes_no_function(tmp_path: Path):
    async with workshop(tmp_path) as shop:
        wanted = Configuration(runtime="python3.11", handler="app.handler")
        with pytest.raises(InvalidPackage):
            await shop.functions.registry.create(shop.arn("f"), Zip(zipped("", "../app.py")), wanted)
        assert shop.functions.get(shop.arn("f")) is None
        assert not (tmp_path / "functions" / "f").exists()


async def test_a_caller_that_goes_away_neither_ends_its_invocation_nor_frees_its_worker(tmp_path: Path):
    place = tmp_path / "done"
    source = f"""
        import os, pathlib, time
        def handler(event, context):
            if event == "slow":
                time.sleep(0.4)
                pathlib.Path({str(place)!r}).touch()
            return os.getpid()
    """
    async with workshop(tmp_path / "data", workers_max=1) as shop:
        arn = await shop.create("f", source)
        pid = await shop.ask("f")
        caller = asyncio.create_task(shop.invoke("f", "slow"))
        await until(lambda: len(shop.functions.logs.recent(arn)) == 4)
        caller.cancel()
        assert await shop.ask("f") == pid
        assert place.exists()
        assert shop.functions.running(arn) == 0


async def test_what_python_compiles_is_kept_for_the_next_worker_though_code_is_read_only(tmp_path: Path):
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", "import os, vendored.part\ndef handler(event, context): return os.getpid()")
        archive.writestr("vendored/part.py", "value = 1\n" * 1_000)
    data = tmp_path / "data"
    async with workshop(data, sandbox="auto", worker_idle_s=0.05) as shop:
        if not shop.functions.sandbox.encloses:
            pytest.skip("code is writable at this sandbox level")
        wanted = Configuration(runtime="python3.12", handler="app.handler")
        await shop.functions.registry.create(shop.arn("vendors"), Zip(package.getvalue()), wanted)
        first = await shop.ask("vendors")
        (kept,) = (data / "tmp" / "bytecode").rglob("part.*.pyc")
        assert not list((data / "functions").rglob("*.pyc"))
        made = kept.stat().st_mtime_ns
        await until(lambda: not Path(f"/proc/{first}").exists())
        assert await shop.ask("vendors") != first
        assert kept.stat().st_mtime_ns == made
