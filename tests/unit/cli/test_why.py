"""What `busway why` makes of a server's answer."""

from __future__ import annotations

from typing import Any

import pytest

from busway.cli import main

_EDIT = {
    "where": "pattern",
    "path": "source[0]",
    "from": '"Shop"',
    "to": '"shop"',
    "moved": False,
    "mistake": "case",
    "document": "",
}


def rule(name: str, *, missed: int = 0) -> dict[str, Any]:
    fields = [
        {"path": f"f{at}", "found": ['"x"'], "wanted": '"y"', "matched": at >= missed, "decided_by": None}
        for at in range(4)
    ]
    return {"rule": name, "enabled": True, "matched": not missed, "missed": missed, "fields": fields, "pattern": name}


def shown(
    rules: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *options: str,
    edited: int = 1,
) -> str:
    """Of an event that no rule's target got; so many of the closest have an edit, of the others it is not known."""
    missed = sorted((each for each in rules if not each["matched"]), key=lambda each: each["missed"])
    told = {
        "event": {"source": "shop", "detail-type": "Order"},
        "event_id": "e-1",
        "bus": "orders",
        "accepted_at": 0.0,
        "rules": rules,
        "deliveries": [],
        "closest": [{**each, "edits": [_EDIT] if at < edited else None} for at, each in enumerate(missed[:5])],
        "steps": [],
    }

    def get(*_: object, **__: object) -> dict[str, Any]:
        return told

    monkeypatch.setattr("busway.road.connection.Connection.get", get)
    assert main(["why", "e-1", *options]) == 0
    return capfd.readouterr().out


def test_a_rule_that_matched_and_has_no_targets_is_named_with_what_gives_it_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    out = shown([rule("notarget")], monkeypatch, capfd)
    assert "rule notarget matched; it has no targets, so it went to nobody" in out
    assert "aws events put-targets --rule notarget --event-bus-name orders" in out
    assert "No rule matched" not in out


def test_where_a_rule_matched_it_is_said_how_many_others_nearly_did(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    rules = [rule("catch-all"), rule("near", missed=1), rule("far", missed=3)]
    assert "1 other rule missed by one field: --all" in shown(rules, monkeypatch, capfd)
    assert "missed by one field" not in shown([rules[0], rules[2]], monkeypatch, capfd)


def test_all_shows_every_rule_with_the_edits_that_are_known(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    rules = [rule("catch-all"), rule("near", missed=1), rule("far", missed=3)]
    out = shown(rules, monkeypatch, capfd, "--all")
    assert "Not matched: rule near: 1 of 4 fields did not match" in out
    assert 'source[0]: "Shop" becomes "shop"  (upper and lower case)' in out
    assert "`busway explain --rule NAME --event ID` looks for an edit where none is shown" in out
    assert "busway explain" not in shown(rules, monkeypatch, capfd, "--all", edited=2)


def test_of_many_rules_that_missed_it_is_said_how_many_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    rules = [rule(f"r{at}", missed=1) for at in range(10)]
    out = shown(rules, monkeypatch, capfd)
    assert out.count("Closest: ") == 3
    assert "and 7 more: --all" in out
    assert "more" not in shown(rules[:3], monkeypatch, capfd)
