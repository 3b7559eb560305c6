"""`busway verify`: for every subscriber, accepted x matching = delivered + dead-lettered + dropped + pending."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from busway.cli.options import connect, server_options
from busway.cli.output import line, print_json, say, table


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
    """The proof of a folder, as the server would answer it. Raises DataInUse while a server holds the folder."""
    import msgspec

    from busway import verify as proof
    from busway.clock import SystemClock
    from busway.engine.embedded import open_embedded

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
    if report["ok"]:
        return
    say(f"{report['missing']} deliveries are missing, {report['extra']} should not be there")
    rows = [("missing", fault) for fault in report["missing_first"]] + [("extra", f) for f in report["extra_first"]]
    table(("", "event", "subscriber"), [(word, fault["event_id"], fault["subscriber"]) for word, fault in rows])
