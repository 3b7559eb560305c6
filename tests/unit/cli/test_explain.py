from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from busway.cli import main

EVENT = '{"source": "shop", "detail-type": "Customer Nofication", "detail": {"total": 5}}'


def test_a_match_is_0(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": ["shop"]}', EVENT]) == 0
    assert capfd.readouterr().out.startswith("matches")


def test_a_miss_is_1_and_says_what_was_found_wanted_and_meant(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"detail-type": ["Customer Notification"]}', EVENT]) == 1
    out = " ".join(capfd.readouterr().out.split())
    assert "does not match (1 of 1 fields)" in out
    assert '"Customer Nofication"' in out
    assert 'did you mean "Customer Notification"?' in out


def test_json_is_the_whole_explanation(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"detail": {"total": [{"numeric": [">", 9]}]}}', EVENT, "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert (told["matched"], told["missed"], told["fields"][0]["path"]) == (False, 1, "detail.total")


def test_a_pattern_that_cannot_be_read_is_told_in_json_with_its_place_and_edit(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": "shop"}', EVENT, "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert (told["error"], told["line"], told["column"]) == ("InvalidEventPatternException", 1, 13)
    assert told["reason"] == '"source" must be an object or an array'
    assert [edit["document"] for edit in told["edits"]] == ['{"source": ["shop"]}']


def test_a_pattern_that_is_mended_and_still_does_not_match_is_no_edit(capfd: pytest.CaptureFixture[str]):
    # What it takes besides would be another pattern: nothing in the event resembles what it asks for.
    fields = {f"field-{number}": "x" for number in range(30)}
    assert main(["explain", json.dumps(fields), EVENT]) == 1
    assert "can be read, but does not match" in capfd.readouterr().err
    assert main(["explain", json.dumps(fields), EVENT, "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["edits"] == []


def test_nothing_of_an_event_reaches_the_terminal_unseen(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": ["shop\\u001b[2J"]}', '{"source": "shop\\u001b[2j"}']) == 1
    assert "\x1b" not in capfd.readouterr().out


def test_files_and_stdin_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "pattern.json").write_text('{"source": ["shop"]}')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(EVENT.encode())))
    assert main(["explain", str(tmp_path / "pattern.json"), "-"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["explain"], 2, "PATTERN is missing"),
        (["explain", "{}"], 2, "EVENT is missing"),
        (["explain", "--event", "e-1"], 2, "PATTERN is missing"),
        (["explain", "--event", "e-1", "{}", EVENT], 2, "exactly one argument: the pattern"),
        (["explain", "--rule", "r", "--event", "e-1", "{}"], 2, "with --rule and --event, give no argument"),
        (["explain", "nowhere.json", EVENT], 2, "PATTERN is 'nowhere.json': no such file"),
        (["explain", "-", "-"], 2, "only one of PATTERN and EVENT"),
        (["explain", "--rule", "r", "{}", EVENT], 2, "exactly one argument"),
        (["explain", '{"source": "shop"}', EVENT], 1, "Event pattern is not valid"),
    ],
)
def test_what_cannot_be_explained_says_why(
    words: list[str], code: int, problem: str, capfd: pytest.CaptureFixture[str]
):
    assert main(words) == code
    assert problem in capfd.readouterr().err
