from __future__ import annotations

import ast
import json
import string
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from busway.errors import BrokenProject, EventMismatch, GeneratorRefused, InvalidHandler
from busway.road.event_files import EventSpec, find_event
from busway.road.fields import TYPES, FieldSpec, parse_field, parse_fields
from busway.road.generator import SCHEDULED, BatchSpec, HandlerSpec, add_handler
from busway.road.layout import LINE_LENGTH, laid_out, literal
from busway.road.naming import event_class_name, field_name, handler_name, new_class_name, pascal, snake, words
from busway.road.project import load_project
from busway.road.project_files import new_project

FIELDS = ("notification:str", "ip-address:str=1.2.3.4", "location:str?")
NOTIFICATION = EventSpec(
    "CustomerNotification", "com.benlimmer.Monolith", "Customer Notification", parse_fields(FIELDS)
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    new_project(tmp_path / "shop", "shop")
    return tmp_path / "shop"


def test_a_project_is_at_most_eight_small_files(tmp_path: Path):
    files = new_project(tmp_path / "shop", "shop", bus="orders")
    assert len(files) <= 8
    assert all(len(file.read_text().splitlines()) < 40 for file in files)
    assert tomllib.loads((tmp_path / "shop/pyproject.toml").read_text())["tool"]["busway"] == {
        "bus": "orders",
        "env": {"prod": {"target": "aws"}},
    }


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(GeneratorRefused, match="is not empty"):
        new_project(tmp_path, "shop")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_adding_a_handler_touches_no_file_that_exists(shop: Path):
    before = {file: file.read_bytes() for file in shop.rglob("*") if file.is_file()}
    added = add_handler(shop, HandlerSpec("notify", NOTIFICATION))
    assert {file: file.read_bytes() for file in before} == before
    assert sorted(str(file.relative_to(shop)) for file in added) == [
        "events/customer_notification.py",
        "handlers/notify/handler.py",
        "handlers/notify/sample.json",
        "handlers/notify/test_notify.py",
    ]


def test_what_was_asked_for_is_what_the_project_says(shop: Path):
    asked = HandlerSpec(
        "notify",
        NOTIFICATION,
        retries=1,
        max_age="2h",
        timeout="5s",
        memory_mb=512,
        alert="pagerduty",
        filter={"location": [{"prefix": "Oslo"}]},
        resources=["user@example.com"],
    )
    add_handler(shop, asked)
    manifest = load_project(shop).manifest
    (entry,) = manifest.handlers
    assert (entry.retries, entry.max_age_s, entry.timeout_s, entry.memory_mb, entry.alert) == (
        *(1, 7200, 5, 512),
        "pagerduty",
    )
    assert entry.pattern == {
        "source": ["com.benlimmer.Monolith"],
        "detail-type": ["Customer Notification"],
        "detail": {"location": [{"prefix": "Oslo"}]},
    }
    (event,) = manifest.events
    assert event.sample["detail"] == {"notification": "notification", "ip-address": "1.2.3.4"}
    assert event.sample["resources"] == ["user@example.com"]


def test_a_second_handler_takes_the_event_that_is_there(shop: Path):
    add_handler(shop, HandlerSpec("notify", NOTIFICATION))
    file = find_event(shop, "CustomerNotification")
    assert file == shop / "events/customer_notification.py"
    added = add_handler(shop, HandlerSpec("count", EventSpec("CustomerNotification", "", "", file=file)))
    assert shop / "events/customer_notification.py" not in added
    assert [h.event for h in load_project(shop).manifest.handlers] == ["CustomerNotification"] * 2


def test_a_second_handler_of_an_event_gets_the_sample_of_the_first(shop: Path):
    add_handler(shop, HandlerSpec("notify", NOTIFICATION))
    first = shop / "handlers/notify/sample.json"
    event = find_event(shop, NOTIFICATION.class_name)
    sample = json.loads(first.read_text())
    first.write_text(json.dumps({**sample, "resources": ["order/5"]}))
    add_handler(shop, HandlerSpec("second", EventSpec(NOTIFICATION.class_name, "", "", file=event)))
    second = json.loads((shop / "handlers/second/sample.json").read_text())
    assert (second["resources"], second["detail"]) == (["order/5"], sample["detail"])


def test_nothing_is_written_when_a_file_would_be_overwritten(shop: Path):
    (shop / "handlers/notify").mkdir()
    (shop / "handlers/notify/sample.json").write_text("mine")
    with pytest.raises(GeneratorRefused, match=r"sample\.json exists; nothing was written"):
        add_handler(shop, HandlerSpec("notify", NOTIFICATION))
    assert not (shop / "events/customer_notification.py").exists()
    assert (shop / "handlers/notify/sample.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (HandlerSpec("notify", NOTIFICATION, retries=3), BrokenProject),
        (HandlerSpec("notify", NOTIFICATION, retries=186), InvalidHandler),
        (HandlerSpec("notify", NOTIFICATION, max_age="1 week"), InvalidHandler),
        (
            HandlerSpec("notify", EventSpec("Order", "s", "d", [FieldSpec("total", "decimal", sample="a lot")])),
            EventMismatch,
        ),
    ],
)
def test_what_could_not_run_is_refused_before_anything_is_written(
    shop: Path, change: HandlerSpec, error: type[Exception]
):
    with pytest.raises(error):
        add_handler(shop, change)
    assert not (shop / "handlers/notify").exists()


