"""What the generator asks on a terminal, and what it writes by the answers. None is typed before its question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from busway.cli import main
from busway.cli.prompts import by_letters
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_event, add_handler
from busway.road.project_files import init_project, new_project

from .terminal import CLEAR, DOWN, INTERRUPT, on_a_terminal

PLACED = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["order-id:str", "total:int=5"]))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with three events, of which one has samples: 5 and 500."""
    root = tmp_path / "shop"
    new_project(root, "shop")
    add_handler(root, HandlerSpec("one", PLACED))
    sample = json.loads((root / "handlers/one/sample.json").read_text())
    (root / "handlers/one/events").mkdir()
    (root / "handlers/one/events/large.json").write_text(json.dumps({**sample, "detail": {"total": 500}}))
    for name in ("OrderPaid", "StockMoved"):
        add_event(root, EventSpec(name, "shop", name))
    monkeypatch.chdir(root)
    return root


def handler_text(shop: Path, name: str) -> str:
    return (shop / f"handlers/{name}/handler.py").read_text()


EVENT = "Which event does it take? Enter for OrderPaid, letters find others"
# From the template to the alert, each as it is proposed.
REST = [
    ("What should it do at first?", "\r"),
    ("Only some of these events?", "\r"),
    ("Tries after a first failed one?", "\r"),
    ("At most how many at a time, or empty for no limit", "\r"),
    ("Given up when older than?", "\r"),
    ("Alert route that is told of dead letters, or empty", "\r"),
]


def test_batches_can_be_chosen_and_an_impossible_one_is_mended(shop: Path):
    batch = "At most how many in a batch, and how long to wait for them (100/5s)?"
    on_a_terminal(
        ["add", "handler"],
        [
            ("Name of the handler?", "post-orders\r"),
            ("What triggers it?", f"{DOWN}\r"),
            (batch, f"{CLEAR}50/9m\r"),
            ("AWS allows 0 to 300", f"{CLEAR}50/9s\r"),
            (EVENT, "OrderPlaced\r"),
            ("Only some of these events?", "\r"),
            ("Given up when older than?", "\r"),
            ("Alert route", "pagerduty\r"),
        ],
    )
    written = handler_text(shop, "post_orders")
    assert '@batch_handler(OrderPlaced, size=50, window="9s", retries=5, alert="pagerduty")' in written


def test_a_schedule_can_be_chosen_and_no_event_is_asked_for(shop: Path):
    seen = on_a_terminal(
        ["add", "handler", "nightly"],
        [
            ("What triggers it?", f"{DOWN}{DOWN}\r"),
            ("When, in UTC? For example", f"{CLEAR}daily\r"),
            ("schedule 'daily'", f"{CLEAR}cron(0 2 * * ? *)\r"),
            ("Tries after a first failed one?", "\r"),
            ("At most how many at a time", "\r"),
            ("Given up when older than?", "\r"),
            ("Alert route", "\r"),
        ],
    )
    assert '@handler(ScheduledEvent, schedule="cron(0 2 * * ? *)", retries=2)' in handler_text(shop, "nightly")
    assert "Which event" not in seen and "Only some" not in seen


def test_a_filter_is_tried_while_it_is_typed_and_a_wrong_one_is_mended(shop: Path):
    answers = [
        ("Only some of these events? A pattern over the detail such as", '{"total": 5}'),
        ("not yet: the filter: Event pattern is not valid", "\r"),
        ("the filter: Event pattern is not valid", f'{CLEAR}{{"total": [{{"numeric": [">", 99]}}]}}'),
        ("the filter matches 1 of 2 samples: handlers/one/events/large.json", f'{CLEAR}{{"total": [6]}}'),
        ("the filter matches none of 2 samples", f'{CLEAR}{{"total": [5]}}'),
        ("the filter matches 1 of 2 samples: handlers/one/sample.json", "\r"),
    ]
    on_a_terminal(
        ["add", "handler", "large", "--event", "OrderPlaced"],
        [REST[0], *answers, *REST[2:]],
    )
    assert 'filter={"total": [5]}' in handler_text(shop, "large")


