"""JavaScript handlers in real Node.js workers: what they see, and what becomes of whatever they do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from busway.errors import FunctionFeatureNotBuilt, InvalidFunction
from busway.function import record, runtimes
from busway.function.definitions.code_store import Zip
from busway.function.definitions.registry import Configuration
from busway.function.runtimes import Runtime, missing, ready, runtime_kind

from .function_workshop import Workshop, workshop
from .packages import packed

pytestmark = pytest.mark.needs("node")

CALLBACK = "exports.handler = (event, context, callback) => {"


@asynccontextmanager
async def shop_with(
    folder: Path, files: Mapping[str, str] | str, handler: str = "index.handler", **configuration: Any
) -> AsyncIterator[Workshop]:
    """A workshop with the function `f`; `files` alone is index.js."""
    chosen = {"runtime": "nodejs22.x", "handler": handler, "timeout_s": 20, **configuration}
    code = packed({"index.js": files} if isinstance(files, str) else files)
    async with workshop(folder) as shop:
        await shop.functions.registry.create(shop.arn("f"), Zip(code), Configuration(**chosen))
        yield shop


COMMONJS = "exports.handler = async (event) => ({ got: event });"
MODULE = "export const handler = async (event) => ({ got: event });"


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"index.js": COMMONJS}, "index.handler"),
        ({"index.cjs": COMMONJS}, "index.handler"),
        ({"index.mjs": MODULE}, "index.handler"),
        ({"index.js": MODULE, "package.json": '{"type": "module"}'}, "index.handler"),
        ({"src/deep/send.mjs": MODULE}, "src/deep/send.handler"),
        ({"index.js": "exports.a = { b: { handler: async (event) => ({ got: event }) } };"}, "index.a.b.handler"),
        ({"index.mjs": "export default { handler: async (event) => ({ got: event }) };"}, "index.handler"),
        ({"send/index.js": COMMONJS}, "send/index.handler"),
        ({"node_modules/own/index.js": COMMONJS, "x.txt": ""}, "own.handler"),
        ({"index.mjs": f"const got = await Promise.resolve(1); {MODULE}"}, "index.handler"),
        ({"index.mjs": f"import {{ own }} from 'own'; own(); {MODULE}", "node_modules/own/package.json": "{}",
          "node_modules/own/index.js": "exports.own = () => 1;"}, "index.handler"),
    ],
)  # fmt: skip
async def test_a_handler_is_found_as_on_aws(files: Mapping[str, str], handler: str, tmp_path: Path):
    async with shop_with(tmp_path, files, handler) as shop:
        assert [await shop.ask("f", n) for n in ("ä", None)] == [{"got": "ä"}, {"got": None}]


async def test_the_context_has_every_member_of_aws(tmp_path: Path):
    source = """
        exports.handler = async (event, context) => {
          const { succeed, fail, done, getRemainingTimeInMillis, ...plain } = context;
          const left = getRemainingTimeInMillis();
          return { ...plain, functions: [succeed, fail, done].every((f) => typeof f === "function"), left,
                   keys: Object.keys(context), trace: process.env._X_AMZN_TRACE_ID ?? null };
        };
    """
    async with shop_with(tmp_path, source, memory_mb=256) as shop:
        client = json.dumps({"custom": {"a": 1}})
        trace = f"Root=1-7bf73129-{'a' * 24}"
        result = await shop.invoke("f", {}, trace_header=trace, client_context=client, request_id="r-1")
        seen = json.loads(result.payload)
        assert 0 < seen.pop("left") <= 20_000
        assert seen.pop("keys") == [
            "callbackWaitsForEmptyEventLoop", "succeed", "fail", "done", "functionVersion", "functionName",
            "memoryLimitInMB", "logGroupName", "logStreamName", "clientContext", "identity", "invokedFunctionArn",
            "awsRequestId", "tenantId", "getRemainingTimeInMillis",
        ]  # fmt: skip
        assert seen.pop("trace").startswith(f"{trace};Parent=")
        assert "/[$LATEST]" in seen.pop("logStreamName")
        assert seen == {
            "callbackWaitsForEmptyEventLoop": True, "functions": True, "functionVersion": "$LATEST",
            "functionName": "f", "memoryLimitInMB": "256", "logGroupName": "/aws/lambda/f",
            "clientContext": {"custom": {"a": 1}}, "invokedFunctionArn": shop.arn("f"), "awsRequestId": "r-1",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("callback(null, event + 1);", 2),
        ("callback();", None),
        ("setTimeout(() => callback(null, 'late'), 5);", "late"),
        ("context.succeed('now'); setTimeout(() => callback(null, 'never'), 5);", "now"),
        ("context.done(null, 'done');", "done"),
        ("return 5;", None),
        ("let n = 0; setTimeout(() => { n = 1; }, 30); callback(null, () => n); setTimeout(() => {}, 1);", None),
    ],
)
async def test_a_callback_answers(body: str, answer: Any, tmp_path: Path):
    async with shop_with(tmp_path, f"{CALLBACK} {body} }}") as shop:
        assert [await shop.ask("f", 1) for _ in range(2)] == [answer, answer]


async def test_the_answer_of_a_callback_waits_until_nothing_is_left_to_run_unless_told_otherwise(tmp_path: Path):
    source = f"""
        let finished = 0;
        {CALLBACK}
          const answer = {{ finished }};
          context.callbackWaitsForEmptyEventLoop = event.waits;
          setTimeout(() => {{ answer.finished = ++finished; }}, 40);
          callback(null, answer);
        }};
    """
    async with shop_with(tmp_path, source) as shop:
        assert await shop.ask("f", {"waits": True}) == {"finished": 1}
        assert await shop.ask("f", {"waits": False}) == {"finished": 1}


async def test_a_promise_that_never_settles_is_null_once_nothing_is_left_to_run(tmp_path: Path):
    async with shop_with(tmp_path, "exports.handler = () => new Promise(() => {});") as shop:
        assert await shop.ask("f") is None


async def test_node_24_has_no_callbacks_as_on_aws(tmp_path: Path):
    async with shop_with(tmp_path, f"{CALLBACK} callback(null, 1); }}", runtime="nodejs24.x") as shop:
        error = await shop.fail("f")
    assert error["errorType"] == "Runtime.CallbackHandlerDeprecated"


async def test_an_error_has_the_shape_of_aws_and_the_handler_s_own_lines(tmp_path: Path):
    source = """
        class Refused extends Error {}
        function deeper() { throw new Refused("no, \\u007f"); }
        exports.handler = async () => deeper();
    """
    async with shop_with(tmp_path, source) as shop:
        error = await shop.fail("f")
        assert list(error) == ["errorType", "errorMessage", "trace"]
        assert (error["errorType"], error["errorMessage"]) == ("Error", "no, %7F")
        assert error["trace"][0] == "Error: no, %7F"
        assert "index.js:3:" in error["trace"][1]
        assert "index.js:4:" in error["trace"][2]
        assert not any("node.cjs" in line for line in error["trace"])
        (line,) = [line for line in await shop.lines("f") if "\tERROR\tInvoke Error \t{" in line]
        assert json.loads(line.split("\t")[-1])["errorMessage"] == "no, %7F"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("throw new TypeError('plain');", "TypeError", "plain"),
        ("callback('text');", "string", "text"),
        ("callback({ a: 1 });", "object", "[object Object]"),
        ("context.fail(new RangeError('r'));", "RangeError", "r"),
        ("context.fail();", "string", "handled"),
        ("return Promise.reject(5);", "number", "5"),
        ("callback(null, 1n);", "Runtime.JSONStringifyError", "Unable to stringify response body"),
        ("const a = {}; a.a = a; context.succeed(a);", "Runtime.JSONStringifyError",
         "Unable to stringify response body"),
    ],
)  # fmt: skip
async def test_whatever_a_handler_fails_with_is_told(body: str, kind: str, message: str, tmp_path: Path):
    async with shop_with(tmp_path, f"{CALLBACK} {body} }}") as shop:
        for _ in range(2):
            error = await shop.fail("f")
            assert (error["errorType"], error["errorMessage"]) == (kind, message)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("setTimeout(() => { throw new TypeError('late'); }, 1);", "TypeError", "late"),
        ("Promise.reject(new Error('late')); setTimeout(() => {}, 60000);", "Runtime.UnhandledPromiseRejection",
         "Error: late"),
        ("Promise.reject('text'); setTimeout(() => {}, 60000);", "Runtime.UnhandledPromiseRejection", "text"),
    ],
)  # fmt: skip
async def test_what_nobody_catches_is_the_answer_and_ends_the_process(
    body: str, kind: str, message: str, tmp_path: Path
):
    source = f"let runs = 0; {CALLBACK} runs += 1; if (event === 'ok') {{ callback(null, runs); return; }} {body} }}"
    async with shop_with(tmp_path, source) as shop:
        assert await shop.ask("f", "ok") == 1
        error = await shop.fail("f", "bad")
        assert (error["errorType"], error["errorMessage"]) == (kind, message)
        assert any("index.js" in line for line in error["trace"]) or "text" in message
        assert await shop.ask("f", "ok") == 1, "a new process"


async def test_a_handler_that_exits_is_an_error_with_its_status(tmp_path: Path):
    async with shop_with(tmp_path, "exports.handler = async (status) => process.exit(status);") as shop:
        assert "exit status 7" in (await shop.fail("f", 7))["errorMessage"]
        assert "without providing a reason" in (await shop.fail("f", 0))["errorMessage"]


@pytest.mark.parametrize(
    ("files", "kind", "message"),
    [
        ({"index.mjs": "import 'nothing-here'; export const handler = 1;"}, "Runtime.ImportModuleError",
         "nothing-here"),
        ({"index.js": "require('nothing-here');"}, "Runtime.ImportModuleError", "nothing-here"),
        ({"other.js": ""}, "Runtime.ImportModuleError", "Cannot find module 'index'"),
        ({"index.js": "exports.handler = (;"}, "Runtime.UserCodeSyntaxError", "SyntaxError"),
        ({"index.js": "exports.other = 1;"}, "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ({"index.js": "exports.handler = 1;"}, "Runtime.HandlerNotFound", "index.handler is not a function"),
        ({"index.js": "throw new RangeError('at load');"}, "RangeError", "at load"),
        ({"index.mjs": "await new Promise(() => {}); export const handler = 1;"}, "Runtime.InitError", "Waits for"),
        ({"index.js": "setImmediate(() => { throw new TypeError('soon'); }); "
                      "exports.handler = new Promise(() => {});"}, "Runtime.HandlerNotFound", "is not a function"),
    ],
)  # fmt: skip
async def test_code_that_does_not_load_says_why(files: Mapping[str, str], kind: str, message: str, tmp_path: Path):
    async with shop_with(tmp_path, files) as shop:
        error = await shop.fail("f")
    assert error["errorType"] == kind
    assert message in error["errorMessage"]


@pytest.mark.parametrize("handler", ["index", "../index.handler"])
async def test_a_handler_s_name_that_is_none_is_told(handler: str, tmp_path: Path):
    async with shop_with(tmp_path, COMMONJS, handler) as shop:
        assert (await shop.fail("f"))["errorType"] == "Runtime.MalformedHandlerName"


async def test_console_lines_have_aws_s_text_format(tmp_path: Path):
    source = """
        console.log("loading");
        exports.handler = async () => {
          console.log("n is %d", 5, { a: 1 });
          for (const name of ["debug", "info", "warn", "error", "trace"]) console[name](name);
          process.stdout.write("plain\\n");
        };
    """
    async with shop_with(tmp_path, source) as shop:
        await shop.invoke("f", request_id="r-1")
        lines = [line.split("\t") for line in await shop.lines("f")]
    assert ["undefined", "INFO", "loading"] in [line[1:] for line in lines]
    assert [line[2:] for line in lines if line[1:2] == ["r-1"]] == [
        ["INFO", "n is 5 { a: 1 }"], ["DEBUG", "debug"], ["INFO", "info"], ["WARN", "warn"], ["ERROR", "error"],
        ["TRACE", "trace"],
    ]  # fmt: skip
    assert ["plain"] in lines


async def test_a_megabyte_of_output_arrives_and_blocks_nothing(tmp_path: Path):
    source = "exports.handler = async () => { for (let n = 0; n < 900; n++) console.log(n, 'x'.repeat(1000)); };"
    async with shop_with(tmp_path, source) as shop:
        assert await shop.ask("f") is None
        numbered = [line for line in await shop.lines("f") if line.endswith("x")]
    assert len(numbered) == 900


@pytest.mark.parametrize("size", [1, 70_000, 900_000])
async def test_events_and_answers_of_any_size_arrive_whole(size: int, tmp_path: Path):
    async with shop_with(tmp_path, "exports.handler = async (event) => event;") as shop:
        event = "ä" * size
        assert [await shop.ask("f", event) for _ in range(2)] == [event, event]


async def test_an_answer_that_is_too_large_is_refused_and_the_worker_goes_on(tmp_path: Path):
    async with shop_with(tmp_path, "exports.handler = async (size) => 'x'.repeat(size);") as shop:
        assert (await shop.fail("f", 6_300_000))["errorType"] == "Function.ResponseSizeTooLarge"
        assert await shop.ask("f", 3) == "xxx"


async def test_a_handler_that_hangs_is_ended_at_its_timeout(tmp_path: Path):
    async with shop_with(tmp_path, "exports.handler = async () => { for (;;); };", timeout_s=1) as shop:
        assert (await shop.fail("f"))["errorType"] == "Sandbox.Timedout"


async def test_what_a_handler_starts_does_not_get_the_socket_to_the_server(tmp_path: Path):
    source = """
        const { execFileSync } = require("node:child_process");
        exports.handler = async () => execFileSync("ls", ["-l", "/proc/self/fd"]).toString();
    """
    async with shop_with(tmp_path, source) as shop:
        opened = [line.split()[8] for line in (await shop.ask("f")).splitlines()[1:]]
    assert opened == ["0", "1", "2", "3"], "standard ones, and the folder that ls reads"


async def test_response_streaming_says_that_it_is_not_built(tmp_path: Path):
    source = "exports.handler = awslambda.streamifyResponse(async (event, stream) => stream.end());"
    async with shop_with(tmp_path, source) as shop:
        assert "not built yet in Busway" in (await shop.fail("f"))["errorMessage"]


async def test_the_heap_is_bounded_by_the_function_s_memory(tmp_path: Path):
    source = "exports.handler = async () => require('node:v8').getHeapStatistics().heap_size_limit / 1048576;"
    async with shop_with(tmp_path, source, memory_mb=512) as shop:
        assert 400 < await shop.ask("f") < 512


def test_the_names_of_aws_s_runtimes_are_known():
    assert [runtime_kind(name) for name in ("nodejs20.x", "nodejs22.x", "nodejs24.x")] == ["nodejs"] * 3
    assert [runtime_kind(name) for name in ("provided", "provided.al2", "provided.al2023")] == ["provided"] * 3
    assert runtime_kind("python3.13") == "python3"
    assert [runtime_kind(name) for name in ("nodejs", "python3", "java21", "provided.al1", "dotnet8")] == [None] * 5


def test_without_node_a_function_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtimes, "find_node", lambda: None)
    assert "busway[node]" in (missing("nodejs22.x") or "")
    assert missing("python3.12") is None
    with pytest.raises(InvalidFunction, match="install"):
        record.check_runtime("nodejs22.x", "index.handler")
    with pytest.raises(FunctionFeatureNotBuilt):
        record.check_runtime("java21", "A::b")
    assert ready(Runtime(("node", runtimes.NODE))).command == ("node", "node")
