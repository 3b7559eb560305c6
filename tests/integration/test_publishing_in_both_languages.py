"""`publish` means the same in Python and in TypeScript: one table of cases, any others, and a real server."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from busway.errors import EventTooLarge, PublishFailed
from busway.publishing import PAUSE_S_MAX, publish
from busway.road.project_files import new_project
from busway.road.typescript.bundle import bundle_handlers
from busway.road.typescript.package import put_package

from .packages import npm_installed, put_eventbridge_client, put_road_packages, written
from .whole_server import REGION, rule_to_queue, whole_server

TESTS = Path(__file__).parents[1]
CASES: list[dict[str, Any]] = [
    json.loads(line) for line in (TESTS / "vectors/publishing.jsonl").read_text().splitlines()
]
RANDOM_CASES = 200
# Of every entry, before its detail: "shop" and "Paid".
AROUND_BYTES = 8
Outcome = dict[str, Any]


def entries(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each with a detail that begins with its place."""
    found: list[dict[str, Any]] = []
    for place, size in enumerate(case["sizes"]):
        entry: dict[str, Any] = {"Source": "shop", "DetailType": "Paid", "Detail": f"{place} ".ljust(size, "x")}
        if place in case.get("timed", []):
            entry["Time"] = "2026-01-01T00:00:00Z"
        if str(place) in case.get("resources", {}):
            entry["Resources"] = case["resources"][str(place)]
        found.append(entry)
    return found


def in_python(case: Mapping[str, Any]) -> Outcome:
    calls: list[list[int]] = []
    pauses: list[float] = []

    class Bus:
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
            places = [int(entry["Detail"].split()[0]) for entry in Entries]
            before = [place for call in calls for place in call]
            calls.append(places)
            if request := case.get("request"):
                if request["status"] == 0:
                    raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
                about: Any = {"HTTPStatusCode": request["status"]}
                told: Any = {"Error": {"Code": request["code"], "Message": "no"}, "ResponseMetadata": about}
                raise ClientError(told, "PutEvents")
            return {"Entries": [self.answer(place, before.count(place)) for place in places]}

        def answer(self, place: int, before: int) -> dict[str, str]:
            codes = case.get("answers", {}).get(str(place), [])
            return {"ErrorCode": codes[before]} if before < len(codes) else {"EventId": f"id {place}"}

    given = entries(case)
    outcome: Outcome = {"calls": calls, "pauses": pauses, "ids": [], "codes": [None] * len(given), "unsent": []}
    try:
        outcome["ids"] = publish(*given, client=Bus(), sleep=pauses.append)
    except (EventTooLarge, PublishFailed) as error:
        outcome["error"] = type(error).__name__
        if isinstance(error, PublishFailed):
            outcome["ids"] = list(error.event_ids)
            for refusal in error.refusals:
                outcome["codes"][refusal.place] = refusal.code
            outcome["unsent"] = [one.place for one in error.refusals if one.reason.startswith("not sent: ")]
    return outcome


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("both") / "shop"
    new_project(root, "shop", language="typescript")
    put_road_packages(root)
    put_package(root)
    return root


@pytest.fixture(scope="module")
def in_typescript(project: Path) -> Callable[[Sequence[Mapping[str, Any]]], list[Outcome]]:
    script = shutil.copy(TESTS / "node/publishing.mjs", project)

    def run(cases: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        asked = json.dumps([{**case, "entries": entries(case)} for case in cases])
        done = subprocess.run(["node", script], input=asked, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def check(case: Mapping[str, Any], outcome: Outcome) -> None:
    """What the network's own errors are called is each language's own."""
    count = len(case["sizes"])
    codes = case.get("codes", [None] * count)
    sent = case.get("error") != "EventTooLarge"
    wanted = {
        "calls": case["calls"], "error": case.get("error"), "unsent": case.get("unsent", []),
        "ids": [None if code else f"id {place}" for place, code in enumerate(codes)] if sent else [],
        "codes": codes,
    }  # fmt: skip
    gone = case.get("request", {}).get("status") == 0
    heard = {**outcome, "codes": [code and "gone" for code in outcome["codes"]] if gone else outcome["codes"]}
    assert {name: heard.get(name) for name in wanted} == wanted, case["claim"]
    assert all(0 <= pause <= PAUSE_S_MAX for pause in outcome["pauses"]), case["claim"]


@pytest.mark.parametrize("case", CASES, ids=[case["claim"].replace(" ", "-") for case in CASES])
def test_what_is_published_in_python_is_what_the_table_says(case: dict[str, Any]):
    check(case, in_python(case))


@pytest.mark.needs("node")
def test_and_so_it_is_in_typescript(in_typescript: Callable[..., list[Outcome]]):
    for case, outcome in zip(CASES, in_typescript(CASES), strict=True):
        check(case, outcome)


@pytest.mark.needs("node")
def test_whatever_is_answered_both_do_the_same(in_typescript: Callable[..., list[Outcome]]):
    drawn = random.Random(7)
    codes = ("Throttling", "InternalFailure", "MalformedDetail", "Slow")
    cases: list[dict[str, Any]] = []
    for _ in range(RANDOM_CASES):
        sizes = [drawn.choice((9, 9, 9, 300_000)) for _ in range(drawn.randint(1, 14))]
        failing = {
            str(place): [drawn.choice(codes) for _ in range(drawn.randint(1, 6))]
            for place in range(len(sizes))
            if drawn.random() < 0.3
        }
        cases.append({"sizes": sizes, "answers": failing})
    for case, outcome in zip(cases, in_typescript(cases), strict=True):
        expected = in_python(case)
        assert len(outcome.pop("pauses")) == len(expected.pop("pauses")), case
        assert outcome == expected, case


def node(project: Path, text: str, **environment: str) -> str:
    script = project / "script.mjs"
    script.write_text(text)
    done = subprocess.run(
        ["node", str(script)], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.needs("node")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[{}]", r"TypeError: publish was given array; wanted entries .*each an argument"),
        ("null", r"TypeError: publish was given null"),
        ("{ cleint: 1 }", r'TypeError: publish has no option "cleint"; its options are bus, client, sleep'),
        (
            '{ Source: "a", DetailType: "b", Detail: "{}" }',
            r"Error: publish sends by AWS's SDK, which is not installed: npm install @aws-sdk/client-eventbridge",
        ),
    ],
    ids=["a list", "nothing", "an unknown option", "no SDK"],
)
def test_what_cannot_be_published_is_said(project: Path, given: str, said: str):
    told = node(
        project, f'import {{ publish }} from "busway";\nawait publish({given}).catch((e) => console.log(`${{e}}`));'
    )
    assert re.match(said, told)


@pytest.mark.needs("node")
def test_an_sdk_that_only_require_finds_is_used_as_on_lambda(project: Path):
    modules = str(npm_installed("node", TESTS / "node") / "node_modules")
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": REGION, "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "NODE_PATH": modules}
    text = """
        import { publish } from "busway";
        const entry = { Source: "a", DetailType: "b", Detail: "{}" };
        await publish(entry, { sleep: async () => {} }).catch((error) => console.log(`${error}`));
    """
    assert 'PublishFailed: "b" was not put on bus "default": ECONNREFUSED: ' in node(project, text, **nobody, **keys)


