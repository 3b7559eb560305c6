"""The page of events: what it tells, and that nothing a project calls its things becomes markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from busway.cli import main
from busway.road.catalogue.facts import owner_of
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
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


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "</pre>"]
)
def test_whatever_things_are_called_ends_as_text(shop: Path, text: str):
    field = text.replace(":", "").replace("=", "")
    event = EventSpec("Hostile", text, text, parse_fields([f"{field}:str={text}"]))
    add_handler(shop, HandlerSpec("h", event, filter={text: [text]}))
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
