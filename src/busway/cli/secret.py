"""`busway secret`: values that handlers get and nobody reads in the tree, in a function's settings or on disk."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.options import connect, server_options
from busway.cli.output import print_json, say, table
from busway.cli.prompts import ask_hidden, may_ask

if TYPE_CHECKING:
    from busway.road.connection import Connection


@click.group()
def secret() -> None:
    """Keep the secrets of handlers, sealed on the server.

    \b
    Example:
      busway secret set STRIPE_KEY
    """


@secret.command(name="set", short_help="Seal a value.")
@click.argument("name")
@server_options
def set_secret(name: str, endpoint: str, as_json: bool) -> None:
    """Seal a value under NAME, for handlers with `secrets=["NAME"]`. It is asked for, or read from stdin.

    Handlers that have it already get the new value with their next event.

    \b
    Example:
      busway secret set STRIPE_KEY
      pass show stripe | busway secret set STRIPE_KEY
    """
    from busway.road.secrets import put_secret

    kept = _kept_as(name)
    value = ask_hidden(f"Value of {name}?") if may_ask() else sys.stdin.read().rstrip("\r\n")
    if not value:
        raise click.UsageError(f"no value for {name} on stdin")
    made = put_secret(connect(endpoint), kept, value)
    if as_json:
        print_json({"name": name, "secret": kept, "created": made})
    else:
        say(f"{kept} is {'sealed' if made else 'another value now'}")


@secret.command(name="list", short_help="List secrets, never their values.")
@server_options
def list_secrets(endpoint: str, as_json: bool) -> None:
    """List the secrets of this project, or outside of one all of the server's. No value is shown.

    \b
    Example:
      busway secret list
    """
    prefix = _kept_as("")
    found = [one for one in _all(connect(endpoint)) if one["Name"].startswith(prefix)]
    shown = [{"name": one["Name"].removeprefix(prefix), "changed_at": one["LastChangedDate"]} for one in found]
    if as_json:
        print_json({"secrets": [{**one, "changed_at": one["changed_at"].timestamp()} for one in shown]})
        return
    table(("secret", "changed"), [(one["name"], _time(one["changed_at"])) for one in shown])


@secret.command(name="remove", short_help="Delete a secret.")
@click.argument("name")
@server_options
def remove_secret(name: str, endpoint: str, as_json: bool) -> None:
    """Delete the secret NAME at once and for good. Handlers that ask for it fail until it is set again.

    \b
    Example:
      busway secret remove STRIPE_KEY
    """
    kept = _kept_as(name)
    given = {"SecretId": kept, "ForceDeleteWithoutRecovery": True}
    connect(endpoint).call("secretsmanager", "DeleteSecret", given)
    if as_json:
        print_json({"name": name, "secret": kept})
    else:
        say(f"{kept} is gone")


def _kept_as(name: str) -> str:
    """Below the project's name in a project, and as it is anywhere else."""
    from busway.errors import ProjectNotFound
    from busway.handling import variables
    from busway.road.root import find_root, read_config
    from busway.secret.reference import secret_name

    try:
        root = find_root(Path.cwd())
    except ProjectNotFound:
        return name
    variables("secret", [name] if name else [])
    return secret_name(read_config(root).name, name)


def _all(connection: Connection) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {}
    while True:
        answer = connection.call("secretsmanager", "ListSecrets", page)
        found += answer["SecretList"]
        if not answer.get("NextToken"):
            return found
        page = {"NextToken": answer["NextToken"]}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
