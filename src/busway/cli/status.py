"""`busway status`: what the server has, and how it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.environments import target_of
from busway.cli.options import connect, project_root, server_options
from busway.cli.output import ago, day, line, print_json, styled, table
from busway.cli.status_aws import show_status
from busway.cli.timeline import name_of

if TYPE_CHECKING:
    from busway.road.connection import Connection

_ALARM_STYLES = {"ALARM": "bold red", "OK": "green", "INSUFFICIENT_DATA": "dim"}


@click.command()
@click.argument("environment", metavar="[ENV]", required=False)
@server_options
def status(environment: str | None, endpoint: str, as_json: bool) -> None:
    """Show the server, its buses, handlers, streams, mappings, queues, dead letters and alarms.

    With an environment of the project: that one's server, and what is deployed there; on AWS its stack.

    \b
    Example:
      busway status
      busway status prod
    """
    root = project_root() if environment else None
    if root and environment:
        endpoint = target_of(root, environment)
        if endpoint == "aws":
            show_status(root, environment, as_json)
            return
    connection = connect(endpoint)
    deployed = _deployments(connection, root) if root else None
    found = connection.get("/_busway/status")
    if as_json:
        print_json(found if deployed is None else {**found, "deployments": deployed})
        return
    for each in deployed or []:
        commit = f", commit {each['commit']}" if each["commit"] else ""
        after = f": {each['error']}" if each["error"] else ""
        line((f"deployment {each['number']} ", "bold"), each["state"], f"{commit}, {each['at']}{after}")
    taking = ("takes events", "green") if found["engine"]["accepting"] else (found["engine"]["detail"], "bold red")
    line(
        (f"busway {found['version']}", "bold"),
        f" at {endpoint}, up {ago(found['uptime_s'])}, account {found['account']}, {found['region']}: ",
        taking,
        f"; functions run in sandbox {found['sandbox']}" if found.get("sandbox") else "",
    )
    _buses(found)
    _targets(found)
    _functions(found)
    _streams(found)
    _mappings(found)
    _queues(found)
    _alarms(found)


def _deployments(connection: Connection, root: Path) -> list[dict[str, Any]]:
    """What is live, and what was begun since."""
    from busway.road.release.history import read_history
    from busway.road.root import read_config

    history = read_history(connection, read_config(root).name)
    told = [*history.unfinished, *([history.live] if history.live else [])]
    return [
        {"number": one.number, "state": one.state, "commit": one.commit, "error": one.error, "at": day(one.begun_at)}
        for one in told
    ]


def _buses(found: Mapping[str, Any]) -> None:
    line("")
    table(
        ("bus", "rules", "journal at", "not routed yet", ""),
        [
            (bus["name"], bus["rules"], bus["head"], bus["behind"], styled(bus["halted"], "bold red"))
            for bus in found["buses"]
        ],
    )


def _targets(found: Mapping[str, Any]) -> None:
    """The targets that get nothing; of those that do there is nothing to say."""
    for rule in found["rules"]:
        for target in rule["targets"]:
            if target.get("problem"):
                goal = name_of(target["arn"])
                line((f"rule {rule['name']} -> {goal}: ", "bold red"), str(target["problem"]))


def _functions(found: Mapping[str, Any]) -> None:
    if not found["functions"]:
        line("\nno handlers yet: `busway dev` deploys those of a project")
        return
    depths = {queue["arn"]: queue["ready"] + queue["in_flight"] + queue["delayed"] for queue in found["queues"]}
    line("")
    table(
        ("handler", "state", "waiting", "running or to retry", "last error", "dead letters"),
        [
            (
                function["name"],
                _state(function),
                function["invocations"]["ready"],
                # What was tried and is not due yet counts as in flight, as in SQS.
                function["invocations"]["in_flight"] + function["invocations"]["delayed"],
                _since(found, function["last_error_at"]),
                _dead(depths.get(function["dead_letter_arn"])),
            )
            for function in found["functions"]
        ],
    )
    _problems(found["functions"])


def _state(function: Mapping[str, Any]) -> Any:
    """Its state, and how its newest change does if that is not done."""
    if function["state"] == "Failed":
        return styled("Failed", "bold red")
    if function["update"] == "Failed":
        return styled(f"{function['state']}, update failed", "bold red")
    if function["state"] != "Active":
        return styled(str(function["state"]), "yellow")
    done = function["update"] == "Successful"
    return styled("Active", "green") if done else styled("Active, updating", "yellow")


def _problems(functions: Sequence[Mapping[str, Any]]) -> None:
    """Why they failed: below the table, whose columns a reason would push off the screen."""
    for function in functions:
        if function["problem"] and "Failed" in (function["state"], function["update"]):
            line((f"{function['name']}: ", "bold red"), " ".join(str(function["problem"]).split()))


def _since(found: Mapping[str, Any], at: float | None) -> Any:
    return "" if at is None else styled(f"{ago(max(0.0, found['now'] - at))} ago", "yellow")


def _streams(found: Mapping[str, Any]) -> None:
    if not found["streams"]:
        return
    line("")
    table(
        ("stream", "shards", "closed", "records/s"),
        [
            (
                stream["name"],
                stream["shards"],
                stream["closed_shards"],
                "" if stream["records_per_s"] is None else f"{stream['records_per_s']:g}",
            )
            for stream in found["streams"]
        ],
    )


def _mappings(found: Mapping[str, Any]) -> None:
    if not found["mappings"]:
        return
    line("")
    table(
        ("mapping", "state", "last result", "behind", "oldest"),
        [
            (
                f"{name_of(mapping['source'])} -> {mapping['function'].split(':', 6)[-1]}",
                styled(mapping["state"], "green" if mapping["state"] == "Enabled" else "yellow"),
                styled(mapping["last_result"], "bold red" if mapping["last_result"].startswith("PROBLEM") else ""),
                "" if mapping["behind"] is None else mapping["behind"],
                ago(mapping["lag_s"]) if mapping["lag_s"] else "",
            )
            for mapping in found["mappings"]
        ],
    )


def _queues(found: Mapping[str, Any]) -> None:
    if not found["queues"]:
        return
    line("")
    table(
        ("queue", "waiting", "in flight", "delayed", "oldest"),
        [
            (
                queue["name"],
                queue["ready"],
                queue["in_flight"],
                queue["delayed"],
                "" if queue["oldest_s"] is None else ago(queue["oldest_s"]),
            )
            for queue in found["queues"]
        ],
    )


def _dead(depth: int | None) -> Any:
    return styled("no queue" if depth is None else str(depth), "bold red" if depth else "dim")


def _told(action: str, routes: Set[str]) -> str:
    name = name_of(action).removeprefix("busway-alert-")
    return name if action in routes else f"{name} (not set: nobody is told)"


def _alarms(found: Mapping[str, Any]) -> None:
    if not found["alarms"]:
        return
    routes = {route["arn"] for route in found["routes"]}
    line("")
    table(
        ("alarm", "state", "since", "tells"),
        [
            (
                alarm["name"],
                styled(alarm["state"], _ALARM_STYLES.get(alarm["state"], "")),
                ago(max(0.0, found["now"] - alarm["since"])),
                ", ".join(_told(action, routes) for action in alarm["actions"]) or "nobody",
            )
            for alarm in found["alarms"]
        ],
    )
