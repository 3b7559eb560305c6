"""`busway list`: what the server has, by name; and the events of the project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from busway.cli.options import connect, server_options
from busway.cli.output import line, print_json, table
from busway.cli.timeline import name_of

if TYPE_CHECKING:
    from busway.road.connection import Connection

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sort:
    """One kind of thing: its columns, and where its rows come from."""

    columns: Sequence[str]
    rows: Callable[[Connection, Mapping[str, Any]], Rows]


@click.command(name="list")
@click.argument("what", required=False, type=click.Choice(["handlers", "rules", "queues", "streams", "events"]))
@server_options
def list_(what: str | None, endpoint: str, as_json: bool) -> None:
    """List handlers, rules, queues, streams or events: one of them, or all.

    Events are the classes of the project here; the rest is what the server has.

    \b
    Example:
      busway list
      busway list rules --json
    """
    chosen = [what] if what else list(SORTS)
    connection = connect(endpoint)
    status: dict[str, Any] = {} if chosen == ["events"] else connection.get("/_busway/status")
    found = {name: SORTS[name].rows(connection, status) for name in chosen}
    if as_json:
        print_json(found)
        return
    for number, (name, rows) in enumerate(found.items()):
        if number:
            line("")
        if not rows:
            line((f"no {name}", "dim"))
            continue
        columns = SORTS[name].columns
        table((name, *columns[1:]), [[_cell(row[column]) for column in columns] for row in rows])


def _cell(value: Any) -> Any:
    return ", ".join(cast("list[str]", value)) if isinstance(value, list) else value


def _handlers(_: Connection, status: Mapping[str, Any]) -> Rows:
    return [
        {
            "name": function["name"],
            "runtime": function["runtime"],
            "handler": function["handler"],
            "state": function["state"],
            "arn": function["arn"],
        }
        for function in status["functions"]
    ]


def _rules(_: Connection, status: Mapping[str, Any]) -> Rows:
    return [
        {
            "name": rule["name"],
            "bus": rule["bus"],
            "state": rule["state"],
            "targets": [name_of(target["arn"]) for target in rule["targets"]],
            "pattern": rule["pattern"],
            "schedule": rule["schedule"],
            "arn": rule["arn"],
        }
        for rule in status["rules"]
    ]


def _queues(_: Connection, status: Mapping[str, Any]) -> Rows:
    return [
        {"name": queue["name"], **{count: queue[count] for count in ("ready", "in_flight", "delayed")}}
        | {"arn": queue["arn"]}
        for queue in status["queues"]
    ]


def _streams(connection: Connection, _: Mapping[str, Any]) -> Rows:
    rows: Rows = []
    page: dict[str, Any] = {}
    while True:
        answer = connection.call("kinesis", "ListStreams", page)
        for name in answer["StreamNames"]:
            told = connection.call("kinesis", "DescribeStreamSummary", {"StreamName": name})
            summary = told["StreamDescriptionSummary"]
            rows.append(
                {
                    "name": name,
                    "state": summary["StreamStatus"],
                    "shards": summary["OpenShardCount"],
                    "kept_h": summary["RetentionPeriodHours"],
                    "arn": summary["StreamARN"],
                }
            )
        if not answer.get("HasMoreStreams"):
            return rows
        page = {"ExclusiveStartStreamName": answer["StreamNames"][-1]}


def _events(_: Connection, __: Mapping[str, Any]) -> Rows:
    """None outside of a project."""
    from busway.errors import ProjectNotFound
    from busway.road.events import load_events
    from busway.road.root import find_root

    try:
        root = find_root(Path.cwd())
    except ProjectNotFound:
        return []
    return [
        {"name": event.name, "source": event.source, "detail_type": event.detail_type, "file": event.file}
        for event in (one.entry for one in load_events(root))
    ]


SORTS = {
    "handlers": Sort(("name", "runtime", "handler", "state"), _handlers),
    "rules": Sort(("name", "bus", "state", "targets", "pattern", "schedule"), _rules),
    "queues": Sort(("name", "ready", "in_flight", "delayed"), _queues),
    "streams": Sort(("name", "state", "shards", "kept_h"), _streams),
    "events": Sort(("name", "source", "detail_type", "file"), _events),
}