def test_names_are_made_from_what_people_type():
    assert [snake(t) for t in ("CustomerNotification", "HTTPServer", "send-mail")] == [
        *("customer_notification", "http_server", "send_mail"),
    ]
    assert words("CustomerNotification") == "Customer Notification"
    assert handler_name("Notify-Customer") == "notify_customer"
    assert event_class_name("order placed") == "OrderPlaced"
    assert [field_name(t) for t in ("ip-address", "2nd", "class", "publish", "json", "***")] == [
        *("ip_address", "field_2nd", "class_", "publish_", "json_", "field"),
    ]


@pytest.mark.parametrize("name", ["", "1st", "class", "größe", "x" * 51, "__"])
def test_a_name_that_cannot_be_a_folder_and_a_function_is_refused(name: str):
    with pytest.raises(GeneratorRefused, match="cannot name a handler"):
        handler_name(name)


@pytest.mark.parametrize("name", ["../up", "a b; import os", "a/b", "{{ x }}"])
def test_a_hostile_name_becomes_a_harmless_one(name: str):
    assert handler_name(name).isidentifier()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (":str", "has no name"),
        ("total:money", "has the type 'money'"),
        ("total:int=many", "sample 'many' is not JSON"),
        ("u:uuid=1", "sample '1': .*wanted a value of type uuid"),
        ("w:datetime=nonsense", "sample 'nonsense': .*wanted a value of type datetime"),
        ("d:date=2020-13-45", "sample '2020-13-45': .*wanted a value of type date"),
        ("x:decimal=abc", "sample 'abc': .*wanted a value of type decimal"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_by_name(text: str, problem: str):
    with pytest.raises(GeneratorRefused, match=problem):
        parse_field(text)


def test_two_fields_that_would_get_one_name_are_refused():
    with pytest.raises(GeneratorRefused, match="'a-b' and 'a_b' would both be called a_b"):
        parse_fields(["a-b", "a_b"])


# Quotes, template syntax, Python, line ends, look-alikes: none of it may reach code as anything but a literal.
HOSTILE = st.one_of(
    st.text(min_size=1, max_size=30),
    st.sampled_from(
        [
            '"); import os; os.abort() #',
            "'''",
            '"""',
            "{{ 7 * 7 }}",
            "{% for x in y %}",
            "\\",
            "a\nb",
            "аdmin",
            "{x!r}",
            "%s",
            "\u2028",
            "None",
        ]
    ),
).filter(lambda text: text.strip() and not any("\ud800" <= c <= "\udfff" for c in text))


@settings(max_examples=60, deadline=None)
@given(source=HOSTILE, detail_type=HOSTILE, wire_name=HOSTILE, sample=HOSTILE)
def test_hostile_text_ends_as_literals_in_code_that_parses(
    source: str, detail_type: str, wire_name: str, sample: str
):
    field = wire_name.replace("=", "").replace(":", "") or "x"
    if not field.strip():
        field = "x"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        new_project(root, "hostile")
        event = EventSpec("Hostile", source, detail_type, parse_fields([f"{field}:str={sample}"]))
        files = add_handler(root, HandlerSpec("hostile", event))
        tree = ast.parse((root / "events/hostile.py").read_text(encoding="utf-8"))
        for file in files:
            if file.suffix == ".py":
                ast.parse(file.read_text(encoding="utf-8"))
        (cls,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        values = {k.arg: ast.literal_eval(k.value) for k in cls.keywords}
        assert values == {"source": source, "detail_type": detail_type}
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert set(calls) <= {"Field"}
        written = json.loads((root / "handlers/hostile/sample.json").read_text(encoding="utf-8"))
        assert written["detail"] == {field.strip(): sample}


@given(st.text(string.printable, max_size=20))
def test_a_literal_reads_back_as_what_it_was(text: str):
    assert ast.literal_eval(literal(text)) == text
    assert ast.literal_eval(literal({text: [text, 1, None]})) == {text: [text, 1, None]}


@given(
    st.recursive(
        st.text(string.printable, max_size=9), lambda kids: st.lists(kids) | st.dictionaries(st.text(), kids)
    )
)
def test_however_it_is_laid_out_a_literal_reads_back_as_what_it_was(value: object):
    text = laid_out("value = ", value, "", 0)
    assert ast.literal_eval(text.removeprefix("value = ")) == value


def test_a_literal_too_long_for_a_line_gets_a_line_for_each_element():
    text = laid_out("filter=", {"location": [{"prefix": "x" * 30}] * 3}, ",", 4)
    assert all(4 + len(line) <= LINE_LENGTH + 4 for line in text.splitlines())
    assert text.splitlines()[1:3] == [
        '        "location": [',
        '            {"prefix": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},',
    ]


def used_by(file: Path) -> set[str]:
    """What a file of Python calls by its name."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    found = {node.id for node in nodes if isinstance(node, ast.Name)} | {
        n.arg for n in nodes if isinstance(n, ast.arg)
    }
    imported = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return found | {alias.asname or alias.name for alias in imported}


def refused(check: Callable[..., object], *words: str) -> bool:
    try:
        check(*words)
    except GeneratorRefused:
        return True
    return False


def test_no_name_that_generated_files_use_can_be_a_handler_s_or_an_event_s(tmp_path: Path):
    root = tmp_path / "shop"
    new_project(root, "shop")
    every = parse_fields([f"own-{number}:{name}?" for number, name in enumerate(TYPES)] + ["own:str=x"])
    add_handler(root, HandlerSpec("own_plain", EventSpec("Own", "shop", "Own", every)))
    own = EventSpec("Own", "", "", file=root / "events/own.py")
    add_handler(root, HandlerSpec("own_email", own, body="email", resources=["a@b"]))
    add_handler(root, HandlerSpec("own_batch", own, batch=BatchSpec(9, "1s")))
    add_handler(root, HandlerSpec("own_async", own, is_async=True))
    add_handler(root, HandlerSpec("own_timed", SCHEDULED, schedule="rate(1 day)"))
    used = {name for file in root.rglob("*.py") for name in used_by(file) if not name.lower().startswith("own")}
    assert {"pytest", "Decimal", "sample"} <= used
    free = {name for name in used if name == snake(name) and not refused(handler_name, name, "python")}
    free |= {name for name in used if name == pascal(name) and not refused(new_class_name, name)}
    assert sorted(free) == []


@pytest.mark.parametrize("name", ["test", "test-orders", "testimonial"])
def test_a_function_that_pytest_takes_for_a_test_is_no_handler(name: str):
    with pytest.raises(GeneratorRefused, match="pytest takes it for a test") as caught:
        handler_name(name, "python")
    assert "handle-test" in caught.value.hint
    assert handler_name(name) == snake(name)


def test_a_field_called_as_a_type_is_leaves_the_type_to_the_fields_below_it(shop: Path):
    given = ["date:date?", "due:date?", "str:str?", "Decimal:decimal?", "list:list[str]?", "Any:object?", "next:str?"]
    fields = parse_fields([*given, "net:decimal?", "tags:list[str]?", "more:object?", "on=x"])
    add_handler(shop, HandlerSpec("send", EventSpec("OrderPlaced", "shop", "Order Placed", fields)))
    (event,) = load_project(shop).event_classes.values()
    detail = {"date": "2020-01-02", "due": "2020-01-03", "list": ["a"], "tags": ["b"], "net": "1", "on": "x"}
    assert event.model_validate(detail).model_dump(mode="json", by_alias=True, exclude_none=True) == detail
    judge = [Path(sys.executable).parent / "pyright", "--pythonpath", sys.executable, "events"]
    typed = subprocess.run(judge, cwd=shop, capture_output=True, text=True, check=False)
    assert typed.returncode == 0, typed.stdout
