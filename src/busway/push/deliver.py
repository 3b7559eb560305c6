"""What was built, deployed as by `busway deploy`, by the server itself in the name of who pushed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from busway.errors import BuswayError, PushRefused
from busway.road.connection import Connection
from busway.road.release.release import Project, deploy, review
from busway.road.release.variables import variables_of

Say = Callable[[str], None]


def deliver(project: Project, connection: Connection, options: Mapping[str, str], say: Say) -> None:
    """Blocks until it is live, or was refused (PushRefused); what ran before goes on then."""
    try:
        for name, value in options.items():
            if "{{resolve:" in value:
                # A reference is looked up in the server's name, and may be of another project's secret.
                raise PushRefused(f"-o {name} refers to a secret", "secrets=[…] of a handler is for those")
        _check_variables(project, {**variables_of(project.manifest, connection).all, **options})
        found = review(project, connection, options)
        if found.idle:
            say("this is what runs already")
            return
        for change in found.changes:
            if change.kind != "same":
                say(f"{change.kind} {change.what} {change.name}")
        made = deploy(found, connection, options, say)
    except PushRefused:
        raise
    except BuswayError as error:
        raise PushRefused(str(error), error.hint) from error
    say(f"deployment {made.number} is live")


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
