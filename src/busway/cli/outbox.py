"""`busway outbox`: the table, the relay, and what waits."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.options import json_option, server_options
from busway.cli.output import print_json, say
from busway.errors import MissingExtra, OutboxUnreachable

if TYPE_CHECKING:
    from sqlalchemy import Engine

database_option = click.option(
    "--database", envvar="BUSWAY_OUTBOX_DATABASE", required=True, show_envvar=True, metavar="URL",
    help="The database, as SQLAlchemy writes it: postgresql+psycopg://user@host/name, sqlite:///file.db.",
)  # fmt: skip
REFUSALS_SHOWN = 20


@click.group()
def outbox() -> None:
    """Events written in a transaction of yours, and the relay that puts them on the bus."""


@outbox.command()
@click.option(
    "--dialect",
    type=click.Choice(["postgresql", "sqlite", "mysql"]),
    default="postgresql",
    show_default=True,
    help="The database's kind.",
)
@json_option
def schema(dialect: str, as_json: bool) -> None:
    """Print the statement that makes the table.

    \b
    Example:
      busway outbox schema --dialect postgresql | psql shop
    """
    _needs_sqlalchemy()
    from busway.outbox.table import schema as statement

    if as_json:
        print_json({"dialect": dialect, "statement": statement(dialect)})
    else:
        click.echo(statement(dialect), nl=False)


@outbox.command()
@database_option
@click.option("--aws", is_flag=True, help="To AWS itself, with the environment's credentials and region.")
@click.option("--once", is_flag=True, help="Publish what is there and end.")
@server_options
def relay(database: str, aws: bool, once: bool, endpoint: str, as_json: bool) -> None:
    """Publish what was committed, until it is ended. Several may run; one works, the others wait for its end.

    With --once it exits 1 when something is left that the bus did not take.

    \b
    Example:
      busway outbox relay --database postgresql+psycopg://shop@localhost/shop
      busway outbox relay --database sqlite:///shop.db --once
      busway outbox relay --database postgresql+psycopg://shop@db/shop --aws
    """
    engine = _engine(database)
    from sqlalchemy.exc import OperationalError, ProgrammingError

    from busway.outbox.relay import Relay

    try:
        relaying = Relay(engine, None if aws else _client(endpoint), say)
        published = relaying.run(once=once)
    except (OperationalError, ProgrammingError) as error:
        raise OutboxUnreachable(str(error.orig)) from error
    if as_json:
        print_json({"published": published, "stuck": relaying.stuck})
    else:
        click.echo(f"{published} published")
        if relaying.stuck:
            say("events are left, and nobody tries them again until the relay runs again")
    click.get_current_context().exit(1 if relaying.stuck else 0)


@outbox.command()
@database_option
@json_option
def status(database: str, as_json: bool) -> None:
    """Show how many events wait, and those that the bus refused, with the reason. Exits 1 when there are any.

    \b
    Example:
      busway outbox status --database sqlite:///shop.db
    """
    engine = _engine(database)
    from sqlalchemy.exc import OperationalError, ProgrammingError

    from busway.outbox.relay import counts, refusals

    try:
        with engine.connect() as connection:
            found, refused = counts(connection), refusals(connection, REFUSALS_SHOWN)
    except (OperationalError, ProgrammingError) as error:
        raise OutboxUnreachable(str(error.orig)) from error
    if as_json:
        print_json({**found, "refusals": refused})
    else:
        click.echo(f"{found['waiting']} waiting, {found['refused']} refused")
        for row in refused:
            say(f"row {row['id']} (key {row['key']}): {row['reason']}")
    click.get_current_context().exit(1 if found["refused"] else 0)


def _needs_sqlalchemy() -> None:
    try:
        importlib.import_module("sqlalchemy")
    except ImportError as error:
        raise MissingExtra("sqlalchemy", "outbox") from error


def _engine(database: str) -> Engine:
    _needs_sqlalchemy()
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    try:
        engine = create_engine(database)
    except (ArgumentError, ImportError) as error:
        raise click.UsageError(f"--database: {error}") from error
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    # SQLite would make an empty one.
    if file and file != ":memory:" and not file.startswith("file:") and not Path(file).exists():
        raise click.UsageError(f"--database: there is no file {file}")
    return engine


def _client(endpoint: str) -> Any:
    """A client of the server, with the keys of the environment; without any, with ones that development takes.

    Nobody else is asked for keys: a laptop would wait for a machine's metadata that it doesn't have.
    """
    return (
        importlib.import_module("botocore.session")
        .get_session()
        .create_client(
            "events",
            endpoint_url=endpoint,
            region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID") or "test",
            aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY") or "test",
            aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        )
    )
