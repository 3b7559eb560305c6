"""`busway pattern`: many patterns and events at once, for tests in CI."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import click

from busway.cli.options import json_option, unreadable
from busway.cli.output import counted, print_line, say, visible

if TYPE_CHECKING:
    from busway.pattern.check import Verdict


@click.group()
def pattern() -> None:
    """Event patterns by the file: `busway explain` is for one.

    \b
    Example:
      busway pattern check rules.jsonl
    """


@pattern.command(short_help="Tell of many patterns and events, line by line, which match.")
@click.argument("file", required=False, metavar="[FILE]")
@click.option(
    "--engine",
    type=click.Choice(["reference", "compiled"]),
    default="reference",
    show_default=True,
    help="What decides: the implementation in Python, or the compiled matcher, if that is installed.",
)
@click.option(
    "--expect", is_flag=True, help="Compare with the match, or the error and reason, that a line itself has."
)
@json_option
def check(file: str | None, engine: str, expect: bool, as_json: bool) -> None:
    """Tell for each line of FILE, or of stdin, whether its pattern matches its event.

    A line is a JSON object with id, pattern and event; pattern and event are objects, or strings with the JSON text
    itself. A line with the same id comes out at once, in order: {"id": "a", "match": true}, or {"id": "a", "error":
    "InvalidEventPatternException", "reason": "…"}, or "InvalidEvent" for an event that is no object. A line that is
    no such object comes out as {"line": 3, "error": "InvalidLine", "reason": "…"}. Empty lines are passed over, other
    members ignored. What comes out is JSON with or without --json.

    Exits 0 when every line was answered, whatever the answers; 1 when one was no such object or, with --expect, when
    an answer is not the one expected, a line expects nothing, or there is none; 2 when it was asked wrongly, also for
    an engine that is not installed. Why it is 1 is said line by line on stderr.

    \b
    Example:
      busway pattern check rules.jsonl
      busway pattern check --expect tests/rules.jsonl > /dev/null
      echo '{"id": "a", "pattern": {"source": ["shop"]}, "event": {"source": "shop"}}' | busway pattern check
    """
    from busway.errors import EngineNotInstalled
    from busway.pattern.check import ENGINES

    try:
        matches = ENGINES[engine]()
    except EngineNotInstalled as missing:
        raise click.UsageError(f"--engine {engine}: {missing}; --engine reference is always there") from missing
    with _opened(file) as lines:
        answered, wrong = _answer(lines, matches, expect)
    if wrong:
        say(f"{counted(wrong, 'line')} not as {'expected' if expect else 'it should be'}")
    if expect and not answered:
        say("nothing was checked: there is no line")
    click.get_current_context().exit(1 if wrong or (expect and not answered) else 0)


def _answer(lines: BinaryIO, matches: Verdict, expect: bool) -> tuple[int, int]:
    """Answer line by line; each is out before the next is read. Gives back how many there were, how many wrong."""
    from busway.errors import InvalidCase
    from busway.pattern.check import outcome_of, read_case, unexpected

    answered = wrong = 0
    for number, line in enumerate(lines, 1):
        line = line.removeprefix(BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        answered += 1
        try:
            case = read_case(line)
        except InvalidCase as fault:
            wrong += 1
            print_line({"line": number, "error": "InvalidLine", "reason": str(fault)})
            say(visible(f"line {number}: {fault}"))
            continue
        outcome = outcome_of(case, matches)
        print_line(outcome)
        differs = unexpected(case, outcome) if expect else ""
        if differs:
            wrong += 1
            say(visible(f"line {number}, {bytes(case.id).decode()}: {differs}"))
    return answered, wrong


@contextmanager
def _opened(file: str | None) -> Generator[BinaryIO]:
    """Raises UsageError for a file that cannot be read."""
    if file is None or file == "-":
        yield sys.stdin.buffer
        return
    try:
        lines = open(file, "rb")  # noqa: SIM115
    except OSError as problem:
        raise unreadable("FILE", file, problem, "a file of JSON lines, or - for stdin") from problem
    with lines:
        yield lines
