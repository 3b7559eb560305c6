from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from busway.cli import main
from busway.cli.changes import changed
from busway.cli.send import _chosen  # pyright: ignore[reportPrivateUsage]
from busway.errors import BrokenProject, EventMismatch
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.project_files import new_project


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shop"
    new_project(root, "shop", bus="orders")
    fields = parse_fields(["id:str=A1", "total:int=5"])
    event = EventSpec("OrderPlaced", "com.example.Shop", "Order Placed", fields)
    add_handler(root, HandlerSpec("send_receipt", event, resources=["user@example.com"]))
    monkeypatch.chdir(root)
    return root


def chosen(event: str | None = None, **given: Any) -> tuple[dict[str, Any], str]:
    order = ("source", "detail_type", "file", "detail", "changes", "resources", "raw")
    defaults: dict[str, Any] = {"changes": (), "resources": (), "raw": False}
    return _chosen(event, *(given.get(name, defaults.get(name)) for name in order))


@pytest.mark.parametrize("name", ["OrderPlaced", "order_placed", "Order Placed", "order-placed"])
def test_an_event_of_the_project_is_sent_as_its_sample(shop: Path, name: str):
    entry, bus = chosen(name)
    assert (entry["Source"], entry["DetailType"], bus) == ("com.example.Shop", "Order Placed", "orders")
    assert entry["Resources"] == ["user@example.com"]
    assert json.loads(entry["Detail"]) == {"id": "A1", "total": 5}


def test_a_change_keeps_text_as_text(shop: Path):
    entry, _ = chosen("OrderPlaced", changes=("id=0150", "total=7"))
    assert json.loads(entry["Detail"]) == {"id": "0150", "total": 7}


def test_what_does_not_fit_the_class_is_refused_before_it_is_sent(shop: Path):
    with pytest.raises(EventMismatch, match=r"detail\.total: .* \(found 'much'\)") as caught:
        chosen("OrderPlaced", changes=("total=much",))
    assert "--raw" in caught.value.hint


def test_a_member_that_the_class_does_not_have_is_refused_with_what_was_meant(shop: Path):
    with pytest.raises(EventMismatch, match=r"OrderPlaced has no field 'totl'; it has id, total") as caught:
        chosen("OrderPlaced", changes=("totl=7",))
    assert caught.value.hint == "did you mean total?"
    entry, _ = chosen("OrderPlaced", changes=("totl=7",), raw=True)
    assert json.loads(entry["Detail"])["totl"] == 7


def test_a_field_may_be_changed_by_its_python_name(shop: Path):
    fields = parse_fields(["ip-address:str=1.2.3.4"])
    add_handler(shop, HandlerSpec("look", EventSpec("Seen", "s", "Seen", fields)))
    entry, _ = chosen("Seen", changes=("ip_address=9.9.9.9",))
    assert json.loads(entry["Detail"]) == {"ip-address": "9.9.9.9"}


def test_raw_sends_it_all_the_same(shop: Path):
    entry, _ = chosen("OrderPlaced", changes=("total=much",), raw=True)
    assert json.loads(entry["Detail"])["total"] == "much"


def test_an_event_can_be_sent_while_a_handler_is_broken(shop: Path):
    (shop / "handlers/send_receipt/handler.py").write_text("def broken(:")
    entry, _ = chosen("OrderPlaced")
    assert json.loads(entry["Detail"])["id"] == "A1"


def test_a_sample_with_resources_is_sent_rather_than_one_without(shop: Path):
    event = EventSpec("OrderPlaced", "", "", file=shop / "events/order_placed.py")
    add_handler(shop, HandlerSpec("audit", event))
    sample = shop / "handlers/audit/sample.json"
    sample.write_text(json.dumps({**json.loads(sample.read_text()), "resources": []}))
    assert chosen("OrderPlaced")[0]["Resources"] == ["user@example.com"]


def test_an_unknown_event_lists_those_that_are_there(shop: Path):
    with pytest.raises(BrokenProject, match="has no event 'Nope'; it has OrderPlaced") as caught:
        chosen("Nope")
    assert caught.value.hint == "give --source, --detail-type and --detail"


def test_an_event_whose_name_is_nearly_that_is_asked_for(shop: Path):
    with pytest.raises(BrokenProject) as caught:
        chosen("orderplacd")
    assert caught.value.hint == "did you mean OrderPlaced?"


def test_any_event_can_be_given_in_full_outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    entry, bus = chosen(source="s", detail_type="d", detail={"a": 1}, resources=("r",))
    assert entry == {"Source": "s", "DetailType": "d", "Resources": ["r"], "Detail": '{"a":1}'}
    assert bus == "default"


def test_a_file_is_a_whole_event_or_a_detail(tmp_path: Path):
    whole, detail = tmp_path / "whole.json", tmp_path / "detail.json"
    whole.write_text('{"source": "s", "detail-type": "d", "resources": ["r"], "detail": {"a": 1}}')
    detail.write_text('{"a": 2}')
    assert chosen(file=whole)[0] == {"Source": "s", "DetailType": "d", "Resources": ["r"], "Detail": '{"a":1}'}
    assert chosen(file=detail, source="x", detail_type="y")[0]["Detail"] == '{"a":2}'


def test_changes_reach_into_objects():
    before = {"a": {"b": 1}, "t": "x"}
    assert changed(before, ("a.b=2", "a.c=true", "n.m=[1]", "t=1", "u=free text")) == {
        **{"a": {"b": 2, "c": True}, "n": {"m": [1]}},
        **{"t": "1", "u": "free text"},
    }
    assert before == {"a": {"b": 1}, "t": "x"}


@pytest.mark.parametrize("change", ["novalue", "=5", "t.b=1"])
def test_a_change_that_makes_no_sense_is_a_usage_error(change: str):
    with pytest.raises(click.UsageError, match="--set"):
        changed({"t": "x"}, (change,))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["send"], "--source is missing"),
        (["send", "X", "--source", "s"], "give either EVENT, or --source"),
        (["send", "--source", "s", "--detail-type", "d", "--detail", "[1]"], "--detail is not a JSON object"),
    ],
)
def test_what_is_missing_is_named(words: list[str], problem: str, capfd: pytest.CaptureFixture[str]):
    assert main(words) == 2
    assert problem in capfd.readouterr().err
