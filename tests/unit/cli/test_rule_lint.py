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


def test_a_list_that_counts_beside_some_branches_is_a_warning(capfd: pytest.CaptureFixture[str]):
    branches = [{"detail": {"s": ["y"]}}, {"detail": {"t": ["z"]}}]
    pattern = {"source": ["x"], "detail": {"s": ["x"]}, "$or": branches}
    assert main(["rule", "lint", json.dumps(pattern), "--json"]) == 0
    assert ("overridden-in-branch", ["pattern"]) in findings(capfd)


def test_a_rule_of_the_project_that_windows_saved_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "shop"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    rules = tmp_path / "shop" / "rules"
    rules.mkdir(exist_ok=True)
    rule = {"EventPattern": {"source": [5]}, "Targets": [{"Queue": "q"}]}
    (rules / "saved.json").write_text(json.dumps(rule), encoding="utf-8-sig")
    capfd.readouterr()
    assert main(["rule", "lint", "--json"]) == 1
    assert findings(capfd) == [("never", ["rules/saved.json"])]


def test_a_pattern_that_does_not_compile_is_an_error_beside_the_others(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "lint", '{"source": "shop"}', json.dumps(ORDERS), json.dumps(ORDERS), "--json"]) == 1
    assert findings(capfd) == [("invalid", ["pattern"]), ("equal", ["pattern", "pattern (2)"])]


def test_a_pattern_that_does_not_compile_has_its_place_and_what_was_meant(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    file = rule_file(tmp_path, "wrong", '{\n  "source": "shop"\n}')
    assert main(["rule", "lint", file]) == 1
    said = '"source" must be an object or an array (line 2, column 14 of the pattern); meant: {"source": ["shop"]}'
    assert said in capfd.readouterr().out


def test_what_is_less_than_a_level_is_left_out_but_counted(capfd: pytest.CaptureFixture[str]):
    words = ["rule", "lint", '{"detail": {"a": ["x*"]}}', '{"detail": {"b": ["x"]}}', "--level", "warning"]
    assert main(words) == 0
    out = capfd.readouterr().out
    assert "overlap" not in out and "asterisk" in out
    assert out.endswith("2 rules: 0 errors, 1 warning, 1 note\n")
    assert main([*words, "--json", "--fail-on", "note"]) == 1
    assert findings(capfd) == [("asterisk", ["pattern"])]


def stdin_of(monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(told).encode())))


def test_a_rule_on_a_schedule_that_aws_describes_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    stdin_of(monkeypatch, {"Name": "z", "ScheduleExpression": "rate(5 minutes)", "EventBusName": "default"})
    assert main(["rule", "lint", "-"]) == 0
    assert capfd.readouterr().out == "0 rules: 0 errors, 0 warnings, 0 notes\n"


def test_a_pattern_with_a_field_of_that_name_is_a_pattern(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "lint", '{"ScheduleExpression": ["x"]}', "--json"]) == 1
    assert findings(capfd) == [("never", ["pattern"])]


def test_a_rule_that_aws_describes_is_of_its_bus(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    stdin_of(monkeypatch, {"Name": "a", "EventBusName": "shop", "EventPattern": '{"source": [5]}'})
    assert main(["rule", "lint", "-", "--bus", "shop", "--json"]) == 1
    assert findings(capfd) == [("never", ["stdin"])]


def test_a_bus_of_which_no_file_has_a_rule_is_2(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    stdin_of(monkeypatch, {"Rules": [{"Name": "a", "EventBusName": "shop", "EventPattern": json.dumps(ORDERS)}]})
    assert main(["rule", "lint", "-", "--bus", "shp"]) == 2
    assert "--bus shp: no rule in FILES is of this bus; they are of shop" in capfd.readouterr().err


def test_a_bus_that_the_server_does_not_have_is_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    status: dict[str, Any] = {"buses": [{"name": "shop"}], "rules": []}
    monkeypatch.setattr("busway.road.connection.Connection.get", lambda *_: status)
    for bus in ("shop", "default"):
        assert main(["rule", "lint", "--bus", bus]) == 0
    assert main(["rule", "lint", "--bus", "defualt"]) == 2
    assert "--bus defualt: the server has no such bus; it has default, shop" in capfd.readouterr().err


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
        stdin_of(monkeypatch, {"Rules": rules})
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
