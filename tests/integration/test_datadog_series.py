"""The numbers that alarms look at reach Datadog from a real server, over TLS, through outages and kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.alert_providers import DATADOG_KEY, Provider, datadog, provider, series_kept
from tests.integration.test_alert_routes import sealed, serving
from tests.integration.whole_server import ACCOUNT, BIN, PATIENCE_S, REGION, ROLE, WholeServer, arn, until, zipped

ENVIRONMENT = {"BUSWAY_CLOCK": "manual"}
ERRORS, ORDERS, STATE = "busway.lambda.errors", "busway.shop.orders", "busway.alarm.state"
PLACE = (f"account:{ACCOUNT}", f"region:{REGION}", "source:busway")
HANDLER = """
    def handler(event, context):
        raise ValueError("as it was asked")
"""


@contextmanager
def told(folder: Path, environment: dict[str, str] = ENVIRONMENT) -> Iterator[tuple[Provider, WholeServer]]:
    """A server with a sealed key that sends series to Datadog."""
    with provider(datadog, folder) as receiver, serving(folder, environment) as server:
        sealed(server, "datadog", DATADOG_KEY, "--url", receiver.url, "--series")
        yield receiver, server


def make_alarm(server: WholeServer, name: str, namespace: str, metric: str, **dimensions: str) -> None:
    server.client("cloudwatch").put_metric_alarm(
        AlarmName=name, Namespace=namespace, MetricName=metric, Statistic="Sum", Period=60, EvaluationPeriods=1,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Threshold=0, ComparisonOperator="GreaterThanThreshold", AlarmActions=[arn("sns", "busway-alert-datadog")],
    )  # fmt: skip


def count(server: WholeServer, value: float) -> None:
    data = [{"MetricName": "Orders", "Value": value, "Unit": "Count"}]
    server.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=data)


def move(server: WholeServer, seconds: int) -> bool:
    return bool(server.busway("clock", f"+{seconds}s"))


def values(receiver: Provider, name: str, *tags: str) -> list[float]:
    """What Datadog has of a series, oldest first; a server's clock is moved by few minutes, which it takes."""
    points = series_kept(receiver.taken).get((name, tuple(sorted((*PLACE, *tags)))), {})
    return [value for _, value in sorted(points.items())]


def move_if_there(server: WholeServer) -> bool:
    """One that was killed meanwhile does not answer."""
    return server.run(BIN / "busway", "clock", "+5s").returncode == 0


def until_moved(server: WholeServer, condition: Callable[[], Any], what: str) -> None:
    """`condition` comes about while the server's clock goes on."""
    until(lambda: condition() or (move(server, 5) and condition()), what)


def test_a_handlers_errors_and_its_alarms_state_are_series(tmp_path: Path):
    with told(tmp_path) as (receiver, server):
        functions = server.client("lambda")
        functions.create_function(
            FunctionName="Mail", Runtime="python3.13", Handler="app.handler", Role=ROLE,
            Code={"ZipFile": zipped(HANDLER)},
        )  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName="Mail")
        make_alarm(server, "mail-errors", "AWS/Lambda", "Errors", FunctionName="Mail")
        make_alarm(server, "mail-errors-too", "AWS/Lambda", "Errors", FunctionName="Mail")
        for _ in range(3):
            functions.invoke(FunctionName="Mail")
        move(server, 60)
        until_moved(server, lambda: values(receiver, ERRORS, "functionname:mail"), "errors were told")
        until_moved(server, lambda: 1 in values(receiver, STATE, "alarm:mail-errors"), "the alarm was told")
        shown = str([server.busway("alert", "list"), server.busway("status")]) + (tmp_path / "log").read_text()
    assert sum(values(receiver, ERRORS, "functionname:mail")) == 3
    assert receiver.refused == []
    # The key is sealed, and nowhere else.
    assert DATADOG_KEY not in shown
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert DATADOG_KEY.encode() not in kept
    # What both alarms look at is in no body twice.
    for body in receiver.taken:
        names = [(one["metric"], *one["tags"]) for one in body.get("series", ())]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("status", [503, 408, 429])
