"""Every recorded fact about the language: tests/vectors/README.md says where they come from."""

import json
from pathlib import Path
from typing import Any

import pytest

from busway.errors import InvalidEvent, InvalidPattern
from busway.pattern import Matcher, explain, parse

VECTORS = [
    json.loads(line) for line in (Path(__file__).parents[2] / "vectors" / "patterns.jsonl").read_text().splitlines()
]


def text_of(side: Any) -> str:
    """Vectors give raw JSON text where the text matters, and a tree otherwise."""
    return side if isinstance(side, str) else json.dumps(side)


def outcome(vector: dict[str, Any]) -> tuple[str, bool | str]:
    """What the pattern says; the matcher and the explanation must say the same."""
    try:
        pattern, event = parse(text_of(vector["pattern"])), text_of(vector["event"]).encode()
        matcher = Matcher()
        matcher.add("rule", pattern)
        matched = pattern.matches(event)
        assert matcher.match(event) == (["rule"] if matched else [])
        assert explain(pattern, event).matched == matched
        return "match", matched
    except InvalidPattern as wrong:
        return "InvalidEventPatternException", wrong.reason.splitlines()[0]
    except InvalidEvent:
        return "InvalidEvent", ""


def recorded(vector: dict[str, Any]) -> tuple[str, bool | str]:
    if "error" not in vector:
        return "match", vector["match"]
    return vector["error"], vector["reason"] if vector["error"] != "InvalidEvent" else ""


@pytest.mark.parametrize("vector", [v for v in VECTORS if "tag" not in v], ids=lambda v: v["id"])
def test_we_agree_with_what_was_recorded(vector: dict[str, Any]):
    assert outcome(vector) == recorded(vector)


# What we decide where a vector is tagged: see the table in docs/patterns.md. The others of the tag are as recorded.
DECIDED: dict[str, tuple[str, bool | str]] = {
    "number-061": ("match", False),
    "ab-invalid-027": ("InvalidEventPatternException", "Empty arrays are not allowed"),
    "ab-invalid-028": ("InvalidEventPatternException", "Empty arrays are not allowed"),
    "cidr-018": ("match", False),
    "cidr-024": ("match", False),
    "cidr-025": ("match", False),
    "ip-cross-002": ("match", False),
    "ip-cross-004": ("match", False),
    "eic-astral-001": ("match", True),
    "eic-astral-005": ("match", False),
    "eic-astral-006": ("match", True),
}


def decided(vector: dict[str, Any]) -> tuple[str, bool | str]:
    if vector["tag"] == "or-fallback":
        return vector["strict_error"], vector["reason"]
    return DECIDED.get(vector["id"], recorded(vector))


@pytest.mark.parametrize("vector", [v for v in VECTORS if "tag" in v], ids=lambda v: v["id"])
def test_tagged_vectors_are_decided_as_documented(vector: dict[str, Any]):
    assert outcome(vector) == decided(vector)


def test_every_tag_is_in_the_documented_table():
    documented = (Path(__file__).parents[3] / "docs" / "patterns.md").read_text()
    assert all(f"`{v['tag']}`" in documented for v in VECTORS if "tag" in v)
