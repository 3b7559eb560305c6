"""How the command line shows things: JSON for programs, rich tables and timelines for people.

rich reads NO_COLOR and FORCE_COLOR itself. Nothing here is imported before a command has something to show.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 400
# What a terminal would act on instead of showing it: control characters, line ends that are none, text turned around.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Colours of what can happen to an event.
STYLES = {
    "accepted": "cyan",
    "matched": "blue",
    "queued": "blue",
    "attempt": "dim",
    "retried": "yellow",
    "delivered": "green",
    "dead-lettered": "bold red",
    "dropped": "magenta",
    "alarm": "bold red",
    "alert": "bold red",
    "redriven": "green",
    "missed": "yellow",
}


def harmless(text: str) -> str:
    """Text from an event, a log or an error, for a terminal: `\\x1b[2J` is shown, not obeyed."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible(text: str) -> str:
    """As `harmless`, with further lines indented, so that none of them passes for a line of ours."""
    return harmless(text).replace("\n", "\n    ")


def escape_unencodable() -> None:
    """What stdout's encoding has no sign for becomes an escape, as of JSON, in everything that is printed."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # a test's stdout may be no stream with an encoding
        codecs.register_error("busway-escapes", _escapes)
        reconfigure(errors="busway-escapes")


def _escapes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


def say(text: str) -> None:
    """Progress and remarks: to stderr, so that stdout holds data only."""
    click.echo(harmless(text), err=True)


def print_json(value: Any, *, indent: bool = True) -> None:
    import msgspec

    text = msgspec.json.encode(value, order="deterministic" if indent else None)
    # Also on one line: in what somebody else wrote as JSON, line ends may stand between the values.
    print_text(msgspec.json.format(text, indent=2 if indent else -1).decode())


def print_text(text: str) -> None:
    """JSON that is written already; what a terminal would act on is the same as an escape."""
    click.echo(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_line(value: Any) -> None:
    """One JSON line of a stream, flushed."""
    print_json(value, indent=False)
    sys.stdout.flush()


@cache
def console() -> Console:
    """Where data for people goes. Into a pipe, lines are as long as they are, so that grep finds what is in them."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            # Whoever reads had enough, which is no failure: `main` ends quietly.
            raise BrokenPipeError

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Piped(highlight=False, soft_wrap=True, width=wide)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """A table without lines; cells are shown as text, never read as markup."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, title=title or None, title_justify="left", pad_edge=False, header_style="bold")
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    console().print(shown)


def styled(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(visible(text), style=style)


def line(*parts: str | tuple[str, str]) -> None:
    """One line of text; a part may carry a style. Text is never read as markup."""
    from rich.text import Text

    shown = (visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts)
    console().print(Text.assemble(*shown))


def moment(at: float | str | None) -> str:
    """A moment in local time, to the millisecond; "" for none."""
    if at is None or at == "":
        return ""
    when = datetime.fromisoformat(at) if isinstance(at, str) else _when(at)
    return when.astimezone().strftime("%H:%M:%S.%f")[:-3]


def day(at: float) -> str:
    """A day and its minute, in local time."""
    return _when(at).astimezone().strftime("%Y-%m-%d %H:%M")


def _when(at: float) -> datetime:
    """A moment that others wrote may lie beyond what there are years for."""
    return datetime.fromtimestamp(min(max(at, 0.0), 253_000_000_000.0), UTC)


def ago(seconds: float) -> str:
    """A length of time as people say it: `3 s`, `4 min`, `5 h`, `6 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def cell(text: str) -> str:
    """A long text for a column of a table: on a terminal its beginning, into a pipe all of it."""
    return brief(text) if console().is_terminal else text


def counted(number: int, noun: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def brief(text: str, chars_max: int = 100) -> str:
    """The beginning of a text's first line."""
    first, *rest = text.split("\n", 1)
    return first if len(first) <= chars_max and not rest else first[: chars_max - 1].rstrip() + "…"


def _cell(value: Any) -> str:
    return "" if value is None else visible(str(value))


def problem_of(told: Mapping[str, Any]) -> str:
    """How something failed: the error's code and message, as far as they are known."""
    return problem(told.get("error_code"), told.get("error_message"))


def problem(code: str | None, message: str | None) -> str:
    return ": ".join(part for part in (code, message) if part)
