"""`templates update`: what nobody touched follows the templates, what somebody did stays."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from busway.errors import BrokenProject
from busway.road.deploy import zip_code
from busway.road.event_files import EventSpec, find_event
from busway.road.fields import parse_fields
from busway.road.generate_rule import JobFlags, RuleSpec, add_rule, rule_targets
from busway.road.generated import records
from busway.road.generator import SCHEDULED, BatchSpec, HandlerSpec, add_event, add_handler
from busway.road.project import load_project
from busway.road.project_files import new_project
from busway.road.regenerate import Outcome, generated_names, update
from busway.road.root import Language
from busway.road.rules import read_rules

PLACED = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["order-id:str", "total:int=5"]))
HANDLER, EVENT, TEST = "handlers/one/handler.py", "events/order_placed.py", "handlers/one/test_one.py"
RECORD = "handlers/one/.generated.json"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a handler and its event."""
    root = tmp_path / "shop"
    new_project(root, "shop")
    add_handler(root, HandlerSpec("one", PLACED))
    return root


def override(root: Path, template: str, text: str = "# A team's own.\n") -> None:
    """A template of the project's own: ours, with a text before it."""
    from busway.road.rendering import TEMPLATES

    own = root / "_templates" / f"{template}.jinja"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(text + (TEMPLATES / f"{template}.jinja").read_text())


def whats(outcomes: list[Outcome]) -> dict[str, str]:
    return {one.file: one.what + (f": {one.reason}" if one.reason else "") for one in outcomes}


def placed(root: Path, language: Language = "python") -> EventSpec:
    return EventSpec("OrderPlaced", "", "", file=find_event(root, "OrderPlaced", language))


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_what_was_just_generated_is_up_to_date(shop: Path):
    assert set(whats(update(shop)).values()) == {"same"}


def test_an_untouched_file_follows_a_changed_template_and_a_second_time_it_is_the_same(shop: Path):
    override(shop, "handler/plain_handler.py")
    found = whats(update(shop))
    assert (found.pop(HANDLER), set(found.values())) == ("updated", {"same"})
    assert (shop / HANDLER).read_text().startswith("# A team's own.\n")
    assert set(whats(update(shop)).values()) == {"same"}


def test_only_looking_writes_nothing(shop: Path):
    override(shop, "handler/plain_handler.py")
    before = {file: file.read_bytes() for file in shop.rglob("*") if file.is_file()}
    assert whats(update(shop, write=False))[HANDLER] == "updated"
    assert {file: file.read_bytes() for file in shop.rglob("*") if file.is_file()} == before


def test_what_somebody_changed_or_deleted_stays_and_is_named(shop: Path):
    for template in ("plain_handler.py", "plain_test.py", "event.py"):
        override(shop, f"handler/{template}")
    mine = (shop / HANDLER).read_text() + "\n# Mine.\n"
    (shop / HANDLER).write_text(mine)
    (shop / TEST).unlink()
    change(shop / EVENT, "order_id", "number")
    found = whats(update(shop))
    assert (found[HANDLER], found[TEST], found[EVENT]) == ("yours: changed", "yours: deleted", "yours: changed")
    assert (shop / HANDLER).read_text() == mine and not (shop / TEST).exists()


def test_a_handler_takes_its_event_as_it_was_edited(shop: Path):
    add_handler(shop, HandlerSpec("two", placed(shop), filter={"total": [5]}))
    change(shop / EVENT, "total: Annotated[int, Field(examples=[5])]", "total: Annotated[int, Field(examples=[6])]")
    (shop / EVENT).rename(shop / "events/orders.py")
    override(shop, "handler/plain_handler.py")
    found = whats(update(shop))
    assert (found[HANDLER], found["handlers/two/handler.py"]) == ("updated", "updated")
    assert found[EVENT] == "yours: deleted"
    assert "from events.orders import OrderPlaced" in (shop / HANDLER).read_text()
    assert load_project(shop).manifest.events[0].file == "events/orders.py"


def test_a_handler_whose_event_is_gone_is_told_while_others_go_on(shop: Path):
    add_handler(shop, HandlerSpec("two", EventSpec("OrderPaid", "shop", "Order Paid")))
    (shop / EVENT).unlink()
    override(shop, "handler/plain_handler.py")
    found = whats(update(shop))
    assert found[RECORD] == "failed: the event OrderPlaced is gone"
    assert found["handlers/two/handler.py"] == "updated"
    assert "own" not in (shop / HANDLER).read_text()


def test_one_may_be_named(shop: Path):
    add_handler(shop, HandlerSpec("two", placed(shop)))
    override(shop, "handler/plain_handler.py")
    assert generated_names(shop) == ["one", "two"]
    assert "handlers/two/handler.py" not in whats(update(shop, ["one"]))
    assert whats(update(shop))["handlers/two/handler.py"] == "updated"


def test_an_event_that_is_no_text_fails_the_handlers_that_take_it(shop: Path):
    (shop / EVENT).write_bytes(b"\xff")
    assert whats(update(shop))[RECORD].startswith(f"failed: {shop / EVENT} is not Python: ")


def test_a_sample_that_somebody_changed_decides_what_its_test_says(shop: Path):
    add_handler(shop, HandlerSpec("two", placed(shop), filter={"total": [5]}))
    change(shop / "handlers/two/sample.json", '"total": 5', '"total": 6')
    found = whats(update(shop))
    assert (found["handlers/two/sample.json"], found["handlers/two/test_two.py"]) == ("yours: changed", "updated")
    assert "LocalBus" not in (shop / "handlers/two/test_two.py").read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "spell", "spec": {}, "files": {}}', "\udcff"])
