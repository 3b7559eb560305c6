"""The environments that a project's configuration names, as `deploy`, `diff`, `status` and `rollback` take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from busway.cli.options import connect
from busway.errors import BrokenProject, ServerUnreachable

if TYPE_CHECKING:
    from busway.road.connection import Connection

environment_argument = click.argument("environment", metavar="ENV")


def target_of(root: Path, environment: str) -> str:
    """ "aws", or a server's address; the environment may be such an address itself. Raises BrokenProject."""
    from busway.road.root import NODE, PYTHON, is_python, read_config

    if environment.startswith(("http://", "https://")):
        return environment
    targets = read_config(root).targets
    if environment not in targets:
        file = PYTHON if is_python(root) else NODE
        known = ", ".join(sorted(targets)) or "none"
        raise BrokenProject(
            f"{root / file} has no environment {environment!r}; it has {known}",
            f'[tool.busway.env.{environment}] target = "https://bus.example.com", or "aws"'
            if file == PYTHON
            else f'"busway": {{"env": {{"{environment}": {{"target": "https://bus.example.com"}}}}}}, or "aws"',
        )
    return targets[environment]


def server_of(target: str) -> Connection:
    """The server at an address. Raises ServerUnreachable with what may be missing."""
    connection = connect(target)
    if not connection.healthy():
        problem = ServerUnreachable(target)
        problem.hint = f"look whether it runs: curl {target.rstrip('/')}/health"
        raise problem
    return connection
