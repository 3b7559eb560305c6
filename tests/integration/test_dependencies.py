"""Dependencies and TypeScript, installed and bundled by the real tools. Packages are made on the spot: no network."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from busway.clock import ManualClock, SystemClock, SystemEntropy
from busway.function.build.environments import Environments
from busway.function.build.tools import Job, Machine, Tools
from busway.function.definitions.code_store import Code, Folder, Zip
from busway.function.definitions.registry import Configuration
from busway.function.functions import only_written
from busway.function.record import ACTIVE, FAILED, PENDING, FunctionRecord
from busway.function.runtimes.walls import MOVES_ABI, landlock_abi
from busway.function.workers.process import SystemSpawn
from busway.function.workers.sandbox import sandbox_for

from .function_workshop import PATIENCE_S, Workshop, workshop
from .packages import npm_package, packed, put_esbuild, wheel, written

PYTHON = {"runtime": "python3.12", "handler": "app.handler"}
NODE = {"runtime": "nodejs22.x", "handler": "index.handler"}
TINY = "import tiny\ndef handler(event, context): return tiny.VERSION"


async def created(shop: Workshop, name: str, code: Code | Mapping[str, str], **configuration: Any) -> FunctionRecord:
    """The function, when what it needs was built or has failed."""
    given = Zip(packed(code)) if isinstance(code, Mapping) else code
    chosen = {"timeout_s": 20, **configuration}
    await shop.functions.registry.create(shop.arn(name), given, Configuration(**chosen))
    return await settled(shop, name)


async def settled(shop: Workshop, name: str) -> FunctionRecord:
    async with asyncio.timeout(PATIENCE_S):
        while (record := shop.functions.registry.need(shop.arn(name))).state == PENDING or record.update is not None:
            await asyncio.sleep(0.01)
    return record


def environments(folder: Path) -> list[str]:
    """What was built, by its kind."""
    return sorted(path.name.split("-")[0] for path in (folder / "environments").glob("*"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of what lies in a folder of the test, `site`."""
    (tmp_path / "site").mkdir()
    serve = partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""


def requiring(index: str, version: str) -> str:
    return f"--index-url {index}\ntiny=={version}\nbusway\n"


@pytest.fixture
def index(tmp_path: Path, site: str) -> str:
    """A registry with two versions of the package `tiny`: a folder's listing is one."""
    for version in ("1.0", "2.0"):
        wheel(tmp_path / "site" / "simple" / "tiny", "tiny", version, f"VERSION = {version!r}")
    return f"{site}/simple/"


# --- Python ---


async def test_functions_have_the_versions_that_they_ask_for_and_share_what_is_the_same(index: str, tmp_path: Path):
    async with workshop(tmp_path / "data") as shop:
        for name, version in (("one", "1.0"), ("two", "2.0"), ("same", "2.0")):
            code = {"app.py": TINY, "requirements.txt": requiring(index, version)}
            record = await created(shop, name, code, **PYTHON)
            assert (record.state, record.failure) == (ACTIVE, "")
        assert [await shop.ask(name) for name in ("one", "two", "same")] == ["1.0", "2.0", "2.0"]
    assert environments(tmp_path / "data") == ["python", "python"]


async def test_a_project_s_dependencies_are_installed_and_busway_itself_stays_the_server_s(site: str, tmp_path: Path):
    wheel(tmp_path / "site", "tiny", "3.0", "VERSION = 3")
    project = (
        f'[project]\nname = "shop"\nversion = "1"\n'
        f'dependencies = ["busway>=0.1", "tiny @ {site}/tiny-3.0-py3-none-any.whl"]\n'
    )
    source = "import busway, tiny\ndef handler(event, context): return [tiny.VERSION, busway.__file__]"
    async with workshop(tmp_path / "data") as shop:
        record = await created(shop, "f", {"app.py": source, "pyproject.toml": project}, **PYTHON)
        assert record.state == ACTIVE, record.failure
        version, where = await shop.ask("f")
    assert version == 3
    assert not where.startswith(str(tmp_path))


