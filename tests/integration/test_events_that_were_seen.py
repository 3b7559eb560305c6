"""`busway add event --from-event`: a class of what the bus has seen, which takes it again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import boto3

from busway.road.project import load_events
from busway.road.project_files import new_project
from busway.testing import BuswayServer


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
