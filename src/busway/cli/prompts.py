"""Questions on a terminal. Without one nothing is ever asked: what is missing is named as flags, exit code 2."""

from __future__ import annotations

import os
import re
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


def ask_text(
    question: str,
    default: str = "",
    check: Callable[[str], object] | None = None,
    live: Callable[[str], str] | None = None,
    words: Sequence[str] = (),
) -> str:
    """An answer that `check` accepts; `check` raises a BuswayError whose text is shown beside the question.

    `default` is what an empty answer means, shown in grey until something is typed. `live` says something about what
    stands there, as it is typed. `words` are found by some of their letters.
    """
    import questionary

    def verdict(text: str) -> bool | str:
        try:
            if check is not None:
                check(text or default)
        except BuswayError as error:
            return _first_line(error)
        return True

    more: dict[str, Any] = {"bottom_toolbar": _said(live)} if live else {}
    if words:
        from prompt_toolkit.completion import FuzzyWordCompleter

        more |= {"completer": FuzzyWordCompleter(list(words)), "complete_while_typing": True}
    if default:
        more["placeholder"] = [("fg:ansibrightblack", default)]
    return str(_answered(questionary.text(question, validate=verdict, **more))) or default


def by_letters(text: str, words: Sequence[str]) -> str:
    """The word that small letters find: that has them in this order, closest together; else the text itself.

    What begins with a capital is a name, also where it is part of another one.
    """
    if text in words or not text[:1].islower():
        return text
    letters = re.compile(f"(?=({'.*?'.join(map(re.escape, text))}))", re.IGNORECASE)
    found = [(len(each[1]), each.start(), word) for word in words for each in letters.finditer(word)]
    return min(found)[2] if found else text


def _said(live: Callable[[str], str]) -> Callable[[], str]:
    """What is shown below the line that is being typed; nothing while it is empty, or not yet right."""

    def toolbar() -> str:
        from prompt_toolkit.application import get_app

        text = get_app().current_buffer.text
        try:
            return live(text) if text.strip() else ""
        except BuswayError as error:
            return f"not yet: {_first_line(error)}"

    return toolbar


def _first_line(error: BuswayError) -> str:
    """All that there is room for below the line that is being typed."""
    return str(error).split("\n", 1)[0]


def ask_hidden(question: str) -> str:
    """An answer that is not shown."""
    import questionary

    return str(_answered(questionary.password(question)))


def ask_choice(question: str, choices: Sequence[str], default: str) -> str:
    import questionary

    return str(_answered(questionary.select(question, choices=list(choices), default=default)))


def _answered(question: Any) -> Any:
    """Ctrl-C at a question ends the command as everywhere else, with 130."""
    return question.unsafe_ask()
