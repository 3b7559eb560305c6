from __future__ import annotations

import json
from pathlib import Path

import pytest

from busway.cli import main

from .terminal import on_a_terminal


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "shop"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


def test_new_tells_the_files_it_wrote_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my_shop", "--bus", "orders", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["project"] == "my-shop"
    assert set(told["files"]) == {str(f.relative_to("my_shop")) for f in Path("my_shop").rglob("*") if f.is_file()}
    assert main(["new", "my_shop"]) == 1
    assert "is not empty" in capfd.readouterr().err


NEW_EVENT = ["--event", "OrderPlaced", "--source", "shop", "--detail-type", "Order Placed", "--field", "id:str"]


def test_every_flag_given_asks_nothing(shop: Path, capfd: pytest.CaptureFixture[str]):
    words = ["add", "handler", "send-receipt", *NEW_EVENT, "--alert", "pagerduty", "--retries", "1", "--json"]
    capfd.readouterr()
    assert main(words) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["handler"] == "send_receipt"
    assert (shop / "handlers/send_receipt/handler.py").exists()


def test_a_handler_of_batches_is_one_flag_away(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "post-orders", *NEW_EVENT, "--batch", "50/2s", "--alert", "pagerduty"]) == 0
    written = (shop / "handlers/post_orders/handler.py").read_text()
    assert '@batch_handler(OrderPlaced, size=50, window="2s", retries=5, alert="pagerduty")' in written
    assert "def post_orders(events: list[OrderPlaced]) -> list[OrderPlaced]:" in written
    capfd.readouterr()
    for wrong, problem in (("50", "is no size of batches"), ("50/6m", "AWS allows 0 to 300"), ("0/1s", "0 events")):
        assert main(["add", "handler", "again", "--event", "OrderPlaced", "--batch", wrong]) == 1
        assert problem in capfd.readouterr().err
    words = ["add", "handler", "again", "--event", "OrderPlaced", "--batch", "50/2s", "--template", "email"]
    assert main(words) == 1
    assert "one event at a time" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "missing", "example"),
    [
        (
            [],
            "NAME, --event and --source are",
            "send-receipt --event OrderPlaced --source shop --field order-id:str",
        ),
        (["x"], "--event and --source are", "x --event OrderPlaced --source shop"),
        (["x", "--event", "New"], "--source is", "x --event New --source shop --field"),
    ],
)
def test_without_a_terminal_all_that_is_missing_is_named_with_2_and_an_example(
    shop: Path, words: list[str], missing: str, example: str, capfd: pytest.CaptureFixture[str]
):
    assert main(["add", "handler", *words]) == 2
    said = capfd.readouterr().err
    assert f"error: {missing} missing, and there is no terminal to ask on; for example:\n  busway add handler" in said
    assert f"busway add handler {example}" in said
    assert [p.name for p in (shop / "handlers").iterdir()] == ["__init__.py"]


def test_the_example_takes_an_event_that_is_there(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    assert main(["add", "handler"]) == 2
    said = capfd.readouterr().err
    assert "error: NAME and --event are missing" in said
    assert "busway add handler send-receipt --event OrderPlaced\n" in said


@pytest.mark.parametrize("more", [[], ["--batch", "50/2s"]])
def test_a_handler_may_have_a_rate(shop: Path, more: list[str], capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "post-orders", *NEW_EVENT, *more, "--rate", "10/s"]) == 0
    assert 'rate="10/s"' in (shop / "handlers/post_orders/handler.py").read_text()
    assert main(["add", "handler", "again", "--event", "OrderPlaced", "--rate", "often"]) == 1
    assert "'often' is no rate; wanted 1 to" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--event", "Decimal"], 1, "'Decimal' cannot name an event class: generated files use that name already"),
        (["--filter", "{"], 1, "--filter is not a JSON object"),
        (["--filter", '{"a": "b"}'], 1, "--filter: Event pattern is not valid"),
        (["--retries", "3"], 1, "at most 2"),
        (["--field", "a:money"], 1, "has the type 'money'"),
        (["--template", "fax"], 1, "there is no template 'fax'; there are email, plain"),
    ],
)
def test_what_could_not_run_is_refused_and_nothing_is_written(
    shop: Path, words: list[str], code: int, problem: str, capfd: pytest.CaptureFixture[str]
):
    assert main(["add", "handler", "x", *NEW_EVENT, *words]) == code
    assert problem in capfd.readouterr().err
    assert not (shop / "handlers/x").exists()
    assert not (shop / "events/order_placed.py").exists()


