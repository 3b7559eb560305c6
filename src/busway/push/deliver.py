"""What was built, deployed as by `busway deploy`, by the server itself in the name of who pushed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from busway.errors import BuswayError, PushRefused, ServerRefused
from busway.road.connection import Connection
from busway.road.manifest import function_name
from busway.road.release.plan import LIVE
from busway.road.release.release import Project, deploy, review

Say = Callable[[str], None]


def deliver(project: Project, connection: Connection, options: Mapping[str, str], say: Say) -> None:
    """Blocks until it is live, or was refused (PushRefused); what ran before goes on then."""
    try:
        for name, value in options.items():
            if "{{resolve:" in value:
                # A reference is looked up in the server's name, and may be of another project's secret.
                raise PushRefused(f"-o {name} refers to a secret", "secrets=[…] of a handler is for those")
        environment = {**_variables_now(project, connection), **options}
        _check_variables(project, environment)
        found = review(project, connection, environment)
        if found.idle:
            say("this is what runs already")
            return
        for change in found.changes:
            if change.kind != "same":
                say(f"{change.kind} {change.what} {change.name}")
        made = deploy(found, connection, environment, say)
    except PushRefused:
        raise
    except BuswayError as error:
        raise PushRefused(str(error), error.hint) from error
    say(f"deployment {made.number} is live")


def _variables_now(project: Project, connection: Connection) -> dict[str, str]:
    """What the functions that run have: it stays, where a push says nothing else."""
    found: dict[str, str] = {}
    for entry in (one for one in project.manifest.handlers if one.env):
        name = function_name(project.manifest.project, entry.name)
        try:
            told = connection.call("lambda", "GetFunctionConfiguration", {"FunctionName": name, "Qualifier": LIVE})
        except ServerRefused as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            continue
        variables = told.get("Environment", {}).get("Variables", {})
        found |= {variable: variables[variable] for variable in entry.env if variable in variables}
    return found


def _check_variables(project: Project, environment: Mapping[str, str]) -> None:
    """The server's own variables are no project's: a push brings its own."""
    for entry in project.manifest.handlers:
        for variable in entry.env:
            if variable not in environment:
                raise PushRefused(
                    f"{entry.file} passes on env {variable!r}, which was never set",
                    f"git push -o {variable}=... busway main; it is kept from then on",
                )


def of_commit(project: Project, commit: bytes) -> Project:
    return replace(project, commit=commit[:12].decode())
