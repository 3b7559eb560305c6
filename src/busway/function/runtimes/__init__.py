"""What runs inside a worker process, and how a runtime of AWS's list is started. Standard library only.

    launch    the first code in every worker: ties it to the server, sets its limits, then becomes the runtime
    python    our client of the Runtime API, for Python handlers

A runtime is a row here: what follows `launch` on the command line, and over which transport it speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a function is run. `tcp` is for clients that only know AWS_LAMBDA_RUNTIME_API; ours gets a socket."""

    command: tuple[str, ...]
    tcp: bool = False


# By the name that AWS gives the runtime, up to its version. The server's own Python runs every python3.
RUNTIMES: Mapping[str, Runtime] = {"python3": Runtime(("python",))}


def runtime_kind(name: str) -> str:
    """`python3.12` is of kind `python3`, `provided.al2023` of kind `provided`."""
    return name.split(".", 1)[0]
