"""`busway add event --from-event`: a definition of what the bus has seen, which takes it again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from busway.road.project import load_events
from busway.road.project_files import new_project
from busway.road.typescript.read import check_fit, read_event
from busway.testing import BuswayServer

from .packages import put_road_packages


def add(server: BuswayServer, root: Path, *ids: str) -> subprocess.CompletedProcess[str]:
    words = [word for one in ids for word in ("--from-event", one)]
    return subprocess.run(
        [sys.executable, "-m", "busway", "add", "event", "OrderPlaced", *words, "--endpoint", server.url],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_class_is_made_of_events_that_the_bus_has_seen(tmp_path: Path, busway_server: BuswayServer):
    root = tmp_path / "shop"
    new_project(root, "shop")
    details = ({"order-id": "o-1", "total": 5}, {"order-id": "o-2", "total": 5.5, "note": "a gift"}, {})
    kinds = ("Order Placed", "Order Placed", "Order Paid")
    entries = [
        {"Source": "com.example.Shop", "DetailType": kind, "Detail": json.dumps(detail)}
        for kind, detail in zip(kinds, details, strict=True)
    ]
    placed, gift, paid = (one["EventId"] for one in boto3.client("events").put_events(Entries=entries)["Entries"])
    refused = add(busway_server, root, placed, paid)
    assert "these events are of 2 kinds: 'Order Paid' from 'com.example.Shop', 'Order Placed'" in refused.stderr
    unknown = add(busway_server, root, "00000000-0000-4000-8000-000000000000")
    assert "error: " in unknown.stderr
    assert not list((root / "events").glob("order*"))
    assert add(busway_server, root, placed, gift).returncode == 0
    entry, event_class = load_events(root)["OrderPlaced"]
    assert (entry.source, entry.detail_type) == ("com.example.Shop", "Order Placed")
    assert entry.json_schema["required"] == ["order-id", "total"]
    for detail in details[:2]:
        assert event_class.model_validate(detail).model_dump(by_alias=True, exclude_none=True) == detail


@pytest.mark.needs("node")
async def test_so_is_a_definition_in_typescript(tmp_path: Path, busway_server: BuswayServer):
    root = tmp_path / "shop"
    new_project(root, "shop", language="typescript")
    put_road_packages(root)
    details = ({"order-id": "o-1", "lines": [{"n": 5}]}, {"order-id": "o-2", "lines": [{"n": 5.5}], "note": None})
    entries = [{"Source": "shop", "DetailType": "Order", "Detail": json.dumps(detail)} for detail in details]
    ids = [one["EventId"] for one in boto3.client("events").put_events(Entries=entries)["Entries"]]
    added = add(busway_server, root, *ids)
    assert added.returncode == 0, added.stderr
    entry = await read_event(root, "OrderPlaced")
    assert (entry.file, entry.source, entry.detail_type) == ("events/order-placed.ts", "shop", "Order")
    assert entry.sample["detail"] == {"order-id": "o-1", "lines": [{"n": 5.5}]}
    assert entry.json_schema["required"] == ["order-id", "lines"]
    for detail in details:
        await check_fit(root, entry, {**entry.sample, "detail": detail})
