"""Busway: EventBridge that you can run, test and understand.

What a handler imports (`from busway import Event, handler`) is loaded on first use, so that neither the
command line nor a Lambda zip pays for parts it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Event", "ScheduledEvent", "__version__", "batch_handler", "handler", "once", "publish"]

if TYPE_CHECKING:
    from busway.batch_handling import batch_handler
    from busway.event import Event, ScheduledEvent
    from busway.handling import handler
    from busway.idempotent import once
    from busway.publishing import publish


def __getattr__(name: str) -> Any:
    if name == "Event":
        from busway.event import Event

        return Event
    if name == "ScheduledEvent":
        from busway.event import ScheduledEvent

        return ScheduledEvent
    if name == "handler":
        from busway.handling import handler

        return handler
    if name == "batch_handler":
        from busway.batch_handling import batch_handler

        return batch_handler
    if name == "once":
        from busway.idempotent import once

        return once
    if name == "publish":
        from busway.publishing import publish

        return publish
    raise AttributeError(f"module 'busway' has no attribute {name!r}")
