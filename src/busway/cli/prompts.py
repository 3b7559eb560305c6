"""Questions on a terminal. Without one nothing is ever asked: what is missing is named as flags, exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from busway.errors import BuswayError


def may_ask() -> bool:
    """Whether a person sits there: stdin and stdout are terminals, and no CI runs this."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def missing(flags: Sequence[str], example: str) -> click.UsageError:
    """For all that is missing at once, with a command that would do."""
    *others, last = flags
    named = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return click.UsageError(f"{named} missing, and there is no terminal to ask on; for example:\n  {example}")


def ask_text(question: str, default: str = "", check: Callable[[str], object] | None = None) -> str:
    """An answer that `check` accepts; `check` raises a BuswayError whose text is shown beside the question."""
    import questionary

    def verdict(text: str) -> bool | str:
        try:
            if check is not None:
                check(text)
        except BuswayError as error:
            return str(error)
        return True

    return str(_answered(questionary.text(question, default=default, validate=verdict)))


def ask_choice(question: str, choices: Sequence[str], default: str) -> str:
    import questionary

    return str(_answered(questionary.select(question, choices=list(choices), default=default)))


def _answered(question: Any) -> Any:
    """Ctrl-C at a question ends the command as everywhere else, with 130."""
    return question.unsafe_ask()
