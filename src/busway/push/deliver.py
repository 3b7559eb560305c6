"""What was built, deployed as by `busway deploy`, by the server itself in the name of who pushed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from busway.errors import BuswayError, MissingVariable, PushRefused
from busway.road.connection import Connection
from busway.road.release.release import Project, deploy, review

Say = Callable[[str], None]


def deliver(project: Project, connection: Connection, options: Mapping[str, str], say: Say) -> None:
    """Blocks until it is live, or was refused (PushRefused); what ran before goes on then."""
    try:
        for name, value in options.items():
            if "{{resolve:" in value:
                # A reference is looked up in the server's name, and may be of another project's secret.
                raise PushRefused(f"-o {name} refers to a secret", "secrets=[…] of a handler is for those")
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
    except MissingVariable as missing:
        # The server's own variables are no project's: a push brings its own.
        raise PushRefused(
            f"{missing.file} passes on env {missing.variable!r}, which was never set",
            f"git push -o {missing.variable}=... busway main; it is kept from then on",
        ) from missing
    except BuswayError as error:
        raise PushRefused(str(error), error.hint) from error
    say(f"deployment {made.number} is live")


def of_commit(project: Project, commit: bytes) -> Project:
    return replace(project, commit=commit[:12].decode())
