"""`busway alert`: routes by which alarms tell people. A route holds the name of a secret, never the secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from busway.cli.options import connect, server_options
from busway.cli.output import print_json, say, table
from busway.cli.timeline import show_step

if TYPE_CHECKING:
    from busway.arn import Scope
    from busway.road.connection import Connection

# A quiet server sends an empty line every 15 s, so this must be below.
TOLD_WITHIN_S = 10.0


@click.group()
def alert() -> None:
    """Set who is told when an alarm fires.

    \b
    Example:
      busway alert set pagerduty --kind pagerduty
    """


@alert.command(name="set", short_help="Make or replace a route.")
@click.argument("name")
@click.option("--kind", type=click.Choice(["pagerduty", "webhook"]), required=True, help="What it speaks.")
@click.option("--url", help="Where it goes.  [default for pagerduty: its Events API v2]")
@click.option(
    "--secret-env", metavar="VARIABLE", help="The variable of the server's environment that holds the secret."
)
@click.option(
    "--severity",
    type=click.Choice(["critical", "error", "warning", "info"]),
    default="error",
    show_default=True,
    help="How loud it is at PagerDuty.",
)
@server_options
def set_route(
    name: str, kind: str, url: str | None, secret_env: str | None, severity: str, endpoint: str, as_json: bool
) -> None:
    """Make or replace the route NAME; handlers name it as `alert="NAME"`.

    \b
    Example:
      busway alert set pagerduty --kind pagerduty --secret-env PAGERDUTY_ROUTING_KEY
    """
    if kind == "webhook" and not url:
        raise click.UsageError("--url is missing: where the webhook goes")
    given = {"kind": kind, "url": url, "secret_env": secret_env, "severity": severity}
    settings = {name: value for name, value in given.items() if value is not None}
    route = connect(endpoint).put(f"/_busway/routes/{quote(name, safe='')}", settings)
    if as_json:
        print_json(route)
        return
    click.echo(f"{route['name']}: {route['kind']} to {route['url']}")
    if route.get("secret_env"):
        say(f"its secret is read from {route['secret_env']} of the server's environment")


@alert.command(name="test", short_help="Try a route.")
@click.argument("name")
@server_options
def test_route(name: str, endpoint: str, as_json: bool) -> None:
    """Tell the route NAME of an alarm that is none, then that it is over. Exits 1 when it could not be told.

    \b
    Example:
      busway alert test pagerduty
    """
    connection = connect(endpoint)
    connection.get(f"/_busway/routes/{quote(name, safe='')}")
    alarm = f"busway-alert-test-{name}"
    connection.call("cloudwatch", "PutMetricAlarm", _test_alarm(connection.scope, alarm, name))
    try:
        told = [_tell(connection, alarm, "ALARM")]
        if told[0].get("delivered"):
            told.append(_tell(connection, alarm, "OK"))
    finally:
        connection.call("cloudwatch", "DeleteAlarms", {"AlarmNames": [alarm]})
    if as_json:
        print_json({"route": name, "told": told})
    else:
        for step in told:
            show_step(step)
    click.get_current_context().exit(0 if all(step.get("delivered") for step in told) else 1)


def _test_alarm(scope: Scope, alarm: str, route: str) -> dict[str, Any]:
    """An alarm on a queue that does not exist, so that nothing but a test moves it."""
    from busway.road.manifest import route_arn

    return {
        "AlarmName": alarm,
        "AlarmDescription": "Somebody tried `busway alert test`: nothing is wrong",
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": alarm}],
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
        "AlarmActions": [route_arn(scope, route)],
        "OKActions": [route_arn(scope, route)],
    }


def _tell(connection: Connection, alarm: str, state: str) -> dict[str, Any]:
    """Move the alarm and wait for what became of it; without an answer, a step that says so."""
    began = connection.get("/_busway/clock")["now"]
    reason = "busway alert test"
    connection.call("cloudwatch", "SetAlarmState", {"AlarmName": alarm, "StateValue": state, "StateReason": reason})
    for step in connection.stream("/_busway/tail", quiet_s=TOLD_WITHIN_S, since=0):
        ours = step["kind"] == "alert" and (step.get("alarm"), step.get("state")) == (alarm, state)
        if ours and step["at"] >= began:
            return step
    problem = f"nothing came back within {TOLD_WITHIN_S:.0f} s"
    return {
        "kind": "alert",
        "at": began,
        "alarm": alarm,
        "state": state,
        "delivered": False,
        "error_message": problem,
    }


@alert.command(name="list", short_help="List the routes.")
@server_options
def list_routes(endpoint: str, as_json: bool) -> None:
    """List the routes.

    \b
    Example:
      busway alert list
    """
    routes = connect(endpoint).get("/_busway/routes")["routes"]
    if as_json:
        print_json({"routes": routes})
        return
    if not routes:
        say("no routes yet: busway alert set pagerduty --kind pagerduty")
        return
    rows = [(route["name"], route["kind"], route["url"], route.get("secret_env")) for route in routes]
    table(("route", "kind", "url", "secret from"), rows)


@alert.command(name="remove", short_help="Remove a route.")
@click.argument("name")
@server_options
def remove_route(name: str, endpoint: str, as_json: bool) -> None:
    """Remove the route NAME; alarms that name it tell nobody then.

    \b
    Example:
      busway alert remove pagerduty
    """
    connect(endpoint).delete(f"/_busway/routes/{quote(name, safe='')}")
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"{name} removed")
