from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import pytest

from busway.cli import main
from busway.cli.options import read_given

from .pipes import piped

TEXT = '{"source": ["Ä"]}'
COMMANDS = [["explain"], ["rule", "lint"], ["rule", "sample"]]


def words_for(command: list[str], file: str) -> list[str]:
    return [*command, file, *(["{}"] if command == ["explain"] else [])]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("encoding", "byte"), [("latin-1", 14), ("utf-16", 1)])
def test_a_file_of_another_encoding_is_named_with_the_byte(
    command: list[str], encoding: str, byte: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    file = tmp_path / "theirs.json"
    file.write_bytes(TEXT.encode(encoding))
    assert main(words_for(command, str(file))) == 2
    what = "FILES" if "lint" in command else "PATTERN"
    problem, hint = capfd.readouterr().err.split("\n\n")
    assert problem == f"error: {what} {file} is not UTF-8 (byte {byte})"
    assert hint.startswith("hint: save it as UTF-8")


def test_stdin_of_another_encoding_is_named_with_the_byte(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    # As Python opens it where the locale says nothing: the byte would become half a character.
    stdin = io.TextIOWrapper(io.BytesIO(TEXT.encode("latin-1")), "utf-8", "surrogateescape")
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["rule", "sample", "-"]) == 2
    assert "PATTERN from stdin is not UTF-8 (byte 14)" in capfd.readouterr().err


def test_an_argument_of_another_encoding_is_named_with_the_byte(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", TEXT.encode("latin-1").decode("utf-8", "surrogateescape")]) == 2
    assert "PATTERN is not UTF-8 (byte 14)" in capfd.readouterr().err


def test_the_mark_before_utf_8_is_no_part_of_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "windows.json"
    file.write_text(TEXT, encoding="utf-8-sig")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode("utf-8-sig"))))
    assert read_given("PATTERN", str(file)) == TEXT
    assert read_given("PATTERN", "-") == TEXT
    assert read_given("PATTERN", "\ufeff" + TEXT) == TEXT


def test_a_pipe_with_a_name_is_read():
    with piped(TEXT.encode()) as name:
        assert read_given("PATTERN", name) == TEXT


@pytest.mark.parametrize("given", ["", "nowhere.json"])
def test_a_file_that_is_not_there_is_said(given: str):
    with pytest.raises(click.UsageError, match=f"PATTERN is '{given}': no such file; wanted a file"):
        read_given("PATTERN", given)


def test_a_folder_is_said_to_be_one(tmp_path: Path):
    with pytest.raises(click.UsageError, match="that is a folder; wanted a file"):
        read_given("PATTERN", str(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="where there is a file that nobody may read")
def test_a_file_that_cannot_be_read_says_why():
    with pytest.raises(click.UsageError, match="PATTERN is '/proc/self/mem': Input/output error"):
        read_given("PATTERN", "/proc/self/mem")