async def test_what_is_already_there_is_nothing_to_wait_for(tmp_path: Path):
    code = {"app.py": "def handler(event, context): return 1", "requirements.txt": "busway>=0.1\n"}
    async with workshop(tmp_path / "data") as shop:
        record = await shop.functions.registry.create(shop.arn("f"), Zip(packed(code)), Configuration(**PYTHON))
        assert (record.state, record.built) == (ACTIVE, None)
        assert await shop.ask("f") == 1
    assert not (tmp_path / "data" / "environments").exists()


async def test_packages_inside_the_zip_are_used_and_nothing_is_installed(tmp_path: Path):
    code = {
        "app.py": TINY, "tiny.py": "VERSION = 'carried'", "tiny-1.0.dist-info/METADATA": "",
        "requirements.txt": "tiny==99",
    }  # fmt: skip
    async with workshop(tmp_path / "data") as shop:
        assert (await created(shop, "f", code, **PYTHON)).state == ACTIVE
        assert await shop.ask("f") == "carried"


async def test_a_failed_installation_says_what_the_tool_said(index: str, tmp_path: Path):
    async with workshop(tmp_path / "data") as shop:
        code = {"app.py": TINY, "requirements.txt": requiring(index, "9.0")}
        record = await created(shop, "f", code, **PYTHON)
    assert record.state == FAILED
    assert record.failure.startswith("installing the Python dependencies failed: it ended with status 1\n")
    assert "tiny==9.0" in record.failure
    assert environments(tmp_path / "data") == []


async def test_an_update_whose_dependencies_fail_leaves_the_function_as_it_was(index: str, tmp_path: Path):
    async with workshop(tmp_path / "data") as shop:
        await created(shop, "f", {"app.py": TINY, "requirements.txt": requiring(index, "1.0")}, **PYTHON)
        broken = {"app.py": TINY, "requirements.txt": requiring(index, "9.0")}
        await shop.functions.registry.update_code(shop.arn("f"), Zip(packed(broken)))
        assert "tiny==9.0" in (await settled(shop, "f")).failure
        assert await shop.ask("f") == "1.0"
        newer = {"app.py": TINY, "requirements.txt": requiring(index, "2.0")}
        await shop.functions.registry.update_code(shop.arn("f"), Zip(packed(newer)))
        assert (await settled(shop, "f")).failure == ""
        assert await shop.ask("f") == "2.0"


async def test_what_no_function_uses_is_removed_once_nobody_can_be_at_it(index: str, tmp_path: Path):
    clock = ManualClock()
    tools = Machine(
        SystemSpawn(), SystemClock(), os.environ, "test", sandbox_for("auto", tmp_path / "data", os.environ)
    )
    builder = Environments(tmp_path / "data", tools, clock, SystemEntropy(), only_written)
    code = [
        written(tmp_path / "data" / "functions" / version, {"requirements.txt": requiring(index, version)})
        for version in ("1.0", "2.0")
    ]
    used, unused = [await builder.build(folder, PYTHON["runtime"], PYTHON["handler"]) for folder in code]
    folder = tmp_path / "data" / "environments"
    half_made = folder / ".new-of-a-server-that-died"
    half_made.mkdir()
    await builder.sweep([used], 1_000.0)
    assert len(list(folder.iterdir())) == 3, "asked for of late, or perhaps in the making"
    await clock.advance(1_001.0)
    await builder.sweep([used], 1_000.0)
    assert set(folder.iterdir()) == {Path(used.python_path[0]).parent, half_made}
    await builder.sweep([used], 0.0)
    assert [str(path) for path in folder.glob("*/packages")] == list(used.python_path) != list(unused.python_path)
    assert not half_made.exists()


