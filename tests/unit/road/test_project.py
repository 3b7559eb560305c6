from __future__ import annotations

from pathlib import Path

import pytest

from busway.errors import BrokenProject, ProjectNotFound
from busway.road.describe import describe
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.manifest import sample_of
from busway.road.project import load_project
from busway.road.project_files import new_project
from busway.road.root import find_root, read_config


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    new_project(root, "shop")
    event = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["id:str"]))
    add_handler(root, HandlerSpec("send_receipt", event))
    return root


def test_a_project_is_found_from_any_folder_below_it(shop: Path):
    assert find_root(shop / "handlers" / "send_receipt") == shop


def test_outside_a_project_the_hint_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(ProjectNotFound) as caught:
        find_root(tmp_path)
    assert "busway new" in caught.value.hint


def test_a_handler_is_named_for_its_folder_and_reached_by_its_function(shop: Path):
    (entry,) = load_project(shop).manifest.handlers
    assert entry.name == "send-receipt"
    assert entry.entry_point == "handlers.send_receipt.handler.send_receipt"


def test_an_error_in_a_users_file_is_told_in_two_lines(shop: Path):
    (shop / "handlers/send_receipt/handler.py").write_text("import nonsense_module\n")
    with pytest.raises(BrokenProject) as caught:
        load_project(shop)
    assert str(caught.value) == (
        "handlers/send_receipt/handler.py cannot be loaded: ModuleNotFoundError: No module named 'nonsense_module'\n"
        "  handlers/send_receipt/handler.py, line 1: import nonsense_module"
    )


def test_a_module_that_exits_is_an_error_of_the_project(shop: Path):
    (shop / "events/other.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(BrokenProject, match="SystemExit: 3"):
        load_project(shop)


def test_a_folder_needs_exactly_one_handler(shop: Path):
    (shop / "handlers/send_receipt/handler.py").write_text("x = 1\n")
    with pytest.raises(BrokenProject, match="has no handler; wanted one function"):
        load_project(shop)


def test_a_handler_takes_its_event_from_the_events_folder(shop: Path):
    (shop / "handlers/send_receipt/handler.py").write_text(
        "from busway import Event, handler\n"
        "class Mine(Event, source='s', detail_type='d'):\n    pass\n"
        "@handler(Mine)\ndef send_receipt(event: Mine) -> None: ...\n"
    )
    with pytest.raises(BrokenProject, match="wanted a class from a file in events/"):
        load_project(shop)


def test_two_handlers_of_one_name_are_refused(shop: Path):
    text = (shop / "handlers/send_receipt/handler.py").read_text()
    (shop / "handlers/other").mkdir()
    (shop / "handlers/other/handler.py").write_text(text.replace("retries=2", 'retries=2, name="send-receipt"'))
    with pytest.raises(
        BrokenProject, match=r"send_receipt/handler.py: handlers/other/handler.py has the name 'send-receipt' too"
    ):
        load_project(shop)


def test_a_name_too_long_for_a_rule_is_refused(shop: Path):
    config = shop / "pyproject.toml"
    config.write_text(config.read_text().replace('name = "shop"', f'name = "{"s" * 60}"'))
    with pytest.raises(BrokenProject, match="longer than 64 characters"):
        load_project(shop)


def test_a_project_has_alarms_unless_it_wants_none(shop: Path):
    config = shop / "pyproject.toml"
    assert read_config(shop).alarms
    config.write_text(config.read_text().replace("[tool.busway]", "[tool.busway]\nalarms = false"))
    assert not read_config(shop).alarms
    config.write_text(config.read_text().replace("alarms = false", 'alarms = "no"'))
    with pytest.raises(BrokenProject, match="alarms is 'no'; wanted true or false"):
        read_config(shop)


def test_an_unknown_setting_is_named(shop: Path):
    config = shop / "pyproject.toml"
    config.write_text(config.read_text().replace("[tool.busway]", '[tool.busway]\nbuss = "x"'))
    with pytest.raises(BrokenProject, match="has 'buss'; it knows name, bus, alarms and env"):
        read_config(shop)


async def test_describing_in_a_process_of_its_own_gives_the_same_manifest(shop: Path):
    (shop / "events/noisy.py").write_text("print('hello while importing')\n")
    assert await describe(shop) == load_project(shop).manifest


async def test_a_fault_comes_back_from_the_describing_process(shop: Path):
    (shop / "handlers/send_receipt/handler.py").write_text("def broken(:\n")
    with pytest.raises(BrokenProject, match="SyntaxError"):
        await describe(shop)


def test_a_field_that_no_sample_can_be_made_for_is_told_how_to_get_one(tmp_path: Path):
    root = tmp_path / "shop"
    new_project(root, "shop")
    text = "from ipaddress import IPv4Address\nfrom busway import Event\n\n"
    text += "class Seen(Event, source='s', detail_type='Seen'):\n    address: IPv4Address\n"
    (root / "events/seen.py").write_text(text)
    # That stops nobody who needs none.
    (seen,) = load_project(root).manifest.events
    with pytest.raises(BrokenProject, match=r"events/seen.py: .*detail.address") as caught:
        sample_of(seen)
    assert "examples=" in caught.value.hint


def environments(shop: Path, *lines: str) -> None:
    """The project with these environments instead of its own."""
    file = shop / "pyproject.toml"
    text = file.read_text()
    assert 'target = "aws"' in text
    file.write_text(text.replace('[tool.busway.env.prod]\ntarget = "aws"', "\n".join(lines)))


def retrying(shop: Path, retries: int) -> None:
    file = shop / "handlers/send_receipt/handler.py"
    file.write_text(file.read_text().replace("retries=2", f"retries={retries}"))


def test_more_retries_than_aws_has_are_refused_where_an_environment_is_on_aws(shop: Path):
    retrying(shop, 5)
    with pytest.raises(BrokenProject, match=r"retries=5; AWS Lambda retries an event at most 2 .* 'prod'") as caught:
        load_project(shop)
    assert "dead-letter queue" in caught.value.hint


@pytest.mark.parametrize("lines", [(), ("[tool.busway.env.prod]", 'target = "https://bus.example.com"')])
def test_more_retries_than_aws_has_are_a_busway_server_s(shop: Path, lines: tuple[str, ...]):
    environments(shop, *lines)
    retrying(shop, 5)
    (entry,) = load_project(shop).manifest.handlers
    assert entry.retries == 5


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("[tool.busway.env.prod]", 'target = "gcp"'), "env.prod: target is 'gcp'; wanted 'aws', or a Busway server"),
        (("[tool.busway.env.prod]", 'taget = "aws"'), "taget"),
        (("[tool.busway]", 'env = "prod"'), "Cannot declare"),
        (("[tool.busway.env.prod]", "target = 1"), "Expected `str`, got `int`"),
    ],
)
def test_an_environment_that_is_none_is_told(shop: Path, lines: tuple[str, ...], said: str):
    environments(shop, *lines)
    with pytest.raises(BrokenProject, match=said):
        read_config(shop)