PRODUCER = """\
import { EventBridge, EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { defineEvent, publish, PublishFailed } from "busway";
import * as z from "zod";

const Paid = defineEvent({ source: "shop", detailType: "Paid", detail: { number: z.int() } });
const entries = Array.from({ length: 25 }, (_, number) => Paid.entry({ number }));
const ids: string[] = await publish(...entries);
const [id] = await publish(Paid.entry({ number: 25 }), { client: new EventBridgeClient({}) });
ids.push(id, ...(await publish(Paid.sample({ number: 26 }), { client: new EventBridge({}), bus: "default" })));
try {
  await publish(Paid.entry({ number: 27 }), { Source: "shop", DetailType: "Paid", Detail: "no JSON" });
} catch (error) {
  if (!(error instanceof PublishFailed)) throw error;
  console.log(JSON.stringify({ ids: [...ids, error.eventIds[0]], none: error.eventIds[1], said: error.message }));
}
const client = new EventBridgeClient({ endpoint: "http://127.0.0.1:1", maxAttempts: 1 });
const later = { client, sleep: async () => undefined };
await publish(Paid.entry({ number: 28 }), later).catch((error) => console.log(`${error}`));
"""


@pytest.fixture
def producer(tmp_path: Path) -> Path:
    """A project that has AWS's SDK, and a program in it."""
    root = tmp_path / "shop"
    new_project(root, "shop", language="typescript")
    put_road_packages(root)
    put_package(root)
    put_eventbridge_client(root)
    return written(root, {"events/producer.ts": PRODUCER})


@pytest.mark.needs("node")
def test_what_awss_sdk_sends_arrives_and_what_is_refused_is_named(producer: Path, tmp_path: Path):
    tsc = subprocess.run(
        ["node_modules/.bin/tsc"], cwd=producer, capture_output=True, text=True, timeout=60, check=False
    )
    assert tsc.returncode == 0, tsc.stdout
    esbuild = ["node_modules/.bin/esbuild", "events/producer.ts", "--outfile=producer.mjs", "--log-level=error"]
    subprocess.run(esbuild, cwd=producer, check=True, timeout=60)
    with whole_server(tmp_path) as server:
        sqs = server.client("sqs")
        url = rule_to_queue(server, "paid", '{"source":["shop"]}')
        program = (producer / "producer.mjs").read_text()
        told, unheard = node(producer, program, **{**server.environment, "AWS_REGION": REGION}).splitlines()
        seen = json.loads(told)
        found: dict[str, int] = {}
        while len(found) < 28:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
            bodies = [json.loads(message["Body"]) for message in messages]
            found |= {body["id"]: body["detail"]["number"] for body in bodies}
    assert found == dict(zip(seen["ids"], range(28), strict=True))
    assert seen["none"] is None
    assert seen["said"] == '"Paid" was not put on bus "default": MalformedDetail: Detail is malformed.'
    assert re.match(r'PublishFailed: "Paid" was not put on bus "default": ECONNREFUSED: connect ECONN', unheard)


_HANDLER = """\
import {{ defineEvent, handler{names} }} from "busway";
const Paid = defineEvent({{ source: "shop", detailType: "Paid", detail: {{}} }});
export const {name} = handler(Paid, {{}}, async (event) => {{
  {body}
}});
"""


@pytest.mark.needs("node")
@pytest.mark.parametrize("installed", [True, False], ids=["with the SDK", "without it"])
async def test_only_a_handler_that_publishes_is_bundled_with_the_sdk(project: Path, producer: Path, installed: bool):
    root = producer if installed else project
    texts = {
        "quiet": _HANDLER.format(names="", name="quiet", body="console.log(event.id);"),
        "loud": _HANDLER.format(names=", publish", name="loud", body="await publish(Paid.entry({}), event);"),
    }
    files = [root / "handlers" / name / "handler.ts" for name in texts]
    written(root, {f"handlers/{name}/handler.ts": text for name, text in texts.items()})
    await bundle_handlers(root, files, root / "out")
    quiet, loud = ((root / "out" / name / "handler.mjs").read_text() for name in texts)
    assert "publish" not in quiet
    assert "PutEvents" in loud
    assert ("AmazonEventBridge" in loud or "AWSEvents" in loud) == installed
