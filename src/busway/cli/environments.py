"""The environments that a project's configuration names, as `deploy`, `diff`, `status` and `rollback` take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from busway.cli.options import connect
from busway.errors import BrokenProject, ServerUnreachable

if TYPE_CHECKING:
    from busway.road.connection import Connection


def _named(context: click.Context, argument: click.Parameter, given: str | None) -> str:
    """Where none is named, those that there are are."""
    from busway.cli.options import project_root
    from busway.road.root import read_config

    if given is not None:
        return given
    known = ", ".join(sorted(read_config(project_root()).targets)) or "none yet: docs/environments.md"
    raise click.UsageError(f"ENV is missing; the project's environments are {known}")


environment_argument = click.argument("environment", metavar="ENV", required=False, callback=_named)


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
