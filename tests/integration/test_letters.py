"""Dead letters by the commands, from the failure to the last of them handled, on a real server with its workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.project_files import new_project

from .whole_server import BIN, ROLE, WholeServer, arn, until, whole_server, zipped

PLACED = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["order-id:str", "total:int=5"]))
# An order of more than 100 fails, the first time it is tried in other words.
SOURCE = """
def handler(event, context):
    total = event["detail"]["total"]
    print(f"order of {total}")
    if total > 100:
        raise ValueError(f"{total} is too much")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    folder = tmp_path_factory.mktemp("letters")
    with whole_server(folder) as running:
        made = running.client("lambda").create_function(
            FunctionName="shop-one", Runtime="python3.12", Role=ROLE, Handler="app.handler",
            Code={"ZipFile": zipped(SOURCE)},
        )  # fmt: skip
        events = running.client("events")
        events.put_rule(Name="orders", EventPattern='{"source": ["shop"]}')
        events.put_targets(Rule="orders", Targets=[{"Id": "f", "Arn": made["FunctionArn"]}])
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project") / "shop"
    new_project(root, "shop")
    add_handler(root, HandlerSpec("one", PLACED))
    return root


def failed(server: WholeServer, *totals: int) -> list[str]:
    """The ids of orders, once each is a dead letter; none other is left."""
    details = [json.dumps({"order-id": "o", "total": total}) for total in totals]
    entries = [{"Source": "shop", "DetailType": "Order Placed", "Detail": detail} for detail in details]
    answer = server.client("events").put_events(Entries=entries)
    until(lambda: server.busway("dlq")["total"] == len(totals), "the dead letters")
    return [entry["EventId"] for entry in answer["Entries"]]


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def cleared(server: WholeServer) -> None:
    """Every letter that is left is made small enough to be handled."""
    for letter in server.busway("dlq")["items"]:
        server.run(BIN / "busway", "redrive", "--event", letter["message_id"], "--set", "total=1")
    assert server.busway("dlq")["total"] == 0


def test_one_letter_is_shown_with_its_attempts_and_what_each_printed(server: WholeServer):
    (event_id,) = failed(server, 500)
    (letter,) = server.busway("dlq", "--event", event_id)
    assert [one["number"] for one in letter["tries"]] == [1, 2, 3]
    assert {(one["error_code"], one["error_message"]) for one in letter["tries"]} == {
        ("ValueError", "500 is too much")
    }
    assert all("order of 500" in [each["line"] for each in one["logs"]] for one in letter["tries"])
    assert all(one["at"] for one in letter["tries"])
    shown = server.run(BIN / "busway", "dlq", "--event", event_id).stdout
    assert "shop-one: ValueError: 500 is too much" in shown and "│ order of 500" in shown
    assert '"total": 500' in shown
    cleared(server)


def test_an_edit_that_does_not_fit_its_class_is_refused_before_anything_is_sent(server: WholeServer, project: Path):
    (event_id,) = failed(server, 500)
    refused = server.run(BIN / "busway", "redrive", "--event", event_id, "--set", "total=much", folder=project)
    assert refused.returncode == 1
    assert "does not fit OrderPlaced" in refused.stderr and "total" in refused.stderr
    assert "hint: nothing was sent" in refused.stderr
    unknown = server.run(BIN / "busway", "redrive", "--event", event_id, "--set", "totl=5", folder=project)
    assert "has no field 'totl'" in unknown.stderr and "did you mean total?" in unknown.stderr
    assert server.busway("dlq")["total"] == 1
    cleared(server)


def test_an_edited_event_is_handled_and_why_tells_what_was_edited(server: WholeServer, project: Path):
    (event_id,) = failed(server, 500)
    words = ["redrive", "one", "--event", event_id, "--set", "total=5", "--wait", "60", "--json"]
    done = server.run(BIN / "busway", *words, folder=project)
    assert done.returncode == 0, done.stderr
    letter, last = lines_of(done.stdout)
    assert (letter["kind"], letter["event_id"], letter["state"]) == ("letter", event_id, "delivered")
    assert (last["kind"], last["redriven"], last["delivered"], last["failed"]) == ("done", 1, 1, 0)
    assert server.busway("dlq")["total"] == 0
    (delivery,) = until(
        lambda: [d for d in server.busway("why", event_id)["deliveries"] if "redriven" in d], "its end"
    )
    assert (delivery["edited"], delivery["redriven"]["state"]) == ("detail.total", "delivered")
    assert "edited before it was sent back: detail.total" in server.run(BIN / "busway", "why", event_id).stdout


