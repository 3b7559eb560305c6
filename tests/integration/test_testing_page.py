"""docs/testing.md's examples, in a project that the generator made."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from .whole_server import BIN, whole_server

PAGE = Path(__file__).parents[2] / "docs/testing.md"
HANDLER = '''
"""Books orders."""

from busway import handler

from events.order_placed import OrderPlaced


def enter(total: int) -> str:
    return f"booked {total}"


@handler(OrderPlaced)
def book(event: OrderPlaced) -> str:
    return enter(event.total)
'''


BATCH_HANDLER = '''
"""Posts orders."""

from busway import batch_handler

from events.order_placed import OrderPlaced


@batch_handler(OrderPlaced, size=100, window="5s")
def post_orders(events: list[OrderPlaced]) -> list[OrderPlaced]:
    return [event for event in events if event.total < 0]
'''


def run(folder: Path, *words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_s_examples_pass_in_a_generated_project(tmp_path: Path):
    run(tmp_path, BIN / "busway", "new", "shop")
    shop = tmp_path / "shop"
    run(
        shop, BIN / "busway", "add", "handler", "book", "--event", "OrderPlaced", "--source", "shop", "--detail-type",
        "Order Placed", "--field", "total:int=5",
    )  # fmt: skip
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 3
    run(shop, BIN / "busway", "add", "handler", "post-orders", "--event", "OrderPlaced", "--batch", "100/5s")
    for name, handler, texts in (("book", HANDLER, examples[:2]), ("post_orders", BATCH_HANDLER, examples[2:])):
        folder = shop / "handlers" / name
        (folder / "handler.py").write_text(handler.lstrip())
        (folder / f"test_{name}.py").unlink()
        for number, text in enumerate(texts):
            (folder / f"test_example_{number}.py").write_text(text)
    assert "3 passed" in run(shop, BIN / "busway", "test")


def test_a_test_beside_no_handler_has_all_of_them_and_one_beside_a_handler_has_that_one(tmp_path: Path):
    run(tmp_path, BIN / "busway", "new", "shop")
    shop = tmp_path / "shop"
    event = ("--event", "OrderPlaced", "--source", "shop", "--detail-type", "Order Placed", "--field", "total:int=5")
    run(shop, BIN / "busway", "add", "handler", "book", *event)
    run(shop, BIN / "busway", "add", "handler", "thank", "--event", "OrderPlaced")
    text = """
from busway.testing import LocalBus, MakeEvent
from events.order_placed import OrderPlaced


def test_who_gets_it(bus: LocalBus, event: MakeEvent) -> None:
    bus.put(event(OrderPlaced))
    assert len(bus.handled("book")) == 1
    assert len(bus.handled("thank")) == 1
"""
    (shop / "tests").mkdir()
    (shop / "tests/test_all.py").write_text(text)
    run(shop, BIN / "python", "-m", "pytest", "-q", "tests/test_all.py")
    (shop / "handlers/book/test_own.py").write_text(text.replace('("thank")) == 1', '("book")) == 1'))
    run(shop, BIN / "python", "-m", "pytest", "-q", "handlers/book/test_own.py")
    (shop / "handlers/book/test_own.py").write_text(text)
    done = subprocess.run(
        [BIN / "python", "-m", "pytest", "-q", "handlers/book"], cwd=shop, capture_output=True, text=True
    )
    assert "this bus has no handler 'thank'; it has book" in done.stdout


def test_the_clock_of_a_server_is_moved_by_the_page_s_request(tmp_path: Path):
    (command,) = re.findall(r"^\$ (curl .*)$", PAGE.read_text(), re.MULTILINE)
    with whole_server(tmp_path, access_keys="", clock="manual") as server:
        line = command.replace("http://127.0.0.1:4566", server.url)
        moments = [json.loads(run(tmp_path, *shlex.split(line)))["now"] for _ in range(2)]
    assert moments[1] - moments[0] == 180
