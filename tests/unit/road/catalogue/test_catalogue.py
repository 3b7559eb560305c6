"""The page of events: what it tells, and that nothing a project calls its things becomes markup."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from busway.cli import main
from busway.road.catalogue.facts import may_take, owner_of
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_event, add_handler
from busway.road.manifest import EventEntry
from busway.road.project_files import new_project


class Words(HTMLParser):
    """The text of a page, and every tag in it."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.text += " "
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(file: Path) -> Words:
    words = Words()
    words.feed(file.read_text(encoding="utf-8"))
    return words


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shop"
    new_project(root, "shop")
    monkeypatch.chdir(root)
    return root


def test_an_event_is_told_with_its_fields_handlers_owners_producers_and_versions(shop: Path):
    event = EventSpec("OrderPlaced", "com.example.Shop", "Order Placed", parse_fields(["order-id:str", "n:int?"]))
    add_handler(shop, HandlerSpec("send_receipt", event, alert="pagerduty"))
    (shop / "CODEOWNERS").write_text("* @everyone\n/handlers/send_receipt/ @mail-team\n")
    (shop / "checkout.py").write_text("OrderPlaced(order_id='7').publish()\n")
    who = ["-c", "user.name=x", "-c", "user.email=x@y"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "orders can be placed"]):
        subprocess.run(["git", *words], cwd=shop, check=True)
    assert main(["catalog"]) == 0
    told = re.sub(r"\s+", " ", read(shop / "catalog/index.html").text)
    for words in (
        "OrderPlaced", "Order Placed from com.example.Shop", "events/order_placed.py · @everyone", "order-id string",
        "n integer or null optional", "send-receipt alert pagerduty", "@mail-team · 2 retries", "checkout.py",
        "orders can be placed",
    ):  # fmt: skip
        assert words in told, words


def test_members_of_members_are_told_too_also_of_one_that_holds_itself(shop: Path):
    (shop / "events/tree.py").write_text(
        "from __future__ import annotations\nfrom busway import Event\nfrom pydantic import BaseModel\n\n\n"
        "class Node(BaseModel):\n    value: int\n    kids: list[Node] = []\n\n\n"
        "class Grown(Event, source='s', detail_type='Grown'):\n    root: Node\n"
    )
    assert main(["catalog", "--out", "site"]) == 0
    told = read(shop / "site/index.html").text
    assert "root.value" in told and "root.kids" in told and "root.kids[].value" not in told


def put_rule(shop: Path, name: str, pattern: dict[str, Any]) -> None:
    (shop / "rules").mkdir(exist_ok=True)
    rule = {"EventPattern": pattern, "Targets": [{"Queue": "audit"}, {"Stream": "all"}], "Alert": "pagerduty"}
    (shop / "rules" / f"{name}.json").write_text(json.dumps(rule))


