"""A dead letter's event as it is edited: what changes, what does not, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from busway.cli.edits import Editing, differences, edit
from busway.errors import EventMismatch

EVENT = (
    '{"id":"e","source":"s","detail-type":"t","detail":{"total":1.10,"big":12345678901234567,"who":{"zip":"0150"}}}'
)


@pytest.fixture(autouse=True)
def outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(*changes: str) -> Any:
    return edit(EVENT, Editing(False, changes, False))


def test_a_member_of_the_detail_is_changed_and_all_else_stays_as_it_was_written():
    made = changed("who.zip=0250")
    assert made.changed == "detail.who.zip"
    assert '"total":1.10' in made.text and "12345678901234567" in made.text
    assert json.loads(made.text)["detail"]["who"] == {"zip": "0250"}


def test_what_is_the_same_afterwards_is_no_change():
    assert changed("who.zip=0150") is None


def test_what_is_no_event_is_changed_at_its_top():
    made = edit('{"a":1}', Editing(False, ("a=2", "b=x"), False))
    assert made is not None
    assert (json.loads(made.text), made.changed) == ({"a": 2, "b": "x"}, "a, b")


def test_many_changes_are_counted_after_the_first_five():
    made = changed(*(f"n{number}=1" for number in range(7)))
    assert made.changed.endswith("detail.n4 and 2 more")


@pytest.mark.parametrize("payload", ["text", "[1]", "", '"a"'])
def test_what_is_no_object_is_not_edited(payload: str):
    with pytest.raises(EventMismatch, match="no JSON object"):
        edit(payload, Editing(False, ("a=1",), False))


def test_the_event_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/"e"/"other"/\' "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(EventMismatch, match="id stays 'e'") as refused:
        edit(EVENT, Editing(True, (), True))
    kept = next(Path(word.rstrip(";")) for word in refused.value.hint.split() if "busway-event-" in word)
    assert json.loads(kept.read_text())["id"] == "other"
    kept.unlink()


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"a": 1}, {}, ["a"]),
        ({}, {"a": {"b": 1}}, ["a"]),
        ({"a": {}}, {"a": 1}, ["a"]),
        (1, 2, ["all of it"]),
    ],
)
def test_differences_are_named_by_path(before: Any, after: Any, paths: list[str]):
    assert list(differences(before, after)) == paths