def filtered(shop: Path, text: str) -> None:
    file = shop / "handlers/send_receipt/handler.py"
    file.write_text(file.read_text().replace("retries=2", f"retries=2, filter={text}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"total": [5]}]', "filter=.*: wanted a pattern over the detail"),
        ('{"total": "x"}', r'filter=.*"total" must be an object or an array'),
        ('{"total": [object]}', "filter=.*objects of type type is unsupported"),
        ('{"totl": [5]}', "the event has no field 'totl'; did you mean total?"),
        ('{"$or": [{"order_id": ["1"]}, {"total": [1]}]}', "no field 'order_id'; did you mean order-id?"),
        ('{"address": {"cty": ["Oslo"]}}', r"no field 'address.cty'; did you mean city?"),
        ('{"lines": {"nmae": ["x"]}}', r"no field 'lines.nmae'; did you mean name?"),
        ('{"nothing_like_it": [5]}', "its fields are order-id, total, address, lines, more"),
    ],
)
def test_a_filter_that_can_match_nothing_is_refused_with_file_and_option(shop: Path, text: str, said: str):
    with_details(shop)
    filtered(shop, text)
    with pytest.raises(BrokenProject, match=said) as caught:
        load_project(shop)
    assert str(caught.value).startswith("handlers/send_receipt/handler.py: filter=")


@pytest.mark.parametrize(
    "text",
    [
        '{"total": [{"numeric": [">", 5]}], "order-id": [{"exists": True}]}',
        '{"more": {"any": {"name": ["x"]}}, "address": {"city": ["Oslo"]}, "lines": {"name": ["x"]}}',
    ],
)
def test_below_objects_without_a_class_any_name_may_stand_in_a_filter(shop: Path, text: str):
    with_details(shop)
    filtered(shop, text)
    (entry,) = load_project(shop).manifest.handlers
    assert "detail" in entry.pattern


def test_an_event_that_takes_other_fields_too_may_be_filtered_by_them(shop: Path):
    with_details(shop, 'model_config = ConfigDict(extra="allow")')
    filtered(shop, '{"anything": [5]}')
    assert load_project(shop).manifest.handlers


def with_details(shop: Path, *lines: str) -> None:
    """The event with fields of each depth."""
    (shop / "events/order_placed.py").write_text(
        "from typing import Annotated, Any\nfrom pydantic import BaseModel, ConfigDict, Field\n"
        "from busway import Event\n\nclass Address(BaseModel):\n    city: str\n\n"
        "class Line(BaseModel):\n    name: str\n\n"
        "class OrderPlaced(Event, source='shop', detail_type='Order Placed'):\n"
        "    order_id: Annotated[str, Field(alias='order-id')]\n    total: int\n"
        "    address: Address | None = None\n    lines: list[Line] = []\n    more: dict[str, Any] = {}\n"
        + "".join(f"    {line}\n" for line in lines)
    )


def test_what_busway_says_of_an_option_is_said_without_its_class_and_with_its_hint(shop: Path):
    file = shop / "handlers/send_receipt/handler.py"
    file.write_text(file.read_text().replace("retries=2", 'retries=2, permissions={"nonsense": "*"}'))
    with pytest.raises(BrokenProject, match="cannot be loaded: permissions names the action 'nonsense'") as caught:
        load_project(shop)
    assert "s3:GetObject" in caught.value.hint
