"""`busway invoke` and `busway list` against a server in a process of its own."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import WaiterError

from busway.cli.options import name_of
from busway.road.event_files import EventSpec, find_event
from busway.road.fields import parse_fields
from busway.road.generator import BatchSpec, HandlerSpec, add_handler
from busway.road.project_files import new_project

from .whole_server import BIN, ROLE, WholeServer, arn, whole_server, zipped


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project") / "shop"
    new_project(root, "shop")
    event = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["order-id:str=o-1"]))
    add_handler(root, HandlerSpec("ship", event))
    there = EventSpec("OrderPlaced", "", "", file=find_event(root, "OrderPlaced"))
    add_handler(root, HandlerSpec("post_orders", there, batch=BatchSpec(10, "1s")))
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[WholeServer]:
    with pytest.MonkeyPatch.context() as patch, whole_server(tmp_path_factory.mktemp("server")) as server:
        patch.chdir(project)
        deployed = server.run(BIN / "busway", "dev", "--once", "--zip")
        assert deployed.returncode == 0, deployed.stderr
        server.client("lambda").create_function(
            FunctionName="echo", Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=30,
            Code={"ZipFile": zipped("""
                def handler(event, context):
                    print("seen", len(event))
                    return event["n"]
            """)},
        )  # fmt: skip
        yield server


def test_a_handler_in_typescript_is_named_with_the_way_to_deploy_it(server: WholeServer, project: Path):
    file = project / "handlers/post_online/handler.ts"
    file.parent.mkdir()
    file.write_text("export const handler = async () => 1;")
    said = server.run(BIN / "busway", "dev", "--once", "--zip")
    assert said.returncode == 0
    assert "handlers/post_online/handler.ts is not deployed: " in said.stderr
    assert "create-function --function-name shop-post-online --runtime nodejs22.x" in said.stderr


def test_a_handler_of_the_project_runs_with_its_sample(server: WholeServer):
    done = server.run(BIN / "busway", "invoke", "ship")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "null\n"
    assert '"order-id":"o-1"' in done.stderr
    assert "START RequestId: " in done.stderr
    assert "REPORT RequestId: " in done.stderr


def test_a_handler_of_batches_gets_a_batch_of_one(server: WholeServer):
    told = server.busway("invoke", "post-orders", "--sample")
    assert (told["result"], told["error"]) == ({"batchItemFailures": []}, None)
    assert any('"order-id":"o-1"' in line for line in told["log"])


def test_any_function_gets_the_event_of_a_file(server: WholeServer, tmp_path: Path):
    (tmp_path / "event.json").write_text(json.dumps({"n": 7}))
    told = server.busway("invoke", "echo", "--event", str(tmp_path / "event.json"))
    assert (told["result"], told["error"], told["version"]) == (7, None, "$LATEST")
    assert "seen 1" in told["log"]


def test_an_error_is_shown_and_ends_with_1(server: WholeServer):
    done = server.run(BIN / "busway", "invoke", "echo")
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorType"] == "KeyError"
    assert "[ERROR] KeyError" in done.stderr
    assert server.busway("invoke", "echo", code=1)["error"] == "Unhandled"


def test_code_that_could_not_be_built_does_not_pass_for_the_newest(server: WholeServer):
    functions = server.client("lambda")
    source = "def handler(event, context): return 'old'"
    functions.create_function(
        FunctionName="stale", Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(source)}
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", source.replace("old", "new"))
        archive.writestr("requirements.txt", "-r ../outside.txt")
    functions.update_function_code(FunctionName="stale", ZipFile=content.getvalue())
    with pytest.raises(WaiterError):
        functions.get_waiter("function_updated_v2").wait(FunctionName="stale", WaiterConfig={"Delay": 1})
    done = server.run(BIN / "busway", "invoke", "stale")
    assert (done.returncode, done.stdout) == (0, '"old"\n')
    assert "this ran the code before: the newest one cannot be built: " in done.stderr
    told = server.busway("invoke", "stale")
    assert (told["result"], "requirements.txt" in told["update_failed"]) == ("old", True)
    functions.delete_function(FunctionName="stale")


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["nothing"], 1, "the server has no handler 'nothing'; it has echo"),
        (["nothing", "--sample"], 1, "has no handler 'nothing' to take a sample from; it has post-orders, ship"),
        (["ship", "--event", "pyproject.toml"], 2, "pyproject.toml is not JSON"),
        (["ship", "--event", "pyproject.toml", "--sample"], 2, "give either --event or --sample"),
    ],
)
def test_what_can_not_be_invoked_is_told(server: WholeServer, words: list[str], code: int, problem: str):
    done = server.run(BIN / "busway", "invoke", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert problem in done.stderr


def test_everything_is_listed_by_name(server: WholeServer):
    found = server.busway("list")
    names = {sort: [row["name"] for row in rows] for sort, rows in found.items()}
    assert sorted(names["handlers"]) == ["echo", "shop-post-orders", "shop-ship"]
    assert names["rules"] == ["shop-post-orders", "shop-ship"]
    assert {"shop-post-orders-dead-letters", "shop-ship-dead-letters"} <= set(names["queues"])
    assert (names["streams"], names["events"]) == (["shop-post-orders"], ["OrderPlaced"])
    assert {row["state"] for row in found["handlers"]} == {"Active"}
    assert [name_of(row["arn"]) for row in found["streams"]] == ["shop-post-orders"]
    assert found["streams"][0]["arn"] == arn("kinesis", "stream/shop-post-orders")


def test_one_sort_is_listed_alone_and_as_a_table(server: WholeServer):
    assert list(server.busway("list", "events")) == ["events"]
    shown = server.run(BIN / "busway", "list").stdout
    for text in (
        "handlers",
        "python3.",
        "shop-ship-dead-letters",
        "ACTIVE",
        "Order Placed",
        "events/order_placed.py",
    ):
        assert text in shown
