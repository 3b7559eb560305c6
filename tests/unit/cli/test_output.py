"""What others wrote is shown on a terminal, never obeyed by it."""

from __future__ import annotations

import pytest

from busway.cli import complain
from busway.cli.output import console, line, table

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
