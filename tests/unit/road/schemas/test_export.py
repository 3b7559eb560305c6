"""The project's events as files, and the check of what changed since."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from busway.cli import main

EVENT = """
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal

from busway import Event
from pydantic import BaseModel, Field


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Line(BaseModel):
    sku: str
    tags: dict[str, int] = {}


class OrderPlaced(Event, source="com.example.Shop", detail_type="Order Placed"):
    order_id: Annotated[str, Field(alias="order-id")]
    total: Decimal
    lines: list[Line]
    kind: Literal["web", "phone"]
    place: tuple[float, float]
    size: Size = Size.SMALL
    note: str | None = None
"""
TYPES = """
export type OrderPlacedLine = {
  sku: string;
  tags?: Record<string, number>;
};

export type OrderPlacedSize = "small" | "large";

export type OrderPlacedDetail = {
  "order-id": string;
  total: number | string;
  lines: OrderPlacedLine[];
  kind: "web" | "phone";
  place: [number, number];
  size?: OrderPlacedSize;
  note?: string | null;
};

export type OrderPlaced = EventBridgeEvent<"Order Placed", "com.example.Shop", OrderPlacedDetail>;
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "shop"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    (tmp_path / "shop/events/order_placed.py").write_text(EVENT)
    return tmp_path / "shop"


def test_each_event_is_a_json_schema_by_wire_names_and_all_are_typescript(shop: Path):
    assert main(["schema", "export"]) == 0
    written = json.loads((shop / "schemas/OrderPlaced.json").read_text())
    assert written["x-event-source"] == "com.example.Shop" and written["x-event-detail-type"] == "Order Placed"
    assert "order-id" in written["required"] and written["$schema"].endswith("2020-12/schema")
    assert (shop / "schemas/events.ts").read_text().endswith(TYPES)


def test_a_change_is_checked_against_a_folder_and_against_a_commit(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["schema", "export"]) == 0
    who = ["-c", "user.name=x", "-c", "user.email=x@y"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=shop, check=True)
    for reference in ("schemas", "HEAD"):
        assert main(["schema", "check", "--against", reference]) == 0
    broken = EVENT.replace("    total: Decimal\n", "    added: int\n").replace('"web", "phone"', '"web"')
    (shop / "events/order_placed.py").write_text(broken)
    for reference in ("schemas", "HEAD"):
        capfd.readouterr()
        assert main(["schema", "check", "--against", reference, "--json"]) == 1
        found = json.loads(capfd.readouterr().out)["breaks"]
        assert {each["path"] for each in found} == {"detail.added", "detail.kind", "detail.total"}
    assert main(["schema", "check", "--against", "HEAD"]) == 1
    assert "better give the field a default" in capfd.readouterr().out


def test_a_reference_that_is_none_is_told(shop: Path, capfd: pytest.CaptureFixture[str]):
    (shop / "empty").mkdir()
    for reference, problem in (("empty", "holds no schemas"), ("--upload-pack=x", "git"), ("nowhere", "git")):
        assert main(["schema", "check", f"--against={reference}"]) == 1
        assert problem in capfd.readouterr().err