def test_a_rule_that_takes_the_event_is_told_beside_the_handlers(shop: Path):
    event = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["total:int=5"]))
    add_handler(shop, HandlerSpec("send_receipt", event))
    put_rule(shop, "big-orders", {"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}})
    put_rule(shop, "others", {"source": ["stock"]})
    (shop / "CODEOWNERS").write_text("/rules/ @audit-team\n")
    assert main(["catalog"]) == 0
    told = re.sub(r"\s+", " ", read(shop / "catalog/index.html").text)
    assert "send-receipt handlers/send_receipt/handler.py" in told
    assert "big-orders alert pagerduty rules/big-orders.json · @audit-team · rule, to Queue audit, Stream all" in told
    assert "others" not in told


ENTRY = EventEntry(name="A", file="events/a.py", source="com.shop", detail_type="Order Placed", sample={})


@pytest.mark.parametrize(
    ("pattern", "takes"),
    [
        ({"source": ["com.shop"], "detail-type": ["Order Placed"], "detail": {"total": [1]}}, True),
        ({"source": [{"prefix": "com."}]}, True),
        ({"detail-type": [{"anything-but": ["Order Placed"]}]}, False),
        ({"source": ["com.shop"], "detail-type": ["Order Paid"]}, False),
        ({"account": ["123456789012"]}, True),
        ({"$or": [{"source": ["x"]}, {"detail-type": ["Order Placed"]}]}, True),
        ({"source": ["com.shop"], "$or": [{"source": ["x"]}, {"detail-type": ["y"]}]}, False),
    ],
)
def test_a_pattern_is_told_of_events_that_some_of_their_kind_fit(pattern: dict[str, Any], takes: bool):
    assert may_take(pattern, ENTRY) is takes


def test_a_handler_of_another_class_of_the_same_event_is_told_too(shop: Path):
    add_handler(shop, HandlerSpec("one", EventSpec("OrderPlaced", "shop", "Order Placed")))
    add_handler(shop, HandlerSpec("two", EventSpec("OrderSeen", "shop", "Order Placed")))
    assert main(["catalog"]) == 0
    told = re.sub(r"\s+", " ", read(shop / "catalog/index.html").text)
    assert told.count("handlers/one/handler.py") == told.count("handlers/two/handler.py") == 2


def test_what_mentions_an_event_is_neither_a_test_nor_what_was_installed(shop: Path, monkeypatch: pytest.MonkeyPatch):
    add_event(shop, EventSpec("OrderPlaced", "shop", "Order Placed"))
    for name in (
        "web/checkout.ts", "web/checkout.test.ts", "test_checkout.py", "node_modules/a/index.js", "dist/out.js",
        ".venv/lib/a.py", "web/node_modules/b/index.js", "events/more.py",
    ):  # fmt: skip
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / name).write_text("// OrderPlaced\n" if name.endswith("s") else "# OrderPlaced\n")
    (shop / "web/gone.ts").symlink_to("nowhere.ts")
    walked = list[str]()
    walk = os.walk

    def noting(root: Path) -> Iterator[Any]:
        for step in walk(root):
            walked.append(str(Path(step[0]).relative_to(shop)))
            yield step

    monkeypatch.setattr(os, "walk", noting)
    assert main(["catalog"]) == 0
    assert "<p><code>web/checkout.ts</code></p>" in (shop / "catalog/index.html").read_text()
    # What is left out is not even looked through: node_modules may hold a hundred thousand files.
    assert {"web"} <= set(walked) <= {".", "web", "catalog"}


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "</pre>"]
)
def test_whatever_things_are_called_ends_as_text(shop: Path, text: str):
    field = text.replace(":", "").replace("=", "")
    event = EventSpec("Hostile", text, text, parse_fields([f"{field}:str={text}"]))
    add_handler(shop, HandlerSpec("h", event, filter={field.strip(): [text]}))
    (shop / "CODEOWNERS").write_text(f"* {text}\n")
    assert main(["catalog"]) == 0
    words = read(shop / "catalog/index.html")
    assert text in words.text and "img" not in words.tags
    assert (shop / "catalog/index.html").read_text().count("<script>") == 1


def test_a_project_without_events_says_how_to_get_one(shop: Path):
    assert main(["catalog"]) == 0
    assert "busway add event" in read(shop / "catalog/index.html").text


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("events/a.py", "@all"),
        ("handlers/x/handler.py", "@x"),
        ("handlers/y/handler.py", "@handlers"),
        ("a.md", "@docs"),
    ],
)
def test_the_last_line_of_codeowners_that_fits_wins(file: str, owner: str):
    rules = [("*", "@all"), ("/handlers/", "@handlers"), ("handlers/x", "@x"), ("*.md", "@docs")]
    assert owner_of(file, rules) == owner


@pytest.mark.needs("chromium")
def test_a_browser_finds_an_event_by_what_is_typed(shop: Path):
    """The page as a browser builds it, with nothing fetched and nothing refused."""
    event = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["n:int"]))
    add_handler(shop, HandlerSpec("one", event))
    assert main(["catalog"]) == 0
    browser = shutil.which("chromium")
    assert browser is not None
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", (shop / "catalog/index.html").as_uri()]
    run = subprocess.run([browser, *words], capture_output=True, text=True, timeout=120, check=False)
    assert "OrderPlaced" in run.stdout and "Refused to" not in run.stderr
