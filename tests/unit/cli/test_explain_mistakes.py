"""Ten mistakes that people make with patterns, and what `busway explain` says to each, word by word.

`mistakes/NAME.txt` holds what is printed; `BUSWAY_WRITE_GOLDEN=1` writes them anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from busway.cli import main
from busway.pattern import parse

GOLDEN = Path(__file__).parent / "mistakes"

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "Order Placed",
    "source": "shop.orders",
    "account": "123456789012",
    "time": "2026-01-02T03:04:05Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:s3:::orders-incoming"],
    "detail": {
        "total": 150,
        "country": "DE",
        "file": "C:\\orders\\o-1.json",
        "bucket": {"name": "orders-incoming"},
        "items": [{"sku": "A-1", "colour": "blue"}, {"sku": "B-2", "colour": "red"}],
    },
}

# name: (pattern, event, the field's path, what it holds, the matcher that is wanted).
# Of the pattern that is no pattern, there is no verdict on fields: its error names the place.
MISTAKES: dict[str, tuple[Any, Any, str, str, str]] = {
    "wrong-case": ({"source": ["Shop.Orders"]}, EVENT, "source", '"shop.orders"', '"Shop.Orders"'),
    "missing-brackets": (
        {"source": "shop.orders", "detail-type": ["Order Placed"]}, EVENT, "source",
        '"shop.orders"', "line: 1, column:",
    ),
    "number-as-string": ({"detail": {"total": ["150"]}}, EVENT, "detail.total", "150", '"150"'),
    "one-level-off": ({"source": ["shop.orders"], "country": ["DE"]}, EVENT, "country", "nothing", '"DE"'),
    "resources-or-detail": (
        {"detail": {"resources": ["arn:aws:s3:::orders-incoming"]}}, EVENT, "detail.resources", "nothing",
        '"arn:aws:s3:::orders-incoming"',
    ),
    "trailing-space": ({"detail": {"country": ["DE "]}}, EVENT, "detail.country", '"DE"', '"DE "'),
    "or-at-the-wrong-level": (
        {"source": ["shop.orders"], "$or": [{"total": [{"numeric": [">", 100]}]}, {"country": ["AT"]}]}, EVENT,
        "total", "nothing", "a number > 100",
    ),
    "array-consistency": (
        {"detail": {"items": {"sku": ["A-1"], "colour": ["red"]}}}, EVENT, "detail.items.sku",
        '"A-1", "B-2"', '"A-1"',
    ),
    "typo-in-detail-type": (
        {"detail-type": ["Customer Notification"]}, {**EVENT, "detail-type": "Customer Nofication"}, "detail-type",
        '"Customer Nofication"', '"Customer Notification"',
    ),
    "wildcard-not-escaped": (
        {"detail": {"file": [{"wildcard": "C:\\*.json"}]}}, EVENT, "detail.file", '"C:\\\\orders\\\\o-1.json"',
        'a string like "C:\\\\*.json"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained_word_by_word_and_its_edits_match(name: str, capfd: pytest.CaptureFixture[str]):
    pattern, event, path, found, wanted = MISTAKES[name]
    words = ["explain", json.dumps(pattern), json.dumps(event)]
    assert main(words) == 1
    told = capfd.readouterr()
    shown = told.out + told.err
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("BUSWAY_WRITE_GOLDEN"):
        golden.write_text(shown)
    assert shown == golden.read_text()
    assert all(part in shown for part in (path, found, wanted, "becomes"))
    assert main([*words, "--json"]) == 1
    edits = json.loads(capfd.readouterr().out)["edits"]
    assert edits
    for edit in edits:
        assert edit["path"] and edit["where"] in ("pattern", "event") and (edit["from"], edit["to"]) != (None, None)
        if edit["where"] == "pattern":
            assert parse(edit["document"]).matches(json.dumps(event).encode())
        else:
            assert parse(json.dumps(pattern)).matches(edit["document"].encode())


def test_every_golden_text_belongs_to_a_mistake():
    assert {file.stem for file in GOLDEN.iterdir()} == set(MISTAKES)
