"""`busway deploy ENV`, `busway diff ENV`, `busway rollback ENV`: a project on a server, or on AWS."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from busway.cli.environments import environment_argument, server_of, target_of
from busway.cli.options import json_option, project_root
from busway.cli.output import line, print_json, say
from busway.cli.prompts import may_ask

if TYPE_CHECKING:
    from busway.road.aws.compare import Difference
    from busway.road.aws.deploy import Deployed
    from busway.road.aws.stack import Progress
    from busway.road.release.history import Deployment
    from busway.road.release.release import Review


class Place(Protocol):
    """Where a project is deployed. Facts are what `--json` prints."""

    idle: bool

    def look(self) -> dict[str, Any]:
        """What deploying would change; sets `idle` when that is nothing."""
        ...

    def show(self) -> None:
        """The same for people."""
        ...

    def deploy(self) -> tuple[dict[str, Any], str]:
        """Do what `look` told; what came of it, as facts and as a line."""
        ...

    def roll_back(self) -> tuple[dict[str, Any], str]: ...


@click.command()
@environment_argument
@click.option("--yes", is_flag=True, help="Do not ask; without a terminal nothing is ever asked.")
@json_option
def deploy(environment: str, yes: bool, as_json: bool) -> None:
    """Make the project live in an environment: show what changes, then change it.

    On a Busway server a handler's new version takes over when it starts and reads its sample event; until then, and
    if it does not, what ran before goes on. What is under way when it takes over runs to its end. On AWS it is a
    change set of CloudFormation.

    \b
    Example:
      busway deploy prod
    """
    place = place_of(environment)
    facts = place.look()
    if not as_json:
        place.show()
    done, told = {}, "nothing to do"
    if not place.idle:
        if not (yes or as_json) and may_ask() and not click.confirm("deploy this?", default=True):
            click.get_current_context().exit(1)
        done, told = place.deploy()
    if as_json:
        print_json({**facts, **done})
    else:
        say(told)


@click.command()
@environment_argument
@click.option("--check", is_flag=True, help="Exit 1 when deploying would change something.")
@json_option
def diff(environment: str, check: bool, as_json: bool) -> None:
    """Show what deploying would change in an environment, and what somebody changed there by hand.

    For a pattern that changes: which of the events of the last seven days a server's handler or rule would have got
    more, and which no more.

    \b
    Example:
      busway diff prod
    """
    place = place_of(environment)
    facts = place.look()
    if as_json:
        print_json(facts)
    else:
        place.show()
        if place.idle:
            line("nothing to do")
    click.get_current_context().exit(1 if check and not place.idle else 0)


@click.command()
@environment_argument
@json_option
def rollback(environment: str, as_json: bool) -> None:
    """Go back to what ran before the last deployment: its versions, rules and settings.

    \b
    Example:
      busway rollback prod
    """
    done, told = place_of(environment).roll_back()
    if as_json:
        print_json(done)
    else:
        say(told)


def place_of(environment: str) -> Place:
    """Raises BrokenProject, ServerUnreachable."""
    from busway.road.root import AWS

    root = project_root()
    target = target_of(root, environment)
    return OnAws(root, environment) if target == AWS else OnServer(root, environment, target)


class OnServer:
    """A Busway server."""

    def __init__(self, root: Path, environment: str, target: str) -> None:
        self._root, self._environment, self._connection = root, environment, server_of(target)
        self._review: Review | None = None
        self.idle = False

    def look(self) -> dict[str, Any]:
        from busway.cli.deploy_review import facts_of, previews_of
        from busway.road.release.release import read_project, review

        self._review = review(asyncio.run(read_project(self._root)), self._connection, os.environ)
        self._previews = previews_of(self._review, self._connection)
        self.idle = self._review.idle
        return facts_of(self._review, self._previews)

    def show(self) -> None:
        from busway.cli.deploy_review import show_review

        assert self._review is not None
        show_review(self._review, self._environment, self._previews)

    def deploy(self) -> tuple[dict[str, Any], str]:
        from busway.road.release.release import deploy as make

        assert self._review is not None
        made = make(self._review, self._connection, os.environ, say)
        return _facts(made), f"deployment {made.number} is live"

    def roll_back(self) -> tuple[dict[str, Any], str]:
        from busway.road.release.release import roll_back
        from busway.road.root import read_config

        made = roll_back(read_config(self._root).name, self._connection, say)
        commit = f" (commit {made.commit})" if made.commit else ""
        return _facts(made), f"deployment {made.number} is live: what ran in {made.again}{commit}"


def _facts(made: Deployment) -> dict[str, Any]:
    return {"deployment": {"number": made.number, "commit": made.commit, "again": made.again}}


class OnAws:
    """A stack of CloudFormation."""

    def __init__(self, root: Path, environment: str) -> None:
        from busway.road.aws.access import open_aws
        from busway.road.aws.release import site_of

        self._root, self._environment = root, environment
        self._site = site_of(root, environment)
        self._aws = open_aws(self._site.settings, environment)
        self._difference: Difference | None = None
        self.idle = False

    def look(self) -> dict[str, Any]:
        import msgspec

        from busway.road.aws.compare import compare
        from busway.road.aws.release import make_release

        self._release = asyncio.run(make_release(self._root, self._environment))
        found = self._difference = compare(self._release, self._aws, os.environ, _progress)
        self.idle = not (found.new or found.resources or found.changes or found.variables)
        return msgspec.to_builtins(found)

    def show(self) -> None:
        found = self._difference
        assert found is not None
        line(f"stack {found.stack}{', which is not there yet' if found.new else ''}")
        for resource in found.resources:
            line(str(resource))
        for change in [] if found.new else found.changes:
            # Those of whole resources were told.
            if change.where.count(".") > 1 or not change.where.startswith("Resources."):
                line(("    ", "dim"), str(change))
        for variable in found.variables:
            line(("    ", "dim"), f"~ variable {variable}: another value")
        for made in found.drift:
            line((str(made), "red"))
            line("    ", ("deploying sets it back", "dim"))

    def deploy(self) -> tuple[dict[str, Any], str]:
        from busway.road.aws.deploy import deploy as make

        return _outcome(make(self._release, self._aws, os.environ, _progress))

    def roll_back(self) -> tuple[dict[str, Any], str]:
        from busway.road.aws.deploy import rollback as back

        return _outcome(back(self._site, self._aws, _progress))


def _outcome(made: Deployed) -> tuple[dict[str, Any], str]:
    import msgspec

    return {"deployment": msgspec.to_builtins(made)}, f"stack {made.stack} is deployed"


def _progress(happened: Progress) -> None:
    say(str(happened))
