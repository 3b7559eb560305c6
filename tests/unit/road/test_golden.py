"""The generator's words, character by character. With `BUSWAY_GOLDEN=write` they are written anew: read the diff."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from busway.road.event_files import EventSpec
from busway.road.fields import TYPES, parse_fields
from busway.road.generator import SCHEDULED, BatchSpec, HandlerSpec, add_handler
from busway.road.project_files import new_project

GOLDEN = Path(__file__).parent / "golden"
FIELDS = ["notification:str=unrecognized-login", "ip-address:str=1.2.3.4", "location:str?"]
NOTIFICATION = EventSpec(
    "CustomerNotification", "com.benlimmer.Monolith", "Customer Notification", parse_fields(FIELDS)
)
EVERY = EventSpec("Every", 'com."Shop"', "Every Type", parse_fields([f"a-{name}:{name}" for name in TYPES]))
ONLY = {"location": [{"prefix": "Oslo"}], "ip-address": [{"cidr": "10.0.0.0/8"}]}
SPECS = {
    "plain": HandlerSpec("count", NOTIFICATION),
    "plain_async": HandlerSpec("count", NOTIFICATION, is_async=True),
    "all_options": HandlerSpec(
        "count",
        NOTIFICATION,
        retries=0,
        max_age="1h",
        timeout="1m",
        memory_mb=512,
        alert="pagerduty",
        secrets=["STRIPE_KEY"],
        filter=ONLY,
        rate="10/s",
        concurrency=4,
    ),
    "every_type": HandlerSpec("count", EVERY),
    "email": HandlerSpec("notify_customer", NOTIFICATION, body="email", resources=["user@example.com"]),
    "batch": HandlerSpec("post_orders", NOTIFICATION, batch=BatchSpec(100, "5s")),
    "schedule": HandlerSpec("nightly", SCHEDULED, schedule="cron(0 2 * * ? *)"),
}
IN_TYPESCRIPT = ["project", "plain", "all_options", "every_type", "email", "batch", "schedule"]


def check(name: str, root: Path, files: list[Path]) -> None:
    text = "".join(f"=== {file.relative_to(root)}\n{file.read_text()}" for file in files)
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("BUSWAY_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", ["project", *SPECS])
def test_what_is_generated_is_what_was_read_and_approved(name: str, tmp_path: Path):
    root = tmp_path / "shop"
    files = new_project(root, "shop")
    if name != "project":
        files = add_handler(root, SPECS[name])
    check(name, root, files)


@pytest.mark.parametrize("name", IN_TYPESCRIPT)
def test_so_is_what_is_generated_in_typescript(name: str, tmp_path: Path):
    root = tmp_path / "shop"
    files = new_project(root, "shop", language="typescript")
    if name != "project":
        files = add_handler(root, replace(SPECS[name], language="typescript"))
    check(f"{name}.ts", root, files)
