"""What others wrote is shown on a terminal, never obeyed by it."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from busway.cli import complain
from busway.cli.output import brief, console, day, line, moment, print_json, say, table
from busway.cli.serve import LogLines, log_to_stderr

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\r12:00:00.000 delivered\u202eevil\u2028x\n12:00:00.000  delivered\ttab"
SHOWN = (
    "\\x1b]0;title\\x07\\x1b[2J\\x9b31m\\r12:00:00.000 delivered\\u202eevil\\u2028x\n    12:00:00.000  delivered\ttab"
)


@pytest.fixture(autouse=True)
def a_console_of_its_own():
    console.cache_clear()
    yield
    console.cache_clear()


def test_a_line_shows_control_characters_instead_of_sending_them(capsys: pytest.CaptureFixture[str]):
    line("found: ", (HOSTILE, "red"))
    printed = capsys.readouterr().out
    assert printed.expandtabs() == f"found: {SHOWN}\n".expandtabs()


def test_a_table_shows_control_characters_instead_of_sending_them(capsys: pytest.CaptureFixture[str]):
    table(["Name"], [[HOSTILE], ["[bold]ünïcode 👩\u200d🔬[/bold]"]])
    printed = capsys.readouterr().out
    assert not set(printed) & set("\x1b\x07\x9b\r\u202e\u2028")
    assert "\\x1b]0;title" in printed and "[bold]ünïcode 👩\u200d🔬[/bold]" in printed


def test_a_server_s_error_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]):
    assert complain(f"no event {HOSTILE}", "", 1) == 1
    assert "\x1b" not in capsys.readouterr().err


def logged(as_json: bool) -> str:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("busway.bus", logging.ERROR, "f", 1, "rule %s", (HOSTILE,), sys.exc_info())
        record.created, record.event_id, record.secret = 1_700_000_000.25, f"e-1{HOSTILE}", "not to be told"
    return LogLines(as_json).format(record)


def test_a_log_record_is_one_json_line_whatever_stands_in_it():
    text = logged(as_json=True)
    assert "\n" not in text and "\x1b" not in text
    line = json.loads(text)
    assert "ValueError" in line.pop("exception")
    assert line == {
        "time": "2023-11-14T22:13:20.250Z", "level": "ERROR", "logger": "busway.bus", "message": f"rule {HOSTILE}",
        "event_id": f"e-1{HOSTILE}",
    }  # fmt: skip


def test_a_log_record_for_people_has_no_line_that_somebody_else_began():
    first, *further = logged(as_json=False).split("\n")
    assert first.startswith("ERROR busway.bus: rule ") and further
    assert all(line.startswith("    ") for line in further)
    assert "\x1b" not in "".join(further) + first


def test_who_sends_rubbish_cannot_fill_the_log():
    server = logging.getLogger("uvicorn.error")
    before = server.level
    try:
        log_to_stderr(as_json=False)
        assert not server.isEnabledFor(logging.WARNING) and server.isEnabledFor(logging.ERROR)
    finally:
        server.setLevel(before)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short", "short"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 99 + "…"),
        ("first\nsecond", "first…"),
        ("word " * 40, ("word " * 20)[:99].rstrip() + "…"),
    ],
)
def test_a_long_text_is_cut_to_its_beginning_and_says_so(text: str, shown: str):
    assert brief(text) == shown


def test_json_is_the_same_and_has_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]):
    told = {"found": HOSTILE + "\u200f\u061c", "of": [HOSTILE]}
    for indent in (True, False):
        print_json(told, indent=indent)
        printed = capsys.readouterr().out
        assert json.loads(printed) == told
        assert not set(printed) & set("\x1b\x07\x9b\r\u202e\u2028\u200f\u061c")


def test_a_remark_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]):
    say(HOSTILE)
    complain("problem", HOSTILE, 1)
    assert not set(capsys.readouterr().err) & set("\x1b\x07\x9b\r\u202e\u2028")


@pytest.mark.parametrize("at", [-1e30, -1.0, 1e18, float("inf")])
def test_a_moment_beyond_all_years_is_shown_all_the_same(at: float):
    assert moment(at) and day(at)
