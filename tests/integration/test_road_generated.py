"""Generated code is code that a careful team would have written: formatted, linted, strictly typed, and tested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from busway.road.event_files import EventSpec, find_event
from busway.road.fields import TYPES, parse_fields
from busway.road.generator import SCHEDULED, BatchSpec, HandlerSpec, add_handler
from busway.road.project_files import new_project

TOOLS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with handlers of each kind, and fields of each type."""
    root = tmp_path_factory.mktemp("road") / "shop"
    new_project(root, "shop")
    fields = parse_fields(["notification:str=unrecognized-login", "ip-address:str=1.2.3.4", "location:str?"])
    notification = EventSpec("CustomerNotification", "com.benlimmer.Monolith", "Customer Notification", fields)
    add_handler(
        root, HandlerSpec("notify_customer", notification, body="email", alert="pagerduty", resources=["a@b"])
    )
    again = EventSpec("CustomerNotification", "", "", file=find_event(root, "CustomerNotification"))
    only = {"location": [{"prefix": "Oslo"}, {"prefix": "Bergen"}], "ip-address": [{"cidr": "10.0.0.0/8"}]}
    add_handler(root, HandlerSpec("count", again, filter=only, timeout="1m", max_age="1h", memory_mb=512))
    every = [f"member {number}:{name}" for number, name in enumerate(TYPES)]
    optional = [f"maybe-{number}:{name}?" for number, name in enumerate(TYPES)]
    long_name = "EverythingThatCanBeSaidOfAnOrderInOne"
    everything = EventSpec(long_name, 'com.example."Shop"', "It's all", parse_fields(every + optional))
    add_handler(root, HandlerSpec("a_handler_whose_name_is_as_long_as_names_can_be", everything, is_async=True))
    add_handler(root, HandlerSpec("nothing", EventSpec("Bare", "shop", "Bare")))
    bare = EventSpec("Bare", "", "", file=find_event(root, "Bare"))
    add_handler(root, HandlerSpec("in_batches", bare, batch=BatchSpec(100, "5s"), alert="pagerduty"))
    add_handler(root, HandlerSpec("in_batches_once", bare, batch=BatchSpec(1, "0s"), retries=0))
    add_handler(root, HandlerSpec("in_batches_for_an_hour", bare, batch=BatchSpec(9, "1m"), retries=99, max_age="1h"))
    long_named = EventSpec(long_name, "", "", file=find_event(root, long_name))
    name = "a_handler_of_batches_whose_name_is_as_long_as_can_be"[:50]
    add_handler(root, HandlerSpec(name, long_named, batch=BatchSpec(10_000, "300s"), is_async=True, timeout="15m"))
    add_handler(root, HandlerSpec("nightly", SCHEDULED, schedule="cron(0 2 * * ? *)", concurrency=1))
    add_handler(root, HandlerSpec("poll", SCHEDULED, schedule="rate(5 minutes)", is_async=True, retries=0))
    return root


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "--select", "E,F,W,I,UP,B,SIM,RUF,PT,RET,C4,PERF,BLE", "."],
        ["pyright", "--pythonpath", sys.executable],
        [
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "error",
            "-o",
            "asyncio_default_fixture_loop_scope=function",
        ],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_generated_project_passes(shop: Path, command: list[str]):
    run = subprocess.run(
        [TOOLS / command[0], *command[1:]], cwd=shop, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
