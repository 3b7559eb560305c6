"""The road in TypeScript, as a team walks it: new, add, types, tests, dev, send; and what is said when it breaks."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from busway.errors import BuswayError
from busway.road.describe import describe
from busway.road.event_files import EventSpec, find_event
from busway.road.fields import TYPES, parse_fields
from busway.road.generator import SCHEDULED, BatchSpec, HandlerSpec, add_handler
from busway.road.manifest import BatchEntry
from busway.road.project_files import init_project, new_project

from ..unit.road.test_hostile_names import TEXTS
from .packages import put_road_packages, written

pytestmark = pytest.mark.needs("node")

PATIENCE_S = 90.0
ROOT = Path(__file__).parents[2]


def busway(project: Path, *words: str, fails: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [sys.executable, "-m", "busway", *words], cwd=project, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (run.returncode != 0) == fails, run.stdout + run.stderr
    return run


def typed(project: Path) -> subprocess.CompletedProcess[str]:
    tsc = [str(project / "node_modules" / ".bin" / "tsc"), "-p", str(project)]
    return subprocess.run(tsc, cwd=project, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with handlers of each kind, and fields of each type."""
    root = tmp_path_factory.mktemp("road") / "shop"
    new_project(root, "shop", language="typescript")
    put_road_packages(root)
    fields = parse_fields(["notification:str=unrecognized-login", "ip-address:str=1.2.3.4", "location:str?"])
    notification = EventSpec("CustomerNotification", "com.benlimmer.Monolith", "Customer Notification", fields)
    spec = HandlerSpec("notify_customer", notification, body="email", alert="pagerduty", resources=["a@b"])
    add_handler(root, ts(spec))
    again = EventSpec("CustomerNotification", "", "", file=find_event(root, "CustomerNotification", "typescript"))
    only = {"location": [{"prefix": "Oslo"}, {"prefix": "Bergen"}], "ip-address": [{"cidr": "10.0.0.0/8"}]}
    add_handler(root, ts(HandlerSpec("count", again, filter=only, timeout="1m", max_age="1h", memory_mb=512)))
    every = [f"member {number}:{name}" for number, name in enumerate(TYPES)]
    optional = [f"maybe-{number}:{name}?" for number, name in enumerate(TYPES)]
    everything = EventSpec("Everything", 'com.example."Shop"', "It's all", parse_fields(every + optional))
    add_handler(root, ts(HandlerSpec("a_handler_whose_name_is_as_long_as_names_can_be", everything)))
    add_handler(root, ts(HandlerSpec("delete", EventSpec("Bare", "shop", "Bare"), retries=0, rate="10/s")))
    bare = EventSpec("Bare", "", "", file=find_event(root, "Bare", "typescript"))
    add_handler(root, ts(HandlerSpec("report", bare, batch=BatchSpec(1, "0s"), retries=0)))
    add_handler(root, ts(HandlerSpec("log", bare)))
    add_handler(root, ts(HandlerSpec("batch", bare, batch=BatchSpec(100, "5s"), alert="pagerduty", rate="2/s")))
    hour = HandlerSpec("in_batches_for_an_hour", bare, batch=BatchSpec(9, "1m"), retries=99, max_age="1h")
    add_handler(root, ts(hour))
    name = "a_handler_of_batches_whose_name_is_as_long_as_can_be"[:50]
    add_handler(root, ts(HandlerSpec(name, again, filter=only, batch=BatchSpec(10_000, "300s"), retries=0)))
    add_handler(root, ts(HandlerSpec("nightly", SCHEDULED, schedule="cron(0 2 * * ? *)", concurrency=1)))
    return root


def ts(spec: HandlerSpec) -> HandlerSpec:
    return replace(spec, language="typescript")


def test_a_project_has_no_python_in_it(shop: Path):
    assert not [file for file in shop.rglob("*.py") if "node_modules" not in file.parts]


def test_what_is_generated_passes_tsc_strict_and_its_own_tests(shop: Path):
    ran = json.loads(busway(shop, "test", "--json").stdout)
    assert (ran["failures"], ran["errors"], ran["skipped"]) == (0, 0, 0)
    assert ran["tests"] >= 22
    assert (done := typed(shop)).returncode == 0, done.stdout


