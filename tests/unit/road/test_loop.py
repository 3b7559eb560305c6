"""What the development loop deploys, and what it says of the rest."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from busway.road.loop import by_hand, deployable
from busway.road.project_files import new_project
from busway.road.root import other_handlers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    new_project(tmp_path / "my shop", "shop")
    return tmp_path / "my shop"


def write(file: Path) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.touch()
    return file


def test_handlers_that_are_no_python_are_found(root: Path):
    found = [write(root / "handlers" / name) for name in ("post_orders/handler.ts", "ship/handler.mjs")]
    write(root / "handlers/both/handler.ts")
    write(root / "handlers/both/handler.py")
    write(root / "handlers/ship/other.ts")
    assert other_handlers(root) == found


def test_the_words_about_them_are_a_command_that_deploys_them(root: Path):
    file = write(root / "handlers/post_orders/handler.ts")
    said, _, command = by_hand(root, file, "shop", "http://127.0.0.1:4566").partition("\n")
    assert said.startswith("handlers/post_orders/handler.ts is not deployed: ")
    words = shlex.split(command)
    options = dict(zip(words[5::2], words[6::2], strict=True))
    assert words[:5] == ["aws", "--endpoint-url", "http://127.0.0.1:4566", "lambda", "create-function"]
    assert (options["--function-name"], options["--handler"]) == ("shop-post-orders", "handler.handler")
    assert options["--code"] == f"S3Bucket=hot-reload,S3Key={root}/handlers/post_orders"


@pytest.mark.parametrize(
    ("name", "is_deployable"),
    [
        ("handlers/ship/handler.py", True),
        ("handlers/ship/handler.ts", True),
        ("handlers/ship/sample.json", True),
        ("handlers/ship/test_ship.py", False),
        ("handlers/ship/node_modules/a/index.js", False),
        (".busway/data/log.jsonl", False),
        ("README.md", False),
    ],
)
def test_a_save_is_deployed_where_it_can_change_what_runs(name: str, is_deployable: bool):
    assert deployable(name) is is_deployable