def test_an_outage_loses_no_minute_and_ends_with_few_requests(tmp_path: Path, status: int):
    with told(tmp_path) as (receiver, server):
        make_alarm(server, "orders", "Shop", "Orders")
        receiver.down = (status, {"X-RateLimit-Reset": "7"} if status == 429 else {})
        for minute in range(1, 5):
            count(server, minute)
            move(server, 60)
        until_moved(server, lambda: receiver.asked, "Datadog was asked")
        receiver.down, asked = None, receiver.asked
        until_moved(server, lambda: len(values(receiver, ORDERS)) == 4, "all was told")
        assert receiver.asked - asked <= 3
        log = (tmp_path / "log").read_text()
    assert values(receiver, ORDERS) == [1, 2, 3, 4]
    assert receiver.refused == []
    assert log.count("series of the route datadog wait: ") == 1
    assert DATADOG_KEY not in log


@pytest.mark.parametrize("down", [None, (503, {})])
def test_a_death_in_between_sends_the_same_points_again_and_loses_none(
    tmp_path: Path, down: tuple[int, dict[str, str]] | None
):
    with provider(datadog, tmp_path) as receiver:
        with serving(tmp_path, ENVIRONMENT) as server:
            sealed(server, "datadog", DATADOG_KEY, "--url", receiver.url, "--series")
            make_alarm(server, "orders", "Shop", "Orders")
            count(server, 1)
            receiver.down = (503, {})
            for minute in (2, 3):
                move(server, 60)
                count(server, minute)
            process = server.process

            def die(body: Any) -> None:
                """What Datadog took of series, the server does not hear of; an event may come in between."""
                if body is None or "series" in body:
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait(PATIENCE_S)

            receiver.when_taken, receiver.down = die, down
            if down is None:
                until(lambda: process.returncode is not None or not move_if_there(server), "it died")
            else:
                until_moved(server, lambda: receiver.asked, "Datadog was asked")
                die(None)
        before, receiver.down, receiver.when_taken = len(receiver.taken), None, lambda body: None
        # The clock of the new process is the machine's, behind what the last one's was moved to.
        with serving(tmp_path, ENVIRONMENT) as server:
            move(server, 180)
            until_moved(server, lambda: len(values(receiver, ORDERS)) == 3, "all was told")
            until_moved(server, lambda: len(receiver.taken) > before, "it was told again")
    assert sum("series" in body for body in receiver.taken[:before]) == (1 if down is None else 0)
    assert values(receiver, ORDERS) == [1, 2, 3]
    assert receiver.refused == []
    first, again = series_kept(receiver.taken[:before]), series_kept(receiver.taken[before:])
    assert all(again[series][at] == value for series in first for at, value in first[series].items())


def test_a_route_with_series_is_tried_with_an_event_and_a_point(tmp_path: Path):
    # By the machine's clock: the route is told of an end some time after its begin.
    with told(tmp_path, {}) as (receiver, server):
        tried = server.busway("alert", "test", "datadog")["told"]
        assert [step["answer"] for step in tried] == [
            '202 {"status":"ok","event":{"id":1}}', '202 {"status":"ok","event":{"id":1}}', '202 {"errors":[]}',
        ]  # fmt: skip
        assert values(receiver, STATE, "alarm:busway-alert-test-datadog") == [0]
        told_of = server.run(BIN / "busway", "alert", "test", "datadog")
        assert "one point of its series" in told_of.stdout
        assert "with series" in server.run(BIN / "busway", "alert", "list").stdout
        receiver.down = (403, {})
        refused = server.busway("alert", "test", "datadog", code=1)["told"]
        assert refused[-1]["series"] and "answered 403" in refused[-1]["error_message"]


def test_series_are_for_datadog_and_its_own_paths(tmp_path: Path):
    with serving(tmp_path, {}) as server:

        def refused(*options: str) -> str:
            done: subprocess.CompletedProcess[str] = server.run(BIN / "busway", "alert", "set", *options, "--series")
            assert done.returncode == 1
            return done.stderr

        assert "series are for routes of kind datadog, not pagerduty" in refused("pagerduty")
        assert "series have a path of their own" in refused("datadog", "--url", "https://proxy.example/dd")
        assert server.busway("alert", "list")["routes"] == []