def test_tests_of_the_whole_project_run_too_but_none_of_another_runner(shop: Path, tmp_path: Path):
    root = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    (root / "tests").mkdir()
    (root / "tests/whole.test.ts").write_text('import { test } from "node:test";\ntest("all of it", () => {});\n')
    (root / "tests/theirs.test.ts").write_text('import { test } from "vitest";\ntest("theirs", () => {});\n')
    said = busway(root, "test").stdout
    assert "all of it" in said and "theirs" not in said


def test_the_package_itself_passes_tsc_strict(shop: Path):
    checked = ["--strict", "--noEmit", "--allowJs", "--checkJs", "--module", "nodenext", "--target", "es2023"]
    files = [str(file) for file in (shop / ".busway" / "npm").glob("*.js")]
    tsc = [
        str(shop / "node_modules" / ".bin" / "tsc"),
        *checked,
        "--typeRoots",
        f"{shop}/node_modules/@types",
        *files,
    ]
    done = subprocess.run(tsc, cwd=shop, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert files
    assert done.returncode == 0, done.stdout


def test_a_wrong_field_is_found_by_the_types(shop: Path, tmp_path: Path):
    copy = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    handler = copy / "handlers" / "count" / "handler.ts"
    handler.write_text(handler.read_text().replace("event.detail)", "event.detail.lokation)"))
    assert "Property 'lokation' does not exist" in typed(copy).stdout


async def test_what_was_asked_for_is_what_the_project_says(shop: Path):
    manifest = await describe(shop)
    entry = next(one for one in manifest.handlers if one.name == "count")
    assert (entry.max_age_s, entry.timeout_s, entry.memory_mb, entry.retries) == (3_600, 60, 512, 2)
    assert entry.pattern["detail"]["location"] == [{"prefix": "Oslo"}, {"prefix": "Bergen"}]
    assert next(one.schedule for one in manifest.handlers if one.name == "nightly") == "cron(0 2 * * ? *)"
    batch = next(one for one in manifest.handlers if one.name == "batch")
    assert (batch.retries, batch.timeout_s, batch.once, batch.rate) == (5, 60, False, "2/s")
    assert batch.batch == BatchEntry(
        source="stream", size=100, window_s=5, parallelism=None, bisect=True, order_by=None
    )
    assert [event.name for event in manifest.events] == ["Bare", "CustomerNotification", "Everything"]
    schema = manifest.events[1].json_schema
    assert (sorted(schema["properties"]), sorted(schema["required"])) == (
        ["ip-address", "location", "notification"],
        ["ip-address", "notification"],
    )


async def test_hostile_texts_arrive_as_they_were_given(tmp_path: Path):
    root, taken = tmp_path / "shop", dict[str, tuple[str, str]]()
    new_project(root, "shop", language="typescript")
    put_road_packages(root)
    for number, text in enumerate(TEXTS):
        field = text.replace(":", "").replace("=", "")
        for place, fields in (("field", f"{field}:str"), ("sample", f"n:str={text}"), ("source", "")):
            name = f"{place.title()}{number}"
            source, kind = (text, text) if place == "source" else ("shop", name)
            try:
                event = EventSpec(name, source, kind, parse_fields([fields] if fields else []))
                only = {text: [text]} if place == "source" else {}
                batch = BatchSpec(9, "1s") if place == "sample" else None
                add_handler(root, ts(HandlerSpec(name.lower(), event, filter=only, batch=batch)))
                taken[name] = (place, text)
            except BuswayError:
                assert not (root / "handlers" / name.lower()).exists()
    manifest = await describe(root)
    events, handlers = ({one.name: one for one in each} for each in (manifest.events, manifest.handlers))
    assert len(taken) > len(TEXTS) * 2
    for name, (place, text) in taken.items():
        event = events[name]
        if place == "source":
            assert (event.source, event.detail_type) == (text, text)
            assert handlers[name.lower()].pattern["detail"] == {text: [text]}
        elif place == "sample":
            assert event.sample["detail"]["n"] == text
        else:
            assert list(event.json_schema["properties"]) == [text.replace(":", "").replace("=", "").strip()]
    assert (done := typed(root)).returncode == 0, done.stdout[-3_000:]


_IMPORTS = (
    'import { batchHandler, defineEvent, handler } from "busway";\nimport { Bare } from "../../events/bare.ts";\n'
)
_OWN = 'const Own = defineEvent({ source: "a", detailType: "b", detail: {} });\n'
BROKEN = [
    ("events/thing.ts", "export const x: = 1;\n", "events/thing.ts:1:16"),
    ("events/thing.ts", 'import "left-pad-of-nobody";\n', "left-pad-of-nobody"),
    ("events/thing.ts", 'throw new Error("not today");\n', "events/thing.ts cannot be loaded: Error: not today"),
    ("handlers/count/handler.ts", "export const x = 1;\n", "handlers/count/handler.ts exports no handler"),
    (
        "handlers/count/handler.ts",
        f'{_IMPORTS}export const x = handler(Bare, {{ filter: {{ n: "x" }} as never }}, async () => {{}});\n',
        "handlers/count/handler.ts: filter={'n': 'x'}: Event pattern is not valid",
    ),
    (
        "handlers/count/handler.ts",
        'import { handler } from "busway";\n'
        'import { CustomerNotification } from "../../events/customer-notification.ts";\n'
        'const filter = { locaton: ["Oslo"] };\n'
        "export const x = handler(CustomerNotification, { filter }, async () => {});\n",
        "the event has no field 'locaton'; did you mean location?",
    ),
    (
        "handlers/count/handler.ts",
        _IMPORTS + "export const x = handler(Bare, { retries: 3 }, () => undefined);\n",
        "retries=3; AWS Lambda retries an event at most 2 times",
    ),
    (
        "handlers/count/handler.ts",
        _IMPORTS + 'export const x = handler(Bare, { maxAge: "9h" }, () => undefined);\n',
        "maxAge is 32400 seconds; AWS allows 60 to 21600",
    ),
    (
        "handlers/count/handler.ts",
        _IMPORTS + _OWN + "export const x = handler(Own, {}, () => undefined);\n",
        'handlers/count/handler.ts takes "b"; wanted an event that a file in events/ exports',
    ),
    *(
        ("handlers/count/handler.ts", f"{_IMPORTS}export const x = batchHandler(Bare, {options}, () => []);\n", said)
        for options, said in (
            ("{ size: 0 }", "size is 0 events; AWS allows 1 to 10000"),
            ('{ source: "queue", bisect: true }', "bisect belongs to a stream"),
            ('{ orderBy: "customer" }', "orderBy='customer'; the fields of its event are: none"),
            ("{ once: true }", "there is no option 'once'"),
            ("{ maxAge: 1 }", "maxAge is 1 seconds; AWS allows 60 to 604800"),
        )
    ),
]


@pytest.mark.parametrize(("file", "text", "said"), BROKEN, ids=range(len(BROKEN)))
def test_what_is_wrong_is_said_with_its_file(shop: Path, tmp_path: Path, file: str, text: str, said: str):
    copy = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    (copy / file).write_text(text)
    assert said in busway(copy, "catalog", fails=True).stderr


def test_without_packages_the_hint_is_to_install_them(tmp_path: Path):
    new_project(tmp_path / "shop", "shop", language="typescript")
    add_handler(tmp_path / "shop", ts(HandlerSpec("count", EventSpec("Bare", "shop", "Bare"))))
    said = busway(tmp_path / "shop", "test", fails=True).stderr
    assert "its packages are not installed" in said
    assert f"hint: npm install, in {tmp_path / 'shop'}" in said


def test_a_project_in_python_gets_typescript_too(tmp_path: Path):
    project = tmp_path / "shop"
    busway(tmp_path, "new", "shop")
    busway(project, "add", "handler", "book", "--event", "OrderPlaced", "--source", "shop", "--detail-type", "Order")
    refused = busway(project, "add", "handler", "x", "--event", "OrderPlaced", "--language", "typescript", fails=True)
    assert "busway init --language typescript" in refused.stderr
    busway(project, "init", "--language", "typescript")
    put_road_packages(project)
    words = ("--event", "OrderPlaced", "--source", "shop", "--detail-type", "Order", "--language", "typescript")
    busway(project, "add", "handler", "thank", *words)
    ran = json.loads(busway(project, "test", "--json").stdout)
    assert (ran["tests"], ran["failures"]) == (6, 0)
    listed = json.loads(busway(project, "list", "events", "--json").stdout)
    assert [event["file"] for event in listed["events"]] == ["events/order_placed.py"]


def test_init_adds_to_a_package_json_and_takes_nothing_away(tmp_path: Path):
    mine = {"name": "@acme/web", "version": "3.1.4", "dependencies": {"zod": "4.0.1"}, "scripts": {"start": "x"}}
    project = written(tmp_path / "web", {"package.json": json.dumps(mine), ".gitignore": "node_modules/\n"})
    assert "tsconfig.json stays" not in busway(project, "init", "--language", "typescript", "--bus", "orders").stderr
    package = json.loads((project / "package.json").read_text())
    assert package["busway"] == {"bus": "orders", "env": {"prod": {"target": "aws"}}}
    assert package["dependencies"]["zod"] == "4.0.1"
    assert package["devDependencies"]["busway"] == "file:.busway/npm"
    assert {name: package[name] for name in ("name", "version", "scripts")} == {
        name: mine[name] for name in ("name", "version", "scripts")
    }
    assert (project / ".gitignore").read_text() == "node_modules/\n.busway/\n"


@pytest.mark.parametrize("wanted", ["^3.25.76", "3", "~3.22", "3.x", "<4", "3.0.0-beta.1"])
def test_init_refuses_a_package_with_a_zod_before_4_and_leaves_it(tmp_path: Path, wanted: str):
    text = json.dumps({"name": "web", "type": "module", "devDependencies": {"zod": wanted}})
    project = written(tmp_path / "web", {"package.json": text})
    said = busway(project, "init", "--language", "typescript", fails=True).stderr
    assert f"devDependencies has zod '{wanted}'; wanted zod 4" in said
    assert 'hint: npm install "zod@^4"' in said
    assert [(file.name, file.read_text()) for file in project.iterdir()] == [("package.json", text)]


@pytest.mark.parametrize("wanted", ["^4.0.0", ">=3.25", "^3.25 || ^4", "latest", "*", "workspace:^"])
def test_init_takes_whatever_may_be_zod_4(tmp_path: Path, wanted: str):
    text = json.dumps({"name": "web", "type": "module", "dependencies": {"zod": wanted}})
    project = written(tmp_path / "web", {"package.json": text})
    init_project(project, "web", language="typescript")
    assert json.loads((project / "package.json").read_text())["dependencies"]["zod"] == wanted


def test_a_zod_before_4_is_named_where_it_is_met(shop: Path, tmp_path: Path):
    copy = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    (copy / "node_modules" / "zod").unlink()
    # Zod 4 comes with the whole of zod 3, as it was.
    old = (shop / "node_modules" / "zod" / "v3" / "index.js").resolve().as_uri()
    about = '{"name": "zod", "version": "3.25.76", "type": "module", "main": "index.js"}'
    written(copy / "node_modules" / "zod", {"package.json": about, "index.js": f"export * from {json.dumps(old)};"})
    said = busway(copy, "catalog", fails=True).stderr
    assert 'busway needs zod 4 or newer and found an older one: npm install "zod@^4"' in said


# As `npm init -y` writes it.
NPM_INIT = {"name": "web", "version": "1.0.0", "main": "index.js", "type": "commonjs"}
ORDER = ("--event", "OrderPlaced", "--source", "shop", "--detail-type", "Order", "--field", "number:int")


def test_a_package_of_npm_init_becomes_one_of_modules_and_is_told(tmp_path: Path):
    project = written(tmp_path / "web", {"package.json": json.dumps(NPM_INIT)})
    written(project, {"node_modules/other/index.js": "", "tools/x.cjs": "", "y.mjs": ""})
    assert '"type": "module" now' in busway(project, "init", "--language", "typescript").stderr
    shutil.rmtree(project / "node_modules")
    put_road_packages(project)
    busway(project, "add", "handler", "thank", *ORDER)
    assert (done := typed(project)).returncode == 0, done.stdout


def test_a_package_with_code_stays_what_it_is_and_what_to_do_is_said(tmp_path: Path):
    project = written(tmp_path / "web", {"package.json": json.dumps(NPM_INIT), "src/index.js": "require('fs');"})
    said = busway(project, "init", "--language", "typescript").stderr
    assert "stays CommonJS, as src/index.js may depend on that" in said
    assert json.loads((project / "package.json").read_text())["type"] == "commonjs"
    put_road_packages(project)
    busway(project, "add", "handler", "thank", *ORDER)
    assert "TS1295" in typed(project).stdout
    assert 'hint: set "type": "module" and call what uses require() .cjs' in said
    package = json.loads((project / "package.json").read_text())
    (project / "package.json").write_text(json.dumps({**package, "type": "module"}))
    assert (done := typed(project)).returncode == 0, done.stdout


def test_init_leaves_a_tsconfig_and_says_what_it_needs(tmp_path: Path):
    project = written(tmp_path / "web", {"tsconfig.json": "{}"})
    assert "allowImportingTsExtensions" in busway(project, "init", "--language", "typescript").stderr
    assert (project / "tsconfig.json").read_text() == "{}"


def test_saved_code_is_what_handles_the_next_event(shop: Path, tmp_path: Path):
    project = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    shutil.rmtree(project / ".busway", ignore_errors=True)
    served = {"BUSWAY_ENDPOINT": "http://127.0.0.1:4893", "NO_COLOR": "1"}
    with (tmp_path / "said").open("w") as said:
        dev = subprocess.Popen(
            [sys.executable, "-m", "busway", "dev"], cwd=project, env={**os.environ, **served}, stdout=said,
            stderr=said, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        _until(tmp_path / "said", "watching for saves")
        detail = '{"notification": "n", "ip-address": "10.0.0.1", "location": "Oslo"}'
        busway(project, "send", "CustomerNotification", "--detail", detail, **served)
        _until(tmp_path / "said", "handling", "shop-count, attempt 1")
        handler = project / "handlers" / "count" / "handler.ts"
        handler.write_text(handler.read_text().replace("console.log(`handling", "throw new Error(`refusing"))
        _until(tmp_path / "said", "saved handlers/count/handler.ts", "-> count", seen=2)
        busway(project, "send", "CustomerNotification", "--detail", detail, **served)
        _until(tmp_path / "said", "Error: refusing", f"{handler}:", "again in 2.0 s")
        told = busway(project, "why", **served).stdout
        assert "│ Error: refusing" in told
        assert f"{handler}:" in told
        assert "Invoke Error" not in told
        assert ".busway/npm" not in told
        assert "Invoke Error" in busway(project, "why", "--all", **served).stdout
        handler.write_text("export const x = ;\n")
        _until(tmp_path / "said", "cannot be bundled", "what was deployed before goes on")
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(30)


def test_an_event_that_does_not_fit_is_not_sent(shop: Path):
    unfit = busway(shop, "send", "CustomerNotification", "--detail", '{"notification": 1}', fails=True).stderr
    assert "Customer Notification does not fit: detail.notification: " in unfit
    assert "hint: --raw" in unfit
    # More than an argument of a command may hold.
    (shop.parent / "large.json").write_text(json.dumps({"notification": "n" * 200_000}))
    large = busway(shop, "send", "CustomerNotification", "--file", str(shop.parent / "large.json"), fails=True).stderr
    assert "Customer Notification does not fit: detail.ip-address: " in large


_MADE = """
import { defineEvent, handler } from "busway";
import * as z from "zod";
const payment = z.union([z.object({ card: z.string() }), z.strictObject({ iban: z.string() })]);
const detail = { "order-id": z.string(), total: z.number(), payment: payment.optional() };
const Order = defineEvent({ source: "shop", detailType: "Order", detail });
const tell = (make) => {
  try {
    console.log(JSON.stringify(make()));
  } catch (error) {
    console.log(`${error}`);
  }
};
tell(() => Order.entry({ "order-id": "o-1", total: 5, totl: 6 }));
tell(() => Order.entry({ total: "5", payment: { ibn: "1" }, x: 1 }));
tell(() => Order.sample({ totl: 6 }));
const log = handler(Order, {}, (event) => tell(() => event.detail));
await log({ source: "shop", "detail-type": "Order", detail: { "order-id": "o-1", total: 5, totl: 6 } });
"""


def test_who_builds_an_event_is_told_every_fault_and_who_receives_one_takes_what_is_new(shop: Path):
    command = ["node", "--input-type=module", "-e", _MADE]
    done = subprocess.run(command, cwd=shop, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    text = "Invalid input: expected string, received undefined"
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "EventMismatch: Order does not fit: detail.totl: no such member; wanted order-id, total, payment",
            f"EventMismatch: Order does not fit: detail.order-id: {text}; "
            "detail.total: Invalid input: expected number, received string; "
            f"detail.payment: Invalid input (detail.payment.card: {text}, or detail.payment.iban: {text}, "
            'detail.payment.ibn: Unrecognized key: "ibn"); '
            "detail.x: no such member; wanted order-id, total, payment",
            "EventMismatch: a sample of Order: detail.totl: no such member; wanted order-id, total, payment",
            '{"order-id":"o-1","total":5,"totl":6}',
        ],
        "",
    )


def _until(file: Path, *words: str, seen: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(file.read_text().count(word) < (seen if word.startswith("->") else 1) for word in words):
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.05)


def test_code_goes_as_a_zip_to_a_server_elsewhere(shop: Path, tmp_path: Path, server_url: str):
    busway(shop, "dev", "--once", "--zip", BUSWAY_ENDPOINT=server_url)
    done = busway(shop, "invoke", "count", BUSWAY_ENDPOINT=server_url)
    assert "handling" in done.stderr


def test_a_deployment_tries_each_version_and_runs_nothing_of_the_handlers(
    shop: Path, tmp_path: Path, server_url: str
):
    project = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    said = busway(project, "deploy", server_url).stderr
    assert "batch: version 1 starts and reads its sample" in said
    assert "log: version 1 starts and reads its sample" in said
    for function in ("shop-log", "shop-batch"):
        assert "handling" not in busway(project, "logs", function, BUSWAY_ENDPOINT=server_url).stdout
    file = project / "handlers/log/handler.ts"
    file.write_text(f"{file.read_text()}\nif (process.env['LAMBDA_TASK_ROOT']) throw new Error('no such table');\n")
    refused = busway(project, "deploy", server_url, fails=True)
    assert "log: version 2 cannot start and read its sample: Error: no such table" in refused.stderr


@pytest.fixture
def server_url(tmp_path: Path) -> Any:
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", str(tmp_path / "data"), "--json"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield str(json.loads(process.stdout.readline())["url"])
    process.terminate()
    process.communicate(timeout=30)


def test_the_page_works_as_printed(tmp_path: Path):
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "typescript.md").read_text(), re.DOTALL)
    begin, rest = re.sub(r"^\$ ", "", blocks[0][1], flags=re.MULTILINE).split("npm install\n")
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", begin], cwd=tmp_path, env={**os.environ, **path}, check=True, timeout=PATIENCE_S)
    project = tmp_path / "shop"
    put_road_packages(project)
    subprocess.run(["bash", "-ec", rest], cwd=project, env={**os.environ, **path}, check=True, timeout=PATIENCE_S)
    names = ("send-receipt/orders", "send-receipt/handler", "post-orders/handler", "send-receipt/receipt.test")
    handlers = [f"handlers/{name}" for name in names]
    files = ["events/order-placed.ts", *(f"{name}.ts" for name in handlers)]
    written(project, dict(zip(files, [text for kind, text in blocks if kind == "ts"], strict=True)))
    assert (done := typed(project)).returncode == 0, done.stdout
    assert json.loads(busway(project, "test", "--json").stdout)["tests"] == 5


def test_a_change_of_an_event_since_a_commit_is_judged(shop: Path, tmp_path: Path):
    project = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    assert "nothing that breaks anybody" in busway(project, "schema", "check", "--against", "HEAD").stderr
    event = project / "events" / "customer-notification.ts"
    event.write_text(event.read_text().replace('"ip-address": z.string()', '"ip-address": z.int()'))
    event.write_text(event.read_text().replace('["1.2.3.4"]', "[1]"))
    (project / "handlers" / "notify-customer" / "sample.json").unlink()
    assert "ip-address" in busway(project, "schema", "check", "--against", "HEAD", fails=True).stdout


async def test_a_handler_may_be_the_default_export_too(shop: Path, tmp_path: Path):
    project = shutil.copytree(shop, tmp_path / "shop", symlinks=True)
    for name, old, new in (("count", "", ""), ("delete", "export const deleteHandler =", "export default")):
        file = project / "handlers" / name / "handler.ts"
        file.write_text(file.read_text().replace(old, new) + ("export default count;\n" if name == "count" else ""))
    entries = {entry.name: entry.entry_point for entry in (await describe(project)).handlers}
    assert (entries["count"], entries["delete"]) == ("handler.count", "handler.default")