async def test_functions_that_ask_at_once_have_it_made_once(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ran: list[str] = []
    run = Tools.run

    async def noted(self: Tools, job: Job) -> None:
        ran.append(job.what)
        await run(self, job)

    monkeypatch.setattr(Tools, "run", noted)
    async with workshop(tmp_path / "data") as shop:
        code = {"app.py": TINY, "requirements.txt": requiring(index, "1.0")}
        records = await asyncio.gather(*(created(shop, f"f{n}", code, **PYTHON) for n in range(4)))
    assert {record.state for record in records} == {ACTIVE}
    assert ran == ["installing the Python dependencies"]


def built_by(backend: str) -> dict[str, str]:
    """A package beside the code, in `lib`, whose building runs this."""
    about = '[project]\nname = "tiny"\nversion = "1"\n'
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    return {"lib/pyproject.toml": about + system, "lib/backend.py": backend}


BACKEND = """
import json, os, zipfile
def tried(what):
    try:
        return bool(what())
    except OSError:
        return False
def build_wheel(folder, config_settings=None, metadata_directory=None):
    about, name = "tiny-1.dist-info", "tiny-1-py3-none-any.whl"
    open("written-while-building", "w").close()
    version = {
        "data": tried(lambda: open(DATA + "/secret").read()),
        "other": tried(lambda: open(SECRET).read()),
        "environment": sorted(name for name in os.environ if "CANARY" in name),
        "home": os.path.expanduser("~") not in (HOME, "/root"),
    }
    tried(lambda: open(SECRET + "-planted", "w"))
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("tiny.py", "VERSION = " + repr(version))
        archive.writestr(about + "/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr(about + "/WHEEL", wheel)
        archive.writestr(about + "/RECORD", "")
    return name
build_editable = build_wheel
"""


@pytest.mark.parametrize("line", ["./lib", "-e ./lib"])
@pytest.mark.parametrize("level", ["process", "kernel"])
async def test_a_package_s_building_reaches_no_more_than_its_function(
    line: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if level == "kernel" and landlock_abi() < MOVES_ABI:
        pytest.skip("needs a kernel with Landlock")
    monkeypatch.setenv("CANARY", "1")
    monkeypatch.setenv("UV_PUBLISH_TOKEN_CANARY", "1")
    secret = written(tmp_path, {"secret": "x", "data/secret": "x"}) / "secret"
    names = f"DATA, SECRET, HOME = {str(tmp_path / 'data')!r}, {str(secret)!r}, {os.path.expanduser('~')!r}\n"
    async with workshop(tmp_path / "data", sandbox=level, function_folders="") as shop:
        code = {"app.py": TINY, "requirements.txt": f"--no-index\n{line}\n", **built_by(names + BACKEND)}
        record = await created(shop, "f", code, **PYTHON)
        assert record.state == ACTIVE, record.failure
        reached = level == "process"
        assert await shop.ask("f") == {"data": reached, "other": reached, "environment": [], "home": True}
        assert (tmp_path / "secret-planted").exists() == reached
        assert not list((tmp_path / "data" / "functions").glob("**/written-while-building"))
    assert environments(tmp_path / "data") == ["python"]


async def test_functions_that_say_the_same_do_not_share_what_lies_in_their_own_folders(tmp_path: Path):
    async with workshop(tmp_path / "data") as shop:
        for name in ("one", "two"):
            lies = wheel(tmp_path / name, "tiny", "1.0", f"VERSION = {name!r}")
            listed = "--no-index\n--find-links wheels\ntiny==1.0\n"
            code = packed({"app.py": TINY, "requirements.txt": listed, f"wheels/{lies.name}": lies.read_bytes()})
            await shop.functions.registry.create(shop.arn(name), Zip(code), Configuration(**PYTHON))
            assert (await settled(shop, name)).failure == ""
        assert [await shop.ask(name) for name in ("one", "two")] == ["one", "two"]
    assert environments(tmp_path / "data") == ["python", "python"]


async def test_settings_of_uv_beside_the_code_are_not_read(index: str, tmp_path: Path):
    code = {"app.py": TINY, "requirements.txt": requiring(index, "1.0"), "uv.toml": "no-such-setting = 1"}
    async with workshop(tmp_path / "data") as shop:
        assert (await created(shop, "f", code, **PYTHON)).failure == ""


async def test_a_tool_that_takes_too_long_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("busway.function.build.tools.TOOL_S_MAX", 1.0)
    source = "import time; print('building', flush=True); time.sleep(600)"
    async with workshop(tmp_path / "data") as shop:
        code = {"app.py": TINY, "requirements.txt": "--no-index\n./lib\n", **built_by(source)}
        record = await created(shop, "f", code, **PYTHON)
        assert "it took longer than 1 seconds" in record.failure
        assert await SystemSpawn().sweep(f"{shop.functions.mark}/") == 0
    assert environments(tmp_path / "data") == []


async def test_a_folder_in_development_uses_its_own_environment(tmp_path: Path):
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    code = written(tmp_path / "project", {
        "app.py": TINY, "requirements.txt": "tiny==1.0",
        f".venv/lib/{name}/site-packages/tiny.py": "VERSION = 'mine'",
    })  # fmt: skip
    async with workshop(tmp_path / "data") as shop:
        assert (await created(shop, "f", Folder(str(code)), **PYTHON)).state == ACTIVE
        assert await shop.ask("f") == "mine"


# --- JavaScript ---

ESM = "import tiny from 'tiny'; export const handler = async () => tiny();"
COMMONJS = "const tiny = require('tiny'); exports.handler = async () => tiny();"


@pytest.fixture
def package(tmp_path: Path, site: str) -> str:
    """A package.json that asks for `tiny`, which answers 42 and whose scripts must never run."""
    scripts = dict.fromkeys(("preinstall", "install", "postinstall", "prepare"), f"touch {tmp_path}/RAN")
    made = npm_package(tmp_path / "site", "tiny", "module.exports = () => 42;", scripts=scripts)
    return json.dumps({"dependencies": {"tiny": f"{site}/{made.name}"}})


@pytest.mark.needs("node")
@pytest.mark.parametrize("files", [{"index.mjs": ESM}, {"index.js": COMMONJS}])
async def test_npm_packages_are_found_from_modules_of_both_kinds(files: dict[str, str], package: str, tmp_path: Path):
    code = {**files, "package.json": package, "data.txt": "beside", ".npmrc": "ignore-scripts=false\n"}
    # At a level at which a script could do what this one does.
    async with workshop(tmp_path / "data", sandbox="process") as shop:
        record = await created(shop, "f", code, **NODE)
        assert record.state == ACTIVE, record.failure
        assert await shop.ask("f") == 42
    assert environments(tmp_path / "data") == ["code", "npm"]
    assert not (tmp_path / "RAN").exists(), "no script of a package may run"


@pytest.mark.needs("node")
async def test_npm_packages_inside_the_zip_are_used_and_nothing_is_installed(tmp_path: Path):
    code = {
        "index.mjs": ESM, "package.json": '{"dependencies": {"tiny": "9"}}',
        "node_modules/tiny/index.js": "module.exports = () => 'carried';", "node_modules/tiny/package.json": "{}",
    }  # fmt: skip
    async with workshop(tmp_path / "data") as shop:
        assert (await created(shop, "f", code, **NODE)).state == ACTIVE
        assert await shop.ask("f") == "carried"
    assert environments(tmp_path / "data") == []


# --- TypeScript ---


@pytest.fixture
def bundler(tmp_path: Path) -> None:
    put_esbuild(tmp_path / "data")


HANDLER = """\
import { readFileSync } from "node:fs";
import type { Order } from "./order";
import { price } from "./order";

export const handler = async (event: Order): Promise<object> => {
  if (event.amount < 0) {
    throw new RangeError(`amount is ${event.amount}`);
  }
  return { price: price(event), beside: readFileSync(`${process.env.LAMBDA_TASK_ROOT}/data.txt`, "utf8") };
};
"""
ORDER = (
    "export interface Order { amount: number }\nexport const price = (order: Order): number => order.amount * 2;\n"
)


@pytest.mark.needs("node")
@pytest.mark.usefixtures("bundler")
async def test_typescript_runs_from_a_zip_and_its_errors_show_typescript_lines(tmp_path: Path):
    code = {"src/send.ts": HANDLER, "src/order.ts": ORDER, "data.txt": "beside"}
    async with workshop(tmp_path / "data") as shop:
        record = await created(shop, "f", code, runtime="nodejs20.x", handler="src/send.handler")
        assert record.state == ACTIVE, record.failure
        assert await shop.ask("f", {"amount": 2}) == {"price": 4, "beside": "beside"}
        error = await shop.fail("f", {"amount": -1})
        assert error["trace"][0] == "RangeError: amount is -1"
        assert "src/send.ts:7:" in error["trace"][1]
        assert any("src/send.ts:7:" in line for line in await shop.lines("f"))
    assert environments(tmp_path / "data") == ["bundle"]


@pytest.mark.needs("node")
@pytest.mark.usefixtures("bundler")
async def test_typescript_in_a_folder_is_bundled_anew_when_it_changed(tmp_path: Path):
    code = written(tmp_path / "project", {"handler.ts": "export const handler = async (): Promise<number> => 1;"})
    async with workshop(tmp_path / "data") as shop:
        assert (await created(shop, "f", Folder(str(code)), runtime="nodejs20.x", handler="handler.handler")).live
        assert await shop.ask("f") == 1
        written(code, {"handler.ts": "export const handler = async (): Promise<string> => 'two';"})
        await shop.functions.registry.update_code(shop.arn("f"), Folder(str(code)))
        await settled(shop, "f")
        assert await shop.ask("f") == "two"


@pytest.mark.needs("node")
@pytest.mark.usefixtures("bundler")
async def test_typescript_bundles_packages_and_may_name_things_like_node(package: str, tmp_path: Path):
    source = """
        import { dirname } from "node:path";
        import { fileURLToPath } from "node:url";
        import tiny from "tiny";
        const __dirname = dirname(fileURLToPath(import.meta.url));
        const later = await Promise.resolve(1);
        export const handler = async () => [tiny(), later, typeof __dirname];
    """
    files = {
        "handler.mts": source,
        "package.json": package,
        "tsconfig.json": '{"compilerOptions": {"esModuleInterop": true}}',
    }
    async with workshop(tmp_path / "data") as shop:
        record = await created(shop, "f", files, runtime="nodejs22.x", handler="handler.handler")
        assert record.state == ACTIVE, record.failure
        assert await shop.ask("f") == [42, 1, "string"]
    assert environments(tmp_path / "data") == ["bundle", "npm"]


@pytest.mark.needs("node")
@pytest.mark.usefixtures("bundler")
@pytest.mark.parametrize(
    ("source", "said"),
    [("import x from 'nothing-here'; export const handler = x;", "nothing-here"), ("const = 1", "handler.ts:1:")],
)
async def test_typescript_that_does_not_bundle_says_where(source: str, said: str, tmp_path: Path):
    async with workshop(tmp_path / "data") as shop:
        record = await created(shop, "f", {"handler.ts": source}, runtime="nodejs20.x", handler="handler.handler")
    assert record.state == FAILED
    assert record.failure.startswith("bundling handler.ts failed")
    assert said in record.failure


async def test_without_npm_typescript_fails_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("busway.function.build.environments.find_node", lambda: None)
    async with workshop(tmp_path / "data") as shop:
        record = await created(shop, "f", {"handler.ts": ""}, runtime="nodejs20.x", handler="handler.handler")
    assert record.state == FAILED
    assert "install Node.js 20 or newer" in record.failure


@pytest.mark.needs("node")
async def test_without_a_registry_typescript_fails_with_a_hint_and_runs_once_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = {"handler.ts": "export const handler = async (): Promise<number> => 1;"}
    async with workshop(tmp_path / "data") as shop:
        # Nobody listens there. npm's own cache is put aside as well.
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/")
        monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
        monkeypatch.setenv("NPM_CONFIG_CACHE", str(tmp_path / "npm-cache"))
        record = await created(shop, "f", source, runtime="nodejs20.x", handler="handler.handler")
        assert record.state == FAILED
        assert record.failure.splitlines()[-1].startswith("TypeScript needs it, fetched once")
        put_esbuild(tmp_path / "data")
        changed = {"handler.ts": source["handler.ts"].replace("1", "2")}
        await shop.functions.registry.update_code(shop.arn("f"), Zip(packed(changed)))
        assert (await settled(shop, "f")).state == ACTIVE
        assert await shop.ask("f") == 2