def test_an_event_is_edited_in_the_user_s_editor(server: WholeServer, project: Path, tmp_path: Path):
    (event_id,) = failed(server, 500)
    editor = tmp_path / "editor"
    # Not every 500: one may stand in the event's id.
    editor.write_text('#!/bin/sh\nsed -i "s/: 500$/: $TOTAL/" "$1"\n')
    editor.chmod(0o755)
    words = ["redrive", "--event", event_id, "--edit", "--wait", "60"]
    environment = {"EDITOR": str(editor), "VISUAL": str(editor)}
    broken = server.run(BIN / "busway", *words, folder=project, TOTAL="many", **environment)
    assert broken.returncode == 1 and "no JSON object" in broken.stderr
    (kept,) = (Path(word.rstrip(";")) for word in broken.stderr.split() if "busway-event-" in word)
    assert "many" in kept.read_text()
    kept.unlink()
    same = server.run(BIN / "busway", *words, folder=project, TOTAL="500", **environment)
    assert (same.returncode, same.stdout) == (0, "") and "nothing was changed" in same.stderr
    assert server.busway("dlq")["total"] == 1
    done = server.run(BIN / "busway", *words, folder=project, TOTAL="7", **environment)
    assert done.stdout == "1 sent back\n1 delivered\n", done.stderr


def test_what_fails_again_is_told_with_its_error_and_exits_1(server: WholeServer):
    failed(server, 500, 600)
    done = server.run(BIN / "busway", "redrive", "shop-one", "--wait", "60")
    assert done.returncode == 1
    assert done.stdout.startswith("2 sent back\n2 failed again\n")
    assert "1 event of shop-one: ValueError: 500 is too much" in done.stdout
    assert server.busway("dlq")["total"] == 2
    cleared(server)


def test_some_are_chosen_by_pattern_or_error_and_a_dry_run_sends_none(server: WholeServer):
    ids = failed(server, 500, 600)
    pattern = '{"detail": {"total": [{"numeric": [">", 550]}]}}'
    plan = server.busway("redrive", "--matching", pattern, "--dry-run")
    assert [item["event_id"] for item in plan["items"]] == ids[1:]
    told = server.run(BIN / "busway", "redrive", "shop-one", "--error", "ValueError", "--dry-run")
    assert "2 would be sent back; nothing was" in told.stderr
    wrong = server.run(BIN / "busway", "redrive", "--matching", '{"detail": 5}')
    assert wrong.returncode == 1 and "Event pattern is not valid" in wrong.stderr
    assert server.busway("redrive", "--error", "KeyError")["redriven"] == 0
    assert server.busway("dlq", "--matching", pattern)["total"] == 1
    assert server.busway("dlq")["total"] == 2
    cleared(server)


def test_what_an_on_failure_queue_was_told_of_is_a_dead_letter_like_others(server: WholeServer):
    functions = server.client("lambda")
    server.client("sqs").create_queue(QueueName="told")
    functions.put_function_event_invoke_config(
        FunctionName="shop-one", DestinationConfig={"OnFailure": {"Destination": arn("sqs", "told")}}
    )
    (event_id,) = failed(server, 500)
    (letter,) = server.busway("dlq", "shop-one")["items"]
    assert (letter["event_id"], letter["queue"]) == (event_id, arn("sqs", "told"))
    words = ["redrive", "shop-one", "--event", event_id, "--set", "total=5", "--wait", "60"]
    assert server.run(BIN / "busway", *words).stdout == "1 sent back\n1 delivered\n"
    functions.delete_function_event_invoke_config(FunctionName="shop-one")