def test_a_record_that_is_none_is_named(shop: Path, text: str):
    (shop / RECORD).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BrokenProject, match=r"handlers/one/\.generated\.json: ") as caught:
        update(shop)
    assert "take it back from git" in caught.value.hint


def edit_record(shop: Path, **spec: Any) -> None:
    record = json.loads((shop / RECORD).read_text())
    record["spec"] |= spec
    (shop / RECORD).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"colour": "red"}, "made by another version of Busway: this one does not know 'colour'"),
        ({"name": "../../up"}, "a name that the generator would not have made"),
        ({"name": "One"}, "a name that the generator would not have made"),
        (
            {"event": {"class_name": "X:\n import os", "source": "s", "detail_type": "t"}},
            "cannot name an event class",
        ),
        ({"retries": "many"}, "Expected `int | null`, got `str` - at `$.retries`"),
    ],
)
def test_a_record_that_asks_for_what_cannot_be_made_fails_alone(shop: Path, spec: dict[str, Any], said: str):
    add_handler(shop, HandlerSpec("two", placed(shop)))
    edit_record(shop, **spec)
    found = whats(update(shop))
    assert said in found[RECORD] and found["handlers/two/handler.py"] == "same"


def test_a_record_says_only_what_was_asked_for_so_that_an_older_one_loads(shop: Path):
    assert set(records(shop)[RECORD].spec) == {"name", "event"}
    assert set(records(shop)[RECORD].spec["event"]) == {"class_name", "source", "detail_type", "fields"}


def test_every_option_comes_back(tmp_path: Path):
    """What was asked for survives its record: nothing is written anew without a reason."""
    root = tmp_path / "shop"
    new_project(root, "shop")
    common: dict[str, Any] = {
        "rate": "10/s",
        "secrets": ["KEY"],
        "alert": "pagerduty",
        "max_age": "1h",
        "timeout": "1m",
    }
    add_handler(root, HandlerSpec("one", PLACED, is_async=True, retries=0, memory_mb=512, concurrency=4, **common))
    event = placed(root)
    add_handler(root, HandlerSpec("two", event, batch=BatchSpec(50, "2s"), filter={"total": [{"numeric": [">", 3]}]}))
    add_handler(root, HandlerSpec("three", event, body="email", resources=["a@b"]))
    add_handler(root, HandlerSpec("four", SCHEDULED, schedule="rate(5 minutes)"))
    assert set(whats(update(root)).values()) == {"same"}


def test_events_and_rules_follow_their_templates_too(tmp_path: Path):
    root = tmp_path / "shop"
    new_project(root, "shop")
    add_event(root, PLACED)
    targets = rule_targets(["queue:audit", "stream:all"], JobFlags())
    add_rule(root, RuleSpec("big_orders", placed(root), targets, {"total": [5]}, "pagerduty"))
    assert generated_names(root) == ["big-orders", "order_placed"]
    assert [rule.name for rule in read_rules(root)] == ["big-orders"]
    assert set(whats(update(root)).values()) == {"same"}
    override(root, "handler/event.py", '"""Ours."""\n')
    override(root, "rule/rule_test.py")
    wanted = {EVENT: "updated", "rules/big-orders.json": "same", "rules/test_big_orders.py": "updated"}
    assert whats(update(root)) == wanted
    # A rule's pattern is made of its event, and follows it.
    change(root / EVENT, 'source="shop"', 'source="com.shop"')
    assert whats(update(root))["rules/big-orders.json"] == "updated"
    assert read_rules(root)[0].rule.event_pattern["source"] == ["com.shop"]


def test_what_is_in_typescript_follows_its_templates_too(tmp_path: Path):
    root = tmp_path / "shop"
    new_project(root, "shop", language="typescript")
    add_handler(root, HandlerSpec("send_receipt", PLACED, language="typescript", retries=1))
    assert set(whats(update(root)).values()) == {"same"}
    override(root, "handler/plain_handler.ts", "// A team's own.\n")
    override(root, "handler/event.ts", "// A team's own.\n")
    found = whats(update(root))
    assert (found["handlers/send-receipt/handler.ts"], found["events/order-placed.ts"]) == ("updated", "updated")
    assert set(whats(update(root)).values()) == {"same"}


def test_a_folder_that_was_moved_is_told_and_left(shop: Path):
    override(shop, "handler/plain_handler.py")
    (shop / "handlers/one").rename(shop / "handlers/other")
    assert whats(update(shop)) == {"handlers/other/.generated.json": "yours: moved from handlers/one"}


def test_a_file_that_somebody_put_where_a_template_would_is_left(shop: Path):
    record = json.loads((shop / RECORD).read_text())
    del record["files"][TEST]
    (shop / RECORD).write_text(json.dumps(record))
    (shop / TEST).write_text("# Mine.\n")
    assert whats(update(shop))[TEST] == "yours: not written by the generator"
    (shop / TEST).unlink()
    assert whats(update(shop))[TEST] == "updated" and (shop / TEST).exists()


def test_what_was_deleted_can_be_generated_again(shop: Path):
    add_event(shop, EventSpec("OrderPaid", "shop", "Order Paid"))
    (shop / "events/order_paid.py").unlink()
    add_event(shop, EventSpec("OrderPaid", "shop", "It is paid"))
    assert set(whats(update(shop)).values()) == {"same"}


def test_no_record_gets_into_what_is_deployed(shop: Path):
    add_event(shop, EventSpec("OrderPaid", "shop", "Order Paid"))
    assert len(records(shop)) == 2
    names = zipfile.ZipFile(io.BytesIO(zip_code(shop)["ZipFile"])).namelist()
    assert HANDLER in names and not [name for name in names if "generated" in name]
