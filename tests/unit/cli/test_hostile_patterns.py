"""No text of a pattern, an event, an id or a file's name is obeyed by a terminal, or passes for a line of ours."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from busway.cli import main

HOSTILE = "a\x1b[31m\x9b31m\x85\x7f\u202e\nerror: line of its own\nhint: line of its own"
# What a terminal acts on, but for line ends.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


def refused(text: str) -> str:
    """A pattern that is none, with the text as it is."""
    return f'{{"detail": {{"a": ["x"\n{text}'


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"detail": {HOSTILE: [HOSTILE, "x"]}}
    (tmp_path / "pattern.json").write_text(json.dumps(named, ensure_ascii=False))
    (tmp_path / "event.json").write_text(json.dumps({"detail": {HOSTILE: f"{HOSTILE}!"}}, ensure_ascii=False))
    (tmp_path / "refused.json").write_text(refused(HOSTILE))
    (tmp_path / HOSTILE.replace("\x1b", "")).write_text(json.dumps({"detail": {"a": [{HOSTILE: 1}]}}))
    cases = [
        {"id": HOSTILE, "pattern": refused(HOSTILE), "event": {}, "match": True},
        {"id": HOSTILE, "pattern": {"a": [{HOSTILE: 1}]}, "event": {}, "error": "x", "reason": HOSTILE},
        {"id": {"b": HOSTILE}, "pattern": named, "event": f"{{\n{HOSTILE}"},
        [HOSTILE],
    ]
    lines = [json.dumps(case, ensure_ascii=False) for case in cases]
    (tmp_path / "cases.jsonl").write_text("\n".join([*lines, HOSTILE.splitlines()[0]]) + "\n")


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    "words",
    [
        "explain pattern.json event.json",
        "explain pattern.json event.json --json",
        "explain refused.json event.json",
        "explain refused.json event.json --json",
        "explain pattern.json refused.json",
        "explain FILE event.json",
        "rule lint pattern.json refused.json FILE",
        "rule lint pattern.json refused.json FILE --json",
        "rule lint no-FILE",
        "rule sample pattern.json",
        "rule sample pattern.json --miss",
        "rule sample pattern.json --miss --json",
        "rule sample FILE",
        "pattern check cases.jsonl",
        "pattern check cases.jsonl --expect",
        "pattern check no-FILE",
    ],
)
def test_what_is_hostile_is_shown(words: str, capfd: pytest.CaptureFixture[str]):
    file = HOSTILE.replace("\x1b", "")
    main([word.replace("FILE", file) for word in words.split()])
    out, err = capfd.readouterr()
    assert out + err
    assert not OBEYED.findall(out + err)
    assert not re.findall("(?m)^(?:error|hint): line of its own", out + err)


@pytest.mark.usefixtures("hostile")
def test_an_answer_is_json_with_the_id_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "one.jsonl").write_bytes(
        json.dumps({"id": [HOSTILE, 1], "pattern": {"a": ["x"]}, "event": {"a": "x"}}, ensure_ascii=False)
        .replace(", 1]", ",\r1.50]")
        .encode()
    )
    assert main(["pattern", "check", "one.jsonl"]) == 0
    out = capfd.readouterr().out
    assert "1.50" in out and json.loads(out) == {"id": [HOSTILE, 1.5], "match": True}
