"""What a rule can deliver to: one file a kind.

`KINDS` is the table, by the service of the target's ARN. `server` loads it and hands every class the ports that it
asks for.
"""

from __future__ import annotations

from importlib import import_module

KINDS: dict[str, str] = {
    "lambda": "busway.targets.function:FunctionTarget",
    "sqs": "busway.targets.queue:QueueTarget",
    "events": "busway.targets.bus:BusTarget",
}


def load_kind(kind: str) -> type:
    """The class for a kind of target. Raises KeyError for a kind that isn't in the table."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)
