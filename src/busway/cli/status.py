"""`busway status`: what the server has, and how it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from busway.cli.options import connect, server_options
from busway.cli.output import ago, line, print_json, styled, table
from busway.cli.timeline import name_of

_ALARM_STYLES = {"ALARM": "bold red", "OK": "green", "INSUFFICIENT_DATA": "dim"}


@click.command()
@server_options
def status(endpoint: str, as_json: bool) -> None:
    """Show the server, its buses, handlers, dead letters and alarms.

    \b
    Example:
      busway status
    """
    found = connect(endpoint).get("/_busway/status")
    if as_json:
        print_json(found)
        return
    taking = ("takes events", "green") if found["engine"]["accepting"] else (found["engine"]["detail"], "bold red")
    line(
        (f"busway {found['version']}", "bold"),
        f" at {endpoint}, up {ago(found['uptime_s'])}, account {found['account']}, {found['region']}: ",
        taking,
        f"; functions run in sandbox {found['sandbox']}" if found.get("sandbox") else "",
    )
    _buses(found)
    _functions(found)
    _alarms(found)


def _buses(found: Mapping[str, Any]) -> None:
    line("")
    table(
        ("bus", "rules", "journal at", "not routed yet", ""),
        [
            (bus["name"], bus["rules"], bus["head"], bus["behind"], styled(bus["halted"], "bold red"))
            for bus in found["buses"]
        ],
    )


def _functions(found: Mapping[str, Any]) -> None:
    if not found["functions"]:
        line("\nno handlers yet: `busway dev` deploys those of a project")
        return
    depths = {queue["arn"]: queue["ready"] + queue["in_flight"] + queue["delayed"] for queue in found["queues"]}
    line("")
    table(
        ("handler", "waiting", "running or to retry", "dead letters"),
        [
            (
                function["name"],
                function["invocations"]["ready"],
                # What was tried and is not due yet counts as in flight, as in SQS.
                function["invocations"]["in_flight"] + function["invocations"]["delayed"],
                _dead(depths.get(function["dead_letter_arn"])),
            )
            for function in found["functions"]
        ],
    )


def _dead(depth: int | None) -> Any:
    return styled("no queue" if depth is None else str(depth), "bold red" if depth else "dim")


def _alarms(found: Mapping[str, Any]) -> None:
    if not found["alarms"]:
        return
    line("")
    table(
        ("alarm", "state", "since", "tells"),
        [
            (
                alarm["name"],
                styled(alarm["state"], _ALARM_STYLES.get(alarm["state"], "")),
                ago(max(0.0, found["now"] - alarm["since"])),
                ", ".join(name_of(action).removeprefix("busway-alert-") for action in alarm["actions"]) or "nobody",
            )
            for alarm in found["alarms"]
        ],
    )