@pytest.mark.parametrize(
    ("typed", "told", "taken"),
    [
        ("", "", "OrderPaid"),
        ("stm", "takes StockMoved", "StockMoved"),
        ("ordpl", "takes OrderPlaced", "OrderPlaced"),
        ("Order", "makes a new event, Order", "Order"),
    ],
)
def test_an_event_of_the_catalogue_is_found_by_some_letters(shop: Path, typed: str, told: str, taken: str):
    answers = [(EVENT, typed or "\r"), *([(told, "\r")] if typed else [])]
    new = (
        [("Who puts it on the bus", "\r"), ("Its detail-type?", "\r"), ("A field", "\r")] if taken == "Order" else []
    )
    on_a_terminal(["add", "handler", "two"], [("What triggers it?", "\r"), *answers, *new, *REST])
    assert f"def two(event: {taken})" in handler_text(shop, "two")
    assert (shop / "events/order.py").exists() == (taken == "Order")


@pytest.mark.parametrize(
    ("letters", "found"),
    [
        ("paid", "OrderPaid"),
        ("ol", "OrderPlaced"),
        ("OrderPaid", "OrderPaid"),
        ("Paid", "Paid"),
        ("xyz", "xyz"),
        ("", ""),
    ],
)
def test_small_letters_find_the_word_that_has_them_closest_together(letters: str, found: str):
    assert by_letters(letters, ["OrderPlaced", "OrderPaid", "StockMoved"]) == found


def test_concurrency_and_max_age_are_asked_and_refused_while_they_can_be_mended(shop: Path):
    on_a_terminal(
        ["add", "handler", "slow", "--event", "OrderPaid"],
        [
            *REST[:2],
            ("Tries after a first failed one?", "\r"),
            ("At most how many at a time", "many\r"),
            ("'many' is no number", f"{CLEAR}4\r"),
            ("Given up when older than?", f"{CLEAR}9h\r"),
            ("AWS allows 60 to 21600", f"{CLEAR}2h\r"),
            ("Alert route", "\r"),
        ],
    )
    assert '@handler(OrderPaid, retries=2, max_age="2h", concurrency=4)' in handler_text(shop, "slow")


def test_in_a_project_of_two_languages_it_is_asked_which(shop: Path):
    init_project(shop, "shop", language="typescript")
    new = [("Who puts it on the bus", "\r"), ("Its detail-type?", "\r"), ("A field", "\r")]
    language = ("In which language?", f"{DOWN}\r")
    seen = on_a_terminal(["add", "event"], [language, ("Name of the event", "OrderSent\r"), new[0], new[2]])
    assert (shop / "events/order-sent.ts").exists()
    # One that was said is not asked for.
    seen = on_a_terminal(["add", "event", "OrderLost", "--language", "python"], [new[0], new[2]])
    assert "In which language?" not in seen and (shop / "events/order_lost.py").exists()


def test_an_event_is_asked_for_field_by_field(shop: Path):
    fields = ("A field (name:type, type? if it may be missing, =sample), or empty:", "sku:str?=x-1\r")
    answers = [
        ("Name of the event (a class)?", "1st\r"),
        ("cannot name an event class", f"{CLEAR}StockLow\r"),
        ("Who puts it on the bus (source)?", f"{CLEAR}com.example.Stock\r"),
        fields,
        (fields[0], "left:money\r"),
        ("has the type 'money'", f"{CLEAR}left:int\r"),
        (fields[0], "\r"),
    ]
    seen = on_a_terminal(["add", "event"], answers)
    written = (shop / "events/stock_low.py").read_text()
    assert 'source="com.example.Stock", detail_type="Stock Low"' in written
    assert "left: int" in written and 'examples=["x-1"]' in written
    assert "next: `busway add handler NAME --event StockLow`" in seen


def test_an_event_of_a_schema_that_names_no_source_is_asked_who_puts_it(shop: Path):
    (shop / "x.json").write_text('{"type": "object", "properties": {"a": {"type": "string"}}}')
    on_a_terminal(["add", "event", "Thing", "--from-schema", "x.json"], [("Who puts it on the bus (source)?", "\r")])
    assert 'source="shop", detail_type="Thing"' in (shop / "events/thing.py").read_text()


