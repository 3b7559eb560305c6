"""`busway alert`: routes by which alarms tell people. A route holds where its secret is, never the secret."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from busway.cli.options import connect, server_options
from busway.cli.output import print_json, say, table
from busway.cli.prompts import ask_hidden, may_ask
from busway.cli.timeline import show_step

if TYPE_CHECKING:
    from busway.arn import Scope
    from busway.road.connection import Connection

# The same as the server's, which is not loaded for a command. The last ones gather what comes within a minute.
KINDS = ("pagerduty", "datadog", "slack", "email", "webhook")
GATHERED_KINDS = ("slack", "email")
# A quiet server sends an empty line every 15 s, so this must be below.
TOLD_WITHIN_S = 10.0
# A message a minute, and time to send it.
GATHERED_WITHIN_S = 75.0


@click.group()
def alert() -> None:
    """Set who is told when an alarm fires.

    \b
    Example:
      busway alert set slack --secret
    """


@alert.command(name="set", short_help="Make or replace a route.")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="What it speaks.  [default: NAME, where that is a kind]")
@click.option("--url", help="Where a webhook goes; PagerDuty's or Datadog's address, if not the usual one.")
@click.option(
    "--secret-env", metavar="VARIABLE", help="The variable of the server's environment that holds the secret."
)
@click.option("--secret", is_flag=True, help="Seal the secret on the server. It is asked for, or read from stdin.")
@click.option(
    "--severity",
    type=click.Choice(["critical", "error", "warning", "info"]),
    default="error",
    show_default=True,
    help="How loud it is at PagerDuty and Datadog.",
)
@click.option("--to", metavar="ADDRESS", multiple=True, help="Whom an email goes to; may be given again.")
@click.option("--from", "sender", metavar="ADDRESS", help="Whom it comes from.  [default: busway@ the first domain]")
@click.option(
    "--series",
    is_flag=True,
    help="Send Datadog the numbers that alarms look at, too: one point a minute. Datadog charges for custom metrics.",
)
@server_options
def set_route(
    name: str, kind: str | None, url: str | None, secret_env: str | None, secret: bool, severity: str,
    to: tuple[str, ...], sender: str | None, series: bool, endpoint: str, as_json: bool,
) -> None:  # fmt: skip
    """Make or replace the route NAME; handlers name it as `alert="NAME"`.

    The secret (PagerDuty's routing key, Datadog's API key, the URL of Slack's webhook, what signs a webhook) is read
    from the server's environment, or sealed with --secret. While the variable is set, it wins.

    \b
    Example:
      busway alert set pagerduty --secret-env PAGERDUTY_ROUTING_KEY
      busway alert set datadog --url https://api.datadoghq.eu --secret --series
      pass show slack | busway alert set slack --secret
      busway alert set oncall --kind email --to oncall@example.com
      busway alert set chat --kind webhook --url https://chat.example.com/hook
    """
    kind = kind or _kind_of(name)
    if kind == "webhook" and not url:
        raise click.UsageError("--url is missing: where the webhook goes")
    if kind == "email" and not to:
        raise click.UsageError("--to is missing: whom the email goes to")
    given = {
        "kind": kind, "url": url, "secret_env": secret_env, "sealed": secret or None, "severity": severity,
        "to": to or None, "sender": sender, "series": series or None,
    }  # fmt: skip
    settings = {option: value for option, value in given.items() if value is not None}
    connection = connect(endpoint)
    value = _asked_secret(name) if secret else ""
    # The route first: what it refuses leaves no secret behind.
    route = connection.put(_path(name), settings)
    if value:
        _seal(connection, name, value)
    if as_json:
        print_json(route)
        return
    click.echo(f"{route['name']}: {_what(route)} to {_where(route)}")
    if _secret_from(route):
        say(f"its secret is read from {_secret_from(route)}")


def _kind_of(name: str) -> str:
    if name not in KINDS:
        raise click.UsageError(f"--kind is missing: one of {', '.join(KINDS)}")
    return name


def _asked_secret(name: str) -> str:
    value = (ask_hidden(f"Secret of {name}?") if may_ask() else sys.stdin.read()).strip()
    if not value:
        raise click.UsageError("--secret: there is no secret on stdin")
    return value


def _seal(connection: Connection, name: str, value: str) -> None:
    from busway.alert.routes import sealed_name
    from busway.road.secrets import put_secret

    put_secret(connection, sealed_name(name), value)


def _what(route: dict[str, Any]) -> str:
    return f"{route['kind']} with series" if route.get("series") else route["kind"]


def _where(route: dict[str, Any]) -> str:
    return route["url"] or ", ".join(route.get("to", ())) or "its webhook"


def _secret_from(route: dict[str, Any]) -> str:
    variable = route.get("secret_env") and f"{route['secret_env']} of the server's environment"
    return ", else ".join(filter(None, [variable, route.get("sealed") and "what is sealed"]))


def _path(name: str) -> str:
    return f"/_busway/routes/{quote(name, safe='')}"


@alert.command(name="test", short_help="Try a route.")
@click.argument("name")
@server_options
def test_route(name: str, endpoint: str, as_json: bool) -> None:
    """Tell the route NAME of an alarm that is none, and say what it answered. Exits 1 when it could not be told.

    PagerDuty, Datadog and a webhook are then told that it is over. Slack and email get one message; when they were
    told something else just now, it comes with what follows within a minute. A route with series is
    sent one point, too.

    \b
    Example:
      busway alert test pagerduty
    """
    connection = connect(endpoint)
    route = connection.get(_path(name))
    gathered = route["kind"] in GATHERED_KINDS
    alarm = f"busway-alert-test-{name}"
    connection.call("cloudwatch", "PutMetricAlarm", _test_alarm(connection.scope, alarm, name))
    if gathered and not as_json:
        say(f"one message a minute at most goes to {name}: this may take as long")
    try:
        told = [_tell(connection, alarm, "ALARM", GATHERED_WITHIN_S if gathered else TOLD_WITHIN_S)]
        if told[0].get("delivered") and not gathered:
            told.append(_tell(connection, alarm, "OK", TOLD_WITHIN_S))
        if route.get("series"):
            told.append(connection.post(_path(name)))
    finally:
        connection.call("cloudwatch", "DeleteAlarms", {"AlarmNames": [alarm]})
    if as_json:
        print_json({"route": name, "told": told})
    else:
        for step in told:
            show_step(step)
    click.get_current_context().exit(0 if all(step.get("delivered") for step in told) else 1)


def _test_alarm(scope: Scope, alarm: str, route: str) -> dict[str, Any]:
    """An alarm on a metric that nobody has, so that nothing but a test moves it."""
    from busway.road.manifest import route_arn

    return {
        "AlarmName": alarm,
        "AlarmDescription": "Somebody tried `busway alert test`: nothing is wrong",
        "Namespace": "Busway/Alerts",
        "MetricName": "Test",
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
        "AlarmActions": [route_arn(scope, route)],
        "OKActions": [route_arn(scope, route)],
    }


def _tell(connection: Connection, alarm: str, state: str, within_s: float) -> dict[str, Any]:
    """Move the alarm and wait for what became of it; without an answer, a step that says so."""
    from time import monotonic

    began, until = connection.get("/_busway/clock")["now"], monotonic() + within_s
    reason = "this is a test, nothing is wrong"
    connection.call("cloudwatch", "SetAlarmState", {"AlarmName": alarm, "StateValue": state, "StateReason": reason})
    while (left_s := until - monotonic()) > 0:
        # What the server noted meanwhile is among the first lines again.
        for step in connection.stream("/_busway/tail", quiet_s=min(left_s, TOLD_WITHIN_S), since=0):
            if step["kind"] == "alert" and step["at"] >= began and [alarm, state] in _told_of(step):
                return step
            if monotonic() > until:
                break
    problem = f"nothing came back within {within_s:.0f} s"
    return {
        "kind": "alert",
        "at": began,
        "alarm": alarm,
        "state": state,
        "delivered": False,
        "error_message": problem,
    }


def _told_of(step: dict[str, Any]) -> list[list[Any]]:
    """The alarms and states of one message."""
    return step.get("alarms") or [[step.get("alarm"), step.get("state")]]


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
        say("no routes yet: busway alert set slack --secret")
        return
    rows = [(route["name"], _what(route), _where(route), _secret_from(route)) for route in routes]
    table(("route", "kind", "to", "secret from"), rows)


@alert.command(name="remove", short_help="Remove a route.")
@click.argument("name")
@server_options
def remove_route(name: str, endpoint: str, as_json: bool) -> None:
    """Remove the route NAME and its sealed secret; alarms that name it tell nobody then.

    \b
    Example:
      busway alert remove pagerduty
    """
    from busway.alert.routes import sealed_name
    from busway.road.secrets import remove_secret

    connection = connect(endpoint)
    connection.delete(_path(name))
    remove_secret(connection, sealed_name(name))
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"{name} removed")
