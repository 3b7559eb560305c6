"""Whether a function has nothing left to do, by what /_busway/status tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_idle(status: Mapping[str, Any], function: str) -> bool:
    """No invocation waits or runs, no source that it reads in batches holds anything, and no bus is behind."""
    invocations = [one["invocations"] for one in status["functions"] if one["name"] == function]
    mappings = [one for one in status["mappings"] if _function_of(one["function"]) == function]
    queues = {one["arn"]: one for one in status["queues"]}
    waiting = [*invocations, *(queues[one["source"]] for one in mappings if one["source"] in queues)]
    return (
        not any(one[state] for one in waiting for state in ("ready", "in_flight", "delayed"))
        and not any(one["behind"] for one in mappings)
        and not any(bus["behind"] for bus in status["buses"])
    )


def _function_of(arn: str) -> str:
    """`arn:aws:lambda:…:function:mail:live` gives `mail`."""
    return arn.split(":", 6)[-1].split(":")[0]