def test_a_schedule_is_asked_for(shop: Path):
    answers = [
        ("Name of the handler?", "poll\r"),
        ("When, in UTC? For example", "\r"),
        ("Alert route", "pagerduty\r"),
    ]
    seen = on_a_terminal(["add", "schedule"], answers)
    assert 'schedule="rate(5 minutes)", retries=2, alert="pagerduty"' in handler_text(shop, "poll")
    assert "busway invoke poll" in seen


def test_a_rule_is_asked_for(shop: Path):
    where = "Where do they go (queue:NAME, stream:NAME, bus:NAME, handler:NAME, a job on AWS or an ARN)?"
    answers = [
        ("Name of the rule?", "large-orders\r"),
        ("Which event? Enter for OrderPaid, letters find others", "nothing"),
        ("not yet: there is no event 'nothing'", f"{CLEAR}placed"),
        ("takes OrderPlaced", "\r"),
        ("Only some of these events?", '{"total": [500]}'),
        ("the filter matches 1 of 2 samples", "\r"),
        (where, f"{CLEAR}topic:x\r"),
        ("'topic:x' is no target", f"{CLEAR}stream:audit\r"),
        ("Alert route", "pagerduty\r"),
    ]
    on_a_terminal(["add", "rule"], answers)
    rule: dict[str, Any] = json.loads((shop / "rules/large-orders.json").read_text())
    assert rule["EventPattern"]["detail-type"] == ["Order Placed"]
    assert (rule["EventPattern"]["detail"], rule["Alert"]) == ({"total": [500]}, "pagerduty")
    assert rule["Targets"] == [{"Stream": "audit"}]


FIRST = [
    (["add", "handler"], [("Name of the handler?", "x\r"), ("What triggers it?", "\r"), (EVENT, INTERRUPT)]),
    (["add", "event"], [("Name of the event", "Thing\r"), ("Who puts it on the bus", INTERRUPT)]),
    (["add", "schedule"], [("Name of the handler?", "x\r"), ("When, in UTC?", INTERRUPT)]),
    (["add", "rule"], [("Name of the rule?", "x\r"), ("Which event?", INTERRUPT)]),
]


@pytest.mark.parametrize(("words", "answers"), FIRST, ids=[words[1] for words, _ in FIRST])
def test_ctrl_c_at_a_question_writes_nothing_and_exits_130(
    shop: Path, words: list[str], answers: list[tuple[str, str]]
):
    before = sorted(shop.rglob("*"))
    seen = on_a_terminal(words, answers, code=130)
    assert "Traceback" not in seen
    assert [file for file in sorted(shop.rglob("*")) if "__pycache__" not in file.parts] == [
        file for file in before if "__pycache__" not in file.parts
    ]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["handler"], "NAME and --event are missing"),
        (["event"], "NAME and --source are missing"),
        (["event", "--from-schema", "pyproject.toml"], "NAME is missing"),
        (["schedule"], "NAME and EXPRESSION are missing"),
        (["schedule", "x"], "EXPRESSION is missing"),
        (["rule"], "NAME, --event and --to are missing"),
    ],
)
def test_without_a_terminal_the_flags_are_named_and_it_exits_2(
    shop: Path, words: list[str], named: str, capfd: pytest.CaptureFixture[str]
):
    assert main(["add", *words]) == 2
    said = capfd.readouterr().err
    assert f"error: {named}, and there is no terminal to ask on; for example:\n  busway add {words[0]} " in said


@pytest.mark.parametrize(
    ("there", "words", "settings"),
    [
        ({}, [], "pyproject.toml"),
        ({"package.json": "{}"}, [], "package.json"),
        ({"package.json": "{}", "pyproject.toml": ""}, [], "pyproject.toml"),
        ({"package.json": "{}"}, ["--language", "python"], "pyproject.toml"),
    ],
)
def test_init_takes_the_language_that_the_folder_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: dict[str, str], words: list[str], settings: str
):
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in there.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    assert main(["init", *words]) == 0
    assert "busway" in (folder / settings).read_text()


def test_a_new_project_s_name_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    question = "Name of the project, and of its folder?"
    on_a_terminal(["new"], [(question, "1st\r"), ("cannot name a project", f"{CLEAR}shop\r")])
    assert (tmp_path / "shop/pyproject.toml").exists()
    assert main(["new"]) == 2
