"""`busway verify`: for every subscriber, accepted x matching = delivered + dead-lettered + dropped + pending.

For every stream's mapping, records = handled + given up + filtered out + pending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from busway.cli.options import connect, server_options
from busway.cli.output import line, print_json, say, table
from busway.cli.timeline import name_of

COUNTED = (
    "records", "handled", "given_up", "on_file", "letters_gone", "untold", "filtered_out", "pending", "missing",
)  # fmt: skip


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A data folder that no server holds.",
)
@server_options
def verify(data: Path | None, endpoint: str, as_json: bool) -> None:
    """Prove from what is stored that no event was lost: on a running server, or in a data folder.

    Exits 1 when the sums differ, and names the events.

    \b
    Example:
      busway verify
      busway verify --data .busway/data
    """
    report: Mapping[str, Any] = (
        asyncio.run(report_of_folder(data)) if data else connect(endpoint).get("/_busway/verify")
    )
    if as_json:
        print_json(report)
    else:
        _show(report)
    click.get_current_context().exit(0 if report["ok"] else 1)


async def report_of_folder(folder: Path) -> dict[str, Any]:
    """The proof of a folder, as the server would answer it. Raises DataInUse, DataUnusable."""
    import msgspec

    from busway import verify as proof
    from busway.clock import SystemClock
    from busway.engine.embedded import open_embedded
    from busway.engine.embedded.schema import DATABASE_NAME
    from busway.errors import DataUnusable

    if not (folder / DATABASE_NAME).exists():
        # Opened, it would be made, and the proof of nothing would hold.
        raise DataUnusable(f"{folder}: found no {DATABASE_NAME}, wanted the data folder of a server")
    clock = SystemClock()
    faults: list[BaseException] = []
    # Only the server keeps a reserve: the proof stores nothing.
    engine = await open_embedded(folder, clock, on_fatal=faults.append, reserve_mb=0)
    try:
        report = await proof.verify(engine, clock)
    finally:
        await engine.close()
    if faults:
        raise faults[0]
    return msgspec.json.decode(msgspec.json.encode(report))


def _show(report: Mapping[str, Any]) -> None:
    ended = ", ".join(f"{count} {word}" for word, count in sorted(report["outcomes"].items())) or "0 ended"
    waiting = report["pending"] + report["unrouted"]
    verdict = ("nothing lost", "bold green") if report["ok"] else ("the sums differ", "bold red")
    line(verdict, f": {report['events']} events, {report['expected']} deliveries due = {ended}, {waiting} pending")
    _show_mappings(report["mappings"])
    if report["missing"] or report["extra"]:
        _show_faults(report)


def _show_faults(report: Mapping[str, Any]) -> None:
    say(f"{report['missing']} deliveries are missing, {report['extra']} should not be there")
    rows = [("missing", fault) for fault in report["missing_first"]] + [("extra", f) for f in report["extra_first"]]
    table(("", "event", "subscriber"), [(word, fault["event_id"], fault["subscriber"]) for word, fault in rows])


def _show_mappings(accounts: Sequence[Mapping[str, Any]]) -> None:
    """A line for each mapping of a stream, all its shards together; then the records that are missing."""
    for (function, stream), alike in groupby(accounts, lambda account: (account["function"], account["stream"])):
        shards = list(alike)
        total = {name: sum(shard[name] for shard in shards) for name in COUNTED}
        lost = (f", {total['missing']} missing", "bold red") if total["missing"] else ""
        line(
            f"{name_of(stream)} -> {name_of(function)}: {total['records']} records = {total['handled']} handled, ",
            f"{total['given_up']} given up{_letters(total)}, {total['filtered_out']} filtered out, ",
            f"{total['pending']} pending",
            lost,
        )
        for fault in (fault for shard in shards for fault in shard["missing_first"]):
            where = f"{fault['shard']} {fault['sequence_number']}"
            line("  missing: ", where, f", event {fault['event_id']}" if fault["event_id"] else "")


def _letters(total: Mapping[str, int]) -> str:
    """Where the letters are of what was given up."""
    if not total["given_up"]:
        return ""
    parts = (("on_file", "on file"), ("letters_gone", "redriven or taken"), ("untold", "without an on-failure queue"))
    return " (" + ", ".join(f"{total[name]} {word}" for name, word in parts if total[name]) + ")"
