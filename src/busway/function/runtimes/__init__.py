"""What runs inside a worker process, and how a runtime of AWS's list is started. Standard library only.

    launch    the first code in every worker: ties it to the server, sets its limits, then becomes the runtime
    python    our client of the Runtime API, for Python handlers
    node      our client of the Runtime API, for JavaScript handlers, and which Node.js runs it

A runtime is a row here: what follows `launch` on the command line, and over which transport it speaks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from busway.function.runtimes.node import CLIENT, find_node


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a function is run. `tcp` is for clients that only know AWS_LAMBDA_RUNTIME_API; ours gets a socket.

    The word NODE in a command stands for the Node.js of this machine.
    """

    command: tuple[str, ...]
    tcp: bool = False


NODE = "NODE"
# By the name that AWS gives the runtime, without its version. The server's own Python runs every python3, the Node.js
# that is found runs every nodejs. `provided` is the executable of the package:
# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-provided.html
RUNTIMES: Mapping[str, Runtime] = {
    "python3": Runtime(("python",)),
    "nodejs": Runtime(("node", NODE, CLIENT)),
    "provided": Runtime(("exec", "./bootstrap"), tcp=True),
}
_NAME = re.compile(r"(python3)\.\d+|(nodejs)\d+\.x|(provided)(?:\.al2|\.al2023)?")


def runtime_kind(name: str) -> str | None:
    """`python3.12` is of kind `python3`, `provided.al2023` of kind `provided`; None for no runtime that is built."""
    match = _NAME.fullmatch(name)
    return match and next(kind for kind in match.groups() if kind)


def missing(name: str) -> str | None:
    """What this machine lacks to run the runtime, with a hint; None when it can."""
    if runtime_kind(name) == "nodejs" and find_node() is None:
        return "found no Node.js 20 or newer; install it, or install Busway as busway[node], which brings it"
    return None


def ready(runtime: Runtime) -> Runtime:
    """The runtime with the programs of this machine in place. Does not raise: what lacks, fails as it starts."""
    if NODE not in runtime.command:
        return runtime
    node = find_node()
    found = "node" if node is None else node.path
    return replace(runtime, command=tuple(found if word == NODE else word for word in runtime.command))
