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


def test_files_and_stdin_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "pattern.json").write_text('{"source": ["shop"]}')
    monkeypatch.setattr("sys.stdin", io.StringIO(EVENT))
    assert main(["explain", str(tmp_path / "pattern.json"), "-"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["explain"], 2, "PATTERN is missing"),
        (["explain", "{}"], 2, "EVENT is missing"),
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
