from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from busway.cli import main

ORDERS = {"source": ["shop"], "detail-type": ["Order"]}
LARGE = {**ORDERS, "detail": {"total": [{"numeric": [">", 100]}]}}
NORDIC = {**ORDERS, "detail": {"country": ["NO"]}}


def rule_file(folder: Path, name: str, pattern: Any) -> str:
    file = folder / f"{name}.json"
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    file.write_text(f'{{"EventPattern": {text}, "Targets": [{{"Queue": "q"}}]}}')
    return str(file)


def findings(capfd: pytest.CaptureFixture[str]) -> list[tuple[str, list[str]]]:
    return [(each["code"], each["rules"]) for each in json.loads(capfd.readouterr().out)["findings"]]


def test_rules_without_an_error_are_0_and_what_they_share_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    files = [
        rule_file(tmp_path, name, one) for name, one in {"large": LARGE, "nordic": NORDIC, "all": ORDERS}.items()
    ]
    assert main(["rule", "lint", *files]) == 0
    out = capfd.readouterr().out
    assert f"every event of {files[0]} is one of {files[2]} too" in out
    assert f"{files[0]} and {files[1]} have events in common" in out
    assert 'for example Order from shop  {"country": "NO", "total": 101}' in out
    assert out.endswith("3 rules: 0 errors, 0 warnings, 3 notes\n")


def test_an_error_is_1(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "lint", '{"source": [5]}']) == 1
    assert "error   pattern: no event can match: source wants the number 5" in capfd.readouterr().out


@pytest.mark.parametrize(("level", "code"), [("error", 0), ("warning", 1), ("note", 1)])
def test_what_fails_can_be_chosen(level: str, code: int, capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "lint", '{"detail": {"a": ["x*"]}}', "--fail-on", level]) == code


def test_a_list_that_a_rule_file_repeats_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    file = rule_file(tmp_path, "twice", '{"source": ["a"], "source": ["b"]}')
    assert main(["rule", "lint", file, "--json"]) == 1
    assert findings(capfd) == [("overridden", [file])]


def test_a_pattern_that_does_not_compile_is_an_error_beside_the_others(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "lint", '{"source": "shop"}', json.dumps(ORDERS), json.dumps(ORDERS), "--json"]) == 1
    assert findings(capfd) == [("invalid", ["pattern"]), ("equal", ["pattern", "pattern (2)"])]


def test_what_aws_lists_is_taken_bus_by_bus(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def listed(name: str, bus: str) -> dict[str, str]:
        return {"Name": name, "EventBusName": bus, "EventPattern": json.dumps(ORDERS)}

    rules = [
        listed("a", "shop"),
        listed("b", "bank"),
        listed("c", "shop"),
        {"Name": "d", "ScheduleExpression": "rate(1 day)"},
    ]
    for words, wanted in (([], [("equal", ["a", "c"])]), (["--bus", "bank"], [])):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps({"Rules": rules}).encode())))
        assert main(["rule", "lint", "-", "--json", *words]) == 0
        assert findings(capfd) == wanted


def test_pairs_that_were_left_out_are_told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.setattr("busway.pattern.rule_set.EVENTS_TRIED_MAX", 1)
    fields = [json.dumps({"detail": {name: ["x"]}}) for name in "abc"]
    assert main(["rule", "lint", *fields]) == 0
    assert "of 2 pairs it was not tried whether an event fits both" in capfd.readouterr().out


def test_many_notes_are_counted(capfd: pytest.CaptureFixture[str]):
    fields = [json.dumps({"detail": {f"f{number}": ["x"]}}) for number in range(10)]
    assert main(["rule", "lint", *fields]) == 0
    assert "and 15 more notes: --json has all" in capfd.readouterr().out


def test_without_files_outside_of_a_project_a_server_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUSWAY_ENDPOINT", "http://127.0.0.1:9")
    assert main(["rule", "lint"]) == 1
    assert "no Busway server answers at http://127.0.0.1:9" in capfd.readouterr().err


def test_a_file_that_is_not_there_is_2(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "lint", "nowhere.json"]) == 2
    assert "FILES is 'nowhere.json': no such file" in capfd.readouterr().err


def test_a_pattern_with_half_a_character_is_shown_escaped(capfd: pytest.CaptureFixture[str]):
    half = '{"detail": {"\\ud800": ["*\\udc00"]}}'
    assert main(["rule", "lint", half, half, '{"detail": {"a": ["x"]}}', "--json"]) == 0
    assert "\\ud800" in capfd.readouterr().out
    assert main(["rule", "lint", half, half, '{"detail": {"a": ["x"]}}']) == 0
