"""`busway send`: put events on the bus, samples of the project's or whatever is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.changes import as_on_the_wire, changed
from busway.cli.options import connect, project_root, server_options
from busway.cli.output import print_json, say

if TYPE_CHECKING:
    from busway.road.connection import Connection
    from busway.road.events import ProjectEvent


@click.command()
@click.argument("event", required=False)
@click.option("--source", help="The source, for an event that is not in the project.")
@click.option("--detail-type", help="The detail-type, for an event that is not in the project.")
@click.option("--detail", metavar="JSON", help="The whole detail, instead of the sample's.")
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with a whole event."
)
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change one member of the detail.")
@click.option("--resource", "resources", multiple=True, help="A resource, instead of the sample's.")
@click.option("--bus", help="The bus.  [default: the project's, else default]")
@click.option(
    "--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Send it so many times."
)
@click.option("--raw", is_flag=True, help="Send it though it does not fit the event's class.")
@server_options
def send(
    event: str | None,
    source: str | None,
    detail_type: str | None,
    detail: str | None,
    file: Path | None,
    changes: tuple[str, ...],
    resources: tuple[str, ...],
    bus: str | None,
    count: int,
    raw: bool,
    endpoint: str,
    as_json: bool,
) -> None:
    """Put a sample of EVENT, an event class of the project, on the bus; or an event given in full.

    \b
    Example:
      busway send CustomerNotification --set location=Oslo
      busway send --source com.example.Shop --detail-type "Order Placed" --detail '{"total": 5}'
    """
    if event is not None and (source or detail_type):
        raise click.UsageError("give either EVENT, or --source and --detail-type")
    chosen, project_bus = _chosen(event, source, detail_type, file, _json(detail), changes, resources, raw)
    entry = {**chosen, "EventBusName": bus or project_bus}
    connection = connect(endpoint)
    _check_bus(connection, entry["EventBusName"])
    ids = _put(connection, entry, count)
    if as_json:
        print_json({"event_ids": ids, "bus": entry["EventBusName"], "entry": entry})
        return
    for event_id in ids:
        click.echo(event_id)
    times = f" {count} times" if count > 1 else ""
    say(f"{entry['DetailType']} from {entry['Source']} on bus {entry['EventBusName']}{times}; `busway why {ids[0]}`")


def _chosen(
    event: str | None,
    source: str | None,
    detail_type: str | None,
    file: Path | None,
    detail: dict[str, Any] | None,
    changes: tuple[str, ...],
    resources: tuple[str, ...],
    raw: bool,
) -> tuple[dict[str, Any], str]:
    """The entry without its bus, and the bus it goes to unless another is named."""
    from busway.road.manifest import sample_of

    envelope: dict[str, Any] = {"resources": [], "detail": {}}
    known: ProjectEvent | None = None
    bus = "default"
    if file is not None:
        envelope |= _event_file(file)
    if event is not None:
        known, bus = _from_project(event)
        sample = known.entry.sample if file is not None or detail is not None else sample_of(known.entry)
        envelope = {**sample, **envelope} if file is not None or not sample else dict(sample)
        envelope |= {"source": known.entry.source, "detail-type": known.entry.detail_type} if not sample else {}
    envelope["source"] = source or envelope.get("source")
    envelope["detail-type"] = detail_type or envelope.get("detail-type")
    for name, flag in (("source", "--source"), ("detail-type", "--detail-type")):
        if not envelope[name]:
            raise click.UsageError(f"{flag} is missing: name an EVENT of the project, or give it")
    if known is not None and not raw:
        changes = as_on_the_wire(known, changes)
    envelope["detail"] = changed(detail if detail is not None else envelope["detail"], changes)
    envelope["resources"] = list(resources) or envelope["resources"]
    if known is not None and not raw:
        _check(known, envelope)
    return _entry(envelope), bus


def _from_project(name: str) -> tuple[ProjectEvent, str]:
    """The event called so (as a class, a file or a detail-type), and the project's bus."""
    import difflib

    from busway.errors import BrokenProject
    from busway.road.events import load_events
    from busway.road.naming import snake
    from busway.road.root import read_config

    root = project_root()
    events = load_events(root)
    for event in events:
        if name in (event.entry.name, event.entry.detail_type) or snake(name) == snake(event.entry.name):
            return event, read_config(root).bus
    names = {snake(event.entry.name): event.entry.name for event in events}
    near = difflib.get_close_matches(snake(name), [*names], 1, cutoff=0.5)
    raise BrokenProject(
        f"the project has no event {name!r}; it has {', '.join(names.values()) or 'none yet'}",
        f"did you mean {names[near[0]]}?" if near else "give --source, --detail-type and --detail",
    )


def _check_bus(connection: Connection, bus: str) -> None:
    """PutEvents takes an event for a bus that is missing, and drops it, as on AWS."""
    from busway.errors import ServerRefused

    if bus == "default":
        return
    try:
        connection.call("events", "DescribeEventBus", {"Name": bus})
    except ServerRefused as refusal:
        refusal.hint = (
            refusal.hint or "`busway dev` makes the bus that a project names; `busway status` lists those there are"
        )
        raise


def _check(event: ProjectEvent, envelope: dict[str, Any]) -> None:
    from busway.errors import EventMismatch

    try:
        event.check(envelope)
    except EventMismatch as error:
        error.hint = "--raw sends it all the same"
        raise


def _entry(envelope: dict[str, Any]) -> dict[str, Any]:
    import msgspec

    return {
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Resources": envelope["resources"],
        "Detail": msgspec.json.encode(envelope["detail"]).decode(),
    }


def _put(connection: Connection, entry: dict[str, Any], count: int) -> list[str]:
    """Raises PublishFailed for the first entry that the bus refused."""
    from busway.errors import PublishFailed, Refusal
    from busway.publishing import ENTRIES_MAX

    ids: list[str] = []
    for begin in range(0, count, ENTRIES_MAX):
        entries = [entry] * min(ENTRIES_MAX, count - begin)
        for result in connection.call("events", "PutEvents", {"Entries": entries})["Entries"]:
            if "EventId" not in result:
                code, reason = str(result.get("ErrorCode")), str(result.get("ErrorMessage"))
                raise PublishFailed([Refusal.of(entry, code, reason)])
            ids.append(str(result["EventId"]))
    return ids


def _event_file(file: Path) -> dict[str, Any]:
    """An event, or only a detail: a file without `detail` is one."""
    found = _json(file.read_text(encoding="utf-8"), str(file))
    return found if found and "detail" in found else {"detail": found}


def _json(text: str | None, what: str = "--detail") -> dict[str, Any] | None:
    import msgspec

    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise click.UsageError(f"{what} is not a JSON object: {error}") from error