def test_a_new_event_s_detail_type_is_its_name_as_words(shop: Path):
    assert main(["add", "handler", "one", "--event", "OrderPlaced", "--source", "shop"]) == 0
    assert 'detail_type="Order Placed"' in (shop / "events/order_placed.py").read_text()


def test_blanks_around_source_and_detail_type_are_nobodys_meaning(shop: Path):
    words = ["--event", "OrderPlaced", "--source", " shop ", "--detail-type", "Order Placed "]
    assert main(["add", "handler", "one", *words]) == 0
    assert 'source="shop", detail_type="Order Placed"' in (shop / "events/order_placed.py").read_text()


def test_a_handler_is_not_called_as_what_its_files_import(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "handler", *NEW_EVENT]) == 1
    assert "hint: for example: handle-handler" in capfd.readouterr().err
    assert main(["add", "schedule", "test", "rate(1 day)"]) == 1
    assert "pytest takes it for a test" in capfd.readouterr().err


def test_details_of_an_event_that_is_there_are_refused(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    assert main(["add", "handler", "two", *NEW_EVENT]) == 1
    assert "OrderPlaced is there already, in events/order_placed.py" in capfd.readouterr().err
    assert main(["add", "handler", "two", "--event", "OrderPlaced"]) == 0


@pytest.mark.parametrize("words", [["handler", "two"], ["rule", "two", "--to", "queue:audit"]])
def test_an_event_is_found_by_letters_on_the_command_line_too_and_a_slip_is_named(
    words: list[str], shop: Path, capfd: pytest.CaptureFixture[str]
):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    for slip in ("OrderPlacd", "oderplacedd"):
        capfd.readouterr()
        assert main(["add", *words, "--event", slip]) == 1
        assert f"error: there is no event {slip!r}; did you mean OrderPlaced?" in capfd.readouterr().err
    assert main(["add", *words, "--event", "ordpl", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["event"] == "OrderPlaced"


def test_what_is_said_of_a_new_event_makes_one_whose_name_is_near(shop: Path):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    words = ["add", "handler", "two", "--event", "order", "--source", "shop", "--detail-type", "Order"]
    assert main(words) == 0
    words = [
        "add",
        "handler",
        "three",
        "--event",
        "OrderPlacedd",
        "--source",
        "shop",
        "--detail-type",
        "Order Placedd",
    ]
    assert main(words) == 0
    assert (shop / "events/order.py").exists() and (shop / "events/order_placedd.py").exists()


# What a person types at each question, after the question was seen.
ANSWERS = [
    ("Name of the handler?", "send-receipt\r"),
    ("What triggers it?", "\r"),
    ("Name of the new event", "OrderPlaced\r"),
    # The project's name stands there.
    ("Who puts it on the bus", "\x15com.example.Shop\r"),
    ("Its detail-type?", "\r"),
    ("A field", "order-id:str\r"),
    ("A field", "\r"),
    ("What should it do at first?", "\r"),
    ("Only some of these events?", "\r"),
    ("Tries after a first failed one?", "\r"),
    ("At most how many at a time", "4\r"),
    ("Given up when older than?", "\x153h\r"),
    ("Alert route", "pagerduty\r"),
]


def test_on_a_terminal_every_question_is_asked(shop: Path):
    on_a_terminal(["add", "handler"], ANSWERS)
    event = (shop / "events/order_placed.py").read_text()
    assert 'source="com.example.Shop", detail_type="Order Placed"' in event
    assert 'order_id: Annotated[str, Field(alias="order-id")]' in event
    written = (shop / "handlers/send_receipt/handler.py").read_text()
    assert '@handler(OrderPlaced, retries=2, max_age="3h", concurrency=4, alert="pagerduty")' in written


def test_on_a_terminal_an_event_that_is_there_is_chosen(shop: Path):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    on_a_terminal(["add", "handler", "two", "--yes"], [("Which event does it take?", "\r")])
    assert "def two(event: OrderPlaced)" in (shop / "handlers/two/handler.py").read_text()


def test_on_a_terminal_the_source_is_proposed(shop: Path):
    words = ["two", "--event", "OrderPlaced", "--detail-type", "Order", "--field", "a:str", "--yes"]
    on_a_terminal(["add", "handler", *words], [("Who puts it on the bus", "\r")])
    assert 'source="shop"' in (shop / "events/order_placed.py").read_text()
