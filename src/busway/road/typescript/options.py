"""A handler's options by their names in TypeScript, as the decorator for Python takes them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from busway.errors import InvalidHandler
from busway.event import Event, ScheduledEvent
from busway.handling import handler

_NAMES = {"maxAge": "max_age", "memoryMb": "memory_mb"}
_KNOWN = [name for name in inspect.signature(handler).parameters if name != "event_class"]


def python_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Raises InvalidHandler for one that there is not."""
    for name in options:
        if _NAMES.get(name, name) not in _KNOWN:
            known = ", ".join(typescript_words(name) for name in _KNOWN)
            raise InvalidHandler(f"there is no option {name!r}", f"there are {known}")
    return {_NAMES.get(name, name): value for name, value in options.items()}


def event_class_of(source: str, detail_type: str) -> type[Event]:
    """A class that finds the same events, and takes whatever is in them."""
    if source == ScheduledEvent.event_source:
        return ScheduledEvent

    class Found(Event, source=source, detail_type=detail_type):
        pass

    return Found


def typescript_words(text: str) -> str:
    """What is said of an option, by its name in TypeScript."""
    for ours, theirs in _NAMES.items():
        text = text.replace(theirs, ours)
    return text
