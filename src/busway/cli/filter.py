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

    def trial(text: str) -> str:
        return f"the filter {tried(event_class, filter_of(text), samples)}"

    if given is not None:
        say(trial(given))
        return given
    question = "Only some of these events? A pattern over the detail, or empty:"
    return ask_text(question, check=filter_of, live=trial)


def filter_of(text: str) -> dict[str, Any]:
    """A filter that the pattern language accepts; {} for none."""
    import msgspec

    from busway.errors import GeneratorRefused, InvalidPattern
    from busway.pattern import parse

    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise GeneratorRefused(
            f"--filter is not a JSON object: {error}", 'for example: {"total": [{"numeric": [">", 100]}]}'
        ) from error
    try:
        parse(msgspec.json.encode({"detail": found}).decode())
    except InvalidPattern as error:
        example = 'values stand in lists, for example: {"location": ["Oslo"], "total": [{"numeric": [">", 100]}]}'
        raise GeneratorRefused(f"--filter: {error}", example) from error
    return found
