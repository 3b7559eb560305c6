"""`busway deploy ENV`, `busway diff ENV`, `busway rollback ENV`: a project on a server, or on AWS."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.environments import environment_argument, server_of, target_of
from busway.cli.options import json_option, project_root
from busway.cli.output import line, print_json, say
from busway.cli.prompts import may_ask
from busway.errors import BrokenProject

if TYPE_CHECKING:
    from busway.road.connection import Connection
    from busway.road.release.changes import Change
    from busway.road.release.drift import Drift
    from busway.road.release.history import Deployment
    from busway.road.release.release import Review

_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red"), "same": ("=", "dim")}


@click.command()
@environment_argument
@click.option("--yes", is_flag=True, help="Do not ask; without a terminal nothing is ever asked.")
@json_option
def deploy(environment: str, yes: bool, as_json: bool) -> None:
    """Make the project live in an environment: show what changes, then change it.

    A handler's new version takes over when it starts and reads its sample event; until then, and if it does not, what
    ran before goes on. What is under way when it takes over runs to its end.

    \b
    Example:
      busway deploy prod
    """
    from busway.road.release.release import deploy as make

    found, connection = _review(environment)
    if not as_json:
        _show(found, environment)
    if found.idle:
        _told(as_json, found.history.live, found, "nothing to do")
        return
    if not (yes or as_json) and may_ask() and not click.confirm("deploy this?", default=True):
        click.get_current_context().exit(1)
    made = make(found, connection, os.environ, say)
    _told(as_json, made, found, f"deployment {made.number} is live")


@click.command()
@environment_argument
@click.option("--check", is_flag=True, help="Exit 1 when deploying would change something.")
@json_option
def diff(environment: str, check: bool, as_json: bool) -> None:
    """Show what deploying would change in an environment, and what somebody changed there by hand.

    \b
    Example:
      busway diff prod
    """
    found, _ = _review(environment)
    if as_json:
        print_json(_facts(found))
    else:
        _show(found, environment)
        if found.idle:
            say("nothing to do")
    click.get_current_context().exit(1 if check and not found.idle else 0)


@click.command()
@environment_argument
@json_option
def rollback(environment: str, as_json: bool) -> None:
    """Go back to what ran before the last deployment: its versions, rules and settings.

    \b
    Example:
      busway rollback prod
    """
    from busway.road.release.release import roll_back
    from busway.road.root import read_config

    root = project_root()
    connection = _server(root, environment)
    made = roll_back(read_config(root).name, connection, say)
    _told(as_json, made, None, f"deployment {made.number} is live: what ran in {made.again}{_commit(made)}")


def _server(root: Path, environment: str) -> Connection:
    """Raises BrokenProject for an environment that is not a server's."""
    from busway.road.root import AWS

    target = target_of(root, environment)
    if target == AWS:
        raise BrokenProject(
            f"environment {environment!r} is on AWS, which this version does not deploy to",
            'name a Busway server: target = "https://bus.example.com"',
        )
    return server_of(target)


def _review(environment: str) -> tuple[Review, Connection]:
    from busway.road.release.release import read_project, review

    root = project_root()
    connection = _server(root, environment)
    return review(asyncio.run(read_project(root)), connection, os.environ), connection


def _told(as_json: bool, made: Deployment | None, found: Review | None, text: str) -> None:
    if as_json:
        about = {} if found is None else _facts(found)
        print_json({**about, "deployment": made and {"number": made.number, "commit": made.commit}})
    else:
        say(text)


def _facts(found: Review) -> dict[str, Any]:
    live = found.history.live
    return {
        "project": found.project.manifest.project,
        "live": live and {"number": live.number, "commit": live.commit, "at": live.begun_at},
        "commit": found.project.commit,
        "changes": [one for one in found.changes if one.kind != "same"],
        "drift": found.drift,
        "unfinished": [one.number for one in found.history.unfinished],
    }


def _show(found: Review, environment: str) -> None:
    live, project = found.history.live, found.project
    now = "nothing is deployed yet" if live is None else f"deployment {live.number} is live{_commit(live)}"
    say(f"{project.manifest.project} in {environment}: {now}")
    for one in found.history.unfinished:
        why = one.error or "it was cut off"
        say(f"deployment {one.number} did not get to its end: {why}; all it may have touched is made anew")
    _show_changes(found.changes)
    _show_drift(found.drift)


def _commit(made: Deployment) -> str:
    return f" (commit {made.commit})" if made.commit else ""


def _show_changes(changes: Sequence[Change]) -> None:
    for one in changes:
        if one.kind == "same":
            continue
        sign, style = _SIGNS[one.kind]
        line((f"{sign} {one.kind} {one.what} ", style), (one.name, "bold"))
        for each in one.differences:
            shown = "another" if each.name == "code" else f"{each.was!r} -> {each.to!r}"
            line((f"    {each.name}: ", "dim"), shown)


def _show_drift(drift: Sequence[Drift]) -> None:
    for one in drift:
        line(("! ", "red"), (f"{one.name} ", "bold"), f"{one.thing} {one.setting}: ".replace("  ", " "))
        line("    ", f"it is {one.found!r}, and was deployed as {one.wanted!r}; deploying sets it back")
