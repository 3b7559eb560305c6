"""A content filter as the generator takes it: a pattern over the detail, tried on samples as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from busway.cli.output import say
from busway.cli.prompts import ask_text

if TYPE_CHECKING:
    from busway.road.event_files import EventSpec


def asked_filter(root: Path, event: EventSpec, given: str | None, asking: bool) -> str:
    """The filter as JSON text, "" for none; which of the known samples it matches is shown as it is typed."""
    from busway.road.trial import samples_for, tried

    if given is None and not asking:
        return ""
    event_class, samples = samples_for(root, event)

    def trial(text: str, called: str = "the filter") -> str:
        return f"the filter {tried(event_class, filter_of(text, called), samples)}"

    if given is not None:
        say(trial(given, "--filter"))
        return given
    question = (
        'Only some of these events? A pattern over the detail such as {"total": [{"numeric": [">", 100]}]}, or empty:'
    )
    return ask_text(question, check=lambda text: filter_of(text, "the filter"), live=trial)


def filter_of(text: str, called: str = "--filter") -> dict[str, Any]:
    """A filter that the pattern language accepts; {} for none. `called`: as whoever gave it knows it."""
    import msgspec

    from busway.errors import GeneratorRefused, InvalidPattern
    from busway.pattern import parse

    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise GeneratorRefused(
            f"{called} is not a JSON object: {error}", 'for example: {"total": [{"numeric": [">", 100]}]}'
        ) from error
    try:
        parse(msgspec.json.encode({"detail": found}).decode())
    except InvalidPattern as error:
        example = 'values stand in lists, for example: {"location": ["Oslo"], "total": [{"numeric": [">", 100]}]}'
        raise GeneratorRefused(f"{called}: {error}", example) from error
    return found
