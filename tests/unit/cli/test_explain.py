from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from busway.cli import main

EVENT = '{"source": "shop", "detail-type": "Customer Nofication", "detail": {"total": 5}}'


def test_a_match_is_0(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": ["shop"]}', EVENT]) == 0
    assert capfd.readouterr().out.startswith("matches")


def test_a_miss_is_1_and_says_what_was_found_wanted_and_meant(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"detail-type": ["Customer Notification"]}', EVENT]) == 1
    out = " ".join(capfd.readouterr().out.split())
    assert "does not match: 1 of 1 fields did not match" in out
    assert 'the event\'s "Customer Nofication" and the pattern\'s "Customer Notification" differ by a typo' in out


def test_json_is_the_whole_explanation(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"detail": {"total": [{"numeric": [">", 9]}]}}', EVENT, "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert (told["matched"], told["missed"], told["fields"][0]["path"]) == (False, 1, "detail.total")


BOTH_ASK = '{"$or": [{"a": ["1"], "b": ["2"]}, {"a": ["1"], "c": ["3"]}]}'
OUTSIDE_AND_IN = '{"a": ["x"], "$or": [{"a": ["x"]}, {"b": ["y"]}]}'
ALIKE = '{"$or": [{"a": ["x"]}, {"a": ["x"]}]}'


def test_each_branch_is_shown_with_what_stands_in_it_and_before_them_what_stands_in_none(
    capfd: pytest.CaptureFixture[str],
):
    assert main(["explain", BOTH_ASK, '{"a": "0", "b": "2"}']) == 1
    assert shown(capfd, 9) == [
        "does not match: 1 of 2 fields did not match",
        "✗ $or[0]",
        '✗ a "0"',
        'wanted "1"',
        '✓ b "2"',
        "✗ $or[1]",
        '✗ a "0"',
        'wanted "1"',
        "✗ c nothing",
    ]
    assert main(["explain", OUTSIDE_AND_IN, '{"b": "y"}']) == 1
    assert shown(capfd, 8) == [
        "does not match: 1 of 1 fields did not match",
        "✗ a nothing",
        'wanted "x"',
        "✗ $or[0]",
        "✗ a nothing",
        'wanted "x"',
        "✓ $or[1]",
        '✓ b "y"',
    ]
    assert main(["explain", ALIKE, '{"a": "x"}']) == 0
    assert shown(capfd, 5) == ["matches", "✓ $or[0]", '✓ a "x"', "✓ $or[1]", '✓ a "x"']


def shown(capfd: pytest.CaptureFixture[str], lines: int) -> list[str]:
    return [" ".join(line.split()) for line in capfd.readouterr().out.splitlines()[:lines]]


@pytest.mark.parametrize(
    ("pattern", "event", "outside", "branches"),
    [
        (BOTH_ASK, '{"a": "0", "b": "2"}', [], [(False, ["a", "b"]), (False, ["a", "c"])]),
        (OUTSIDE_AND_IN, '{"b": "y"}', ["a"], [(False, ["a"]), (True, ["b"])]),
        (ALIKE, '{"a": "x"}', [], [(True, ["a"]), (True, ["a"])]),
    ],
)
def test_json_tells_each_branch_of_itself(
    pattern: str, event: str, outside: list[str], branches: list[Any], capfd: pytest.CaptureFixture[str]
):
    main(["explain", pattern, event, "--json"])
    told = json.loads(capfd.readouterr().out)
    assert [field["path"] for field in told["outside"]] == outside
    assert [(one["matched"], [field["path"] for field in one["fields"]]) for one in told["branches"]] == branches


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


RULE = {"Name": "r", "State": "ENABLED", "EventBusName": "default", "EventPattern": '{"source": ["shop"]}'}


@pytest.mark.parametrize(
    "printed",
    [
        RULE,
        {"Rules": [RULE]},
        {"Rules": [RULE, {"Name": "s", "ScheduleExpression": "rate(1 hour)"}]},
        {"EventPattern": {"source": ["shop"]}},
    ],
)
def test_what_aws_prints_of_a_rule_is_taken_for_its_pattern(printed: Any):
    assert main(["explain", json.dumps(printed), EVENT]) == 0


def test_of_several_rules_none_is_chosen(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", json.dumps({"Rules": [RULE, {**RULE, "Name": "s"}]}), EVENT]) == 2
    assert "PATTERN holds 2 patterns (r, s); wanted one" in capfd.readouterr().err


ENTRY = {"Source": "shop", "DetailType": "Order", "Detail": '{"total": 1.50}', "EventBusName": "default"}


@pytest.mark.parametrize(
    "given",
    [ENTRY, [ENTRY], {"Entries": [ENTRY]}, {**ENTRY, "Detail": {"total": 1.5}, "Time": "2026-01-02T03:04:05Z"}],
)
def test_an_entry_of_put_events_is_explained_as_it_would_be_delivered(given: Any, capfd: pytest.CaptureFixture[str]):
    pattern = (
        '{"source": ["shop"], "detail-type": ["Order"], "account": [{"exists": true}], "detail": {"total": [1.5]}}'
    )
    assert main(["explain", pattern, json.dumps(given)]) == 0
    assert (
        'note: EVENT is an entry of PutEvents; as EventBridge delivers it: {"version":"0"' in capfd.readouterr().out
    )


def test_an_event_that_only_has_a_member_named_as_one_of_an_entry_is_taken_as_it_is():
    assert main(["explain", '{"Detail": {"n": [1]}}', '{"Detail": {"n": 1}}']) == 0


def test_of_several_entries_none_is_chosen(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": ["shop"]}', json.dumps([ENTRY, ENTRY])]) == 2
    assert "EVENT holds 2 entries of PutEvents; wanted one" in capfd.readouterr().err


def test_an_entry_whose_detail_is_no_json_keeps_it_as_a_string(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"detail": ["total"]}', json.dumps({**ENTRY, "Detail": "total"}), "--json"]) == 0
    assert "an entry of PutEvents" in json.loads(capfd.readouterr().out)["notes"][0]


def test_a_path_that_is_given_twice_is_noted(capfd: pytest.CaptureFixture[str]):
    words = ["explain", '{"detail": {"total": [5], "total": [6]}}', EVENT]
    note = "detail.total is given more than once, and only its last list counts"
    assert main(words) == 1
    assert f"note: {note}" in capfd.readouterr().out
    assert main([*words, "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["notes"] == [note]


def test_that_no_edit_was_found_is_said(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": [{"anything-but": "shop"}]}', EVENT]) == 1
    assert "no edit was found that makes them match" in capfd.readouterr().out


def test_an_event_that_cannot_be_read_is_told_in_json_and_as_it_was_meant(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": ["shop"]}', "[1]", "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert (told["matched"], told["error"], told["reason"]) == (False, "InvalidEvent", "Event must be a JSON object")
    assert main(["explain", '{"source": ["shop"]}', "{'source': 'shop'}"]) == 1
    error = capfd.readouterr().err
    assert "(after 1 character)" in error
    assert 'hint: this can be read: {"source": "shop"}' in error


def test_of_a_bad_pattern_and_a_bad_event_the_pattern_is_told(capfd: pytest.CaptureFixture[str]):
    assert main(["explain", '{"source": "shop"}', "{'source': 'shop'}"]) == 1
    assert 'this can be read: {"source": ["shop"]}' in capfd.readouterr().err


def test_a_terminal_that_has_no_sign_for_something_gets_an_escape():
    command = [sys.executable, "-m", "busway", "explain", '{"source": ["x"]}', '{"source": "\u20ac \U0001f600"}']
    for further in ((), ("--json",)):
        ran = subprocess.run([*command, *further], capture_output=True, env={"PYTHONIOENCODING": "latin-1"})
        assert (ran.returncode, ran.stderr) == (1, b"")
        assert rb"\u20ac \ud83d\ude00" in ran.stdout
    assert json.loads(ran.stdout)["fields"][0]["found"] == ['"\u20ac \U0001f600"']


def _example(page: str, command: str) -> str:
    """What the page shows under a command."""
    return page.split(f"$ {command}\n", 1)[1].split("```", 1)[0].split("$ ", 1)[0]


def test_the_page_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[3] / "docs/patterns.md").read_text()
    Path("event.json").write_text('{"source": "shop.orders", "detail-type": "x", "detail": {"country": "DE"}}')
    assert main(["explain", '{"source": ["shop.orders"], "country": ["DE"]}', "event.json"]) == 1
    command = """busway explain '{"source": ["shop.orders"], "country": ["DE"]}' event.json"""
    assert capfd.readouterr().out == _example(page, command)
    big = {"country": [{"anything-but": "DE"}], "total": [{"numeric": [">=", 100]}]}
    Path("big.json").write_text(json.dumps({"source": ["shop.orders"], "detail": big}))
    assert main(["rule", "sample", "big.json"]) == 0
    Path("event.json").write_text(capfd.readouterr().out)
    assert main(["explain", "big.json", "event.json"]) == 0
    assert capfd.readouterr().out == _example(page, "busway explain big.json event.json")


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
