"""A handler's options by their names in TypeScript, as the decorators for Python take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from busway.batch_handling import BatchHandler, batch_handler
from busway.errors import InvalidHandler
from busway.event import Event, ScheduledEvent
from busway.handling import Handler, handler

_NAMES = {"maxAge": "max_age", "memoryMb": "memory_mb", "orderBy": "order_by"}


def made(event_class: type[Event], options: Mapping[str, Any], function: Callable[[Any], Any]) -> Handler[Any, Any]:
    """A handler of single events. This and `made_for_batches` raise InvalidHandler for what they can't be."""
    return handler(event_class, **_python_options(options, handler))(function)


def made_for_batches(
    event_class: type[Event], options: Mapping[str, Any], fields: Mapping[str, Any] | None = None
) -> BatchHandler[Any, Any]:
    """A handler of batches that runs elsewhere. `fields`: those that its events may be ordered by, None for any."""
    given = _python_options(options, batch_handler)
    order_by = given.get("order_by")
    if isinstance(order_by, str) and not order_by.startswith("$."):
        if fields is not None and order_by not in fields:
            known = ", ".join(fields) or "none"
            raise InvalidHandler(f"orderBy={order_by!r}; the fields of its event are: {known}")
        given["order_by"] = f"$.detail.{order_by}"

    def together(events: Any) -> None:
        raise AssertionError(f"{len(events)} events came to where their handler is only described")

    together.__annotations__["events"] = list[event_class]
    return batch_handler(event_class, **given)(together)


def _python_options(options: Mapping[str, Any], decorator: Callable[..., Any]) -> dict[str, Any]:
    """Raises InvalidHandler for one that there is not."""
    there = [name for name in inspect.signature(decorator).parameters if name != "event_class"]
    for name in options:
        if _NAMES.get(name, name) not in there:
            known = ", ".join(typescript_words(name) for name in there)
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
