"""The road on a real server: generated, deployed, sent, handled, failed, redriven, by the command line alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from busway import Event
from busway.road.connection import Connection
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.project_files import new_project

from .whole_server import until

PATIENCE_S = 30.0


@dataclass
class Shop:
    """A generated project with one handler, and the endpoint of its server."""

    root: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **ENVIRONMENT, "BUSWAY_ENDPOINT": f"http://127.0.0.1:{self.port}"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "busway", *words],
            cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def busway(self, *words: str, code: int = 0) -> str:
        """The output of a command that ends with `code`."""
        run = self.run(*words)
        assert run.returncode == code, f"busway {' '.join(words)}: {run.returncode}\n{run.stdout}{run.stderr}"
        return run.stdout

    def complaint(self, *words: str) -> str:
        """What a command that fails says of it."""
        run = self.run(*words)
        assert (run.returncode, run.stdout) == (1, ""), run.stdout
        assert run.stderr.startswith("error: ")
        return run.stderr

    def ask(self, path: str) -> Any:
        """What a command asks the server, without the start of a process: for what is asked again and again."""
        keys = (ENVIRONMENT.get("AWS_ACCESS_KEY_ID", "k"), ENVIRONMENT.get("AWS_SECRET_ACCESS_KEY", "k"))
        return Connection(f"http://127.0.0.1:{self.port}", *keys).get(f"/_busway/{path}")

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.busway(*words, "--json", code=code))


ENVIRONMENT = {"BUSWAY_ASYNC_RETRY_S": "0.1,0.1", "BUSWAY_WORKERS_MAX": "2", "PAGERDUTY_ROUTING_KEY": "k" * 32}


@pytest.fixture
def shop(tmp_path: Path, free_port: int) -> Shop:
    root = tmp_path / "shop"
    new_project(root, "shop")
    fields = parse_fields(["notification:str", "ip-address:str", "location:str=Denver"])
    event = EventSpec("CustomerNotification", "com.benlimmer.Monolith", "Customer Notification", fields)
    recipients = ["user@example.com"]
    spec = HandlerSpec("notify_customer", event, body="email", alert="pagerduty", resources=recipients)
    add_handler(root, spec)
    return Shop(root, free_port)


@contextmanager
def serving(shop: Shop) -> Iterator[None]:
    data = str(shop.root / ".busway/data")
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--port", str(shop.port), "--data", data],
        env=shop.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert "is ready" in process.stdout.readline()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.fixture
def served(shop: Shop) -> Iterator[Shop]:
    with serving(shop):
        yield shop


def break_handler(shop: Shop, message: str) -> str:
    """Make the handler fail; return its text before."""
    file = shop.root / "handlers/notify_customer/handler.py"
    before = file.read_text()
    broken = before.replace("    detail = event", f'    raise RuntimeError("{message}")\n    detail = event', 1)
    assert broken != before
    file.write_text(broken)
    return before


def test_a_newcomers_first_hour(served: Shop):
    served.busway("dev", "--once")
    served.busway("dev", "--once")  # everything is there already: nothing is in its way
    (event_id,) = served.json("send", "CustomerNotification", "--set", "ip-address=1.2.3.4")["event_ids"]
    until(lambda: served.ask("inbox")["messages"], "the email is in the inbox")
    (mail,) = served.json("inbox")["messages"]
    assert "1.2.3.4" in json.dumps(mail)
    assert mail["to"] == ["user@example.com"]
    told = until(lambda: _ended(served, event_id), "the delivery ended")
    assert told["deliveries"][0]["state"] == "delivered"
    assert "START RequestId" in served.busway("logs", "notify-customer")
    status = served.json("status")
    assert [f["name"] for f in status["functions"]] == ["shop-notify-customer"]
    assert served.json("verify")["ok"] is True


def test_a_project_of_the_same_name_from_another_folder_is_not_deployed_over_it(served: Shop, tmp_path: Path):
    served.busway("dev", "--once")
    namesake = Shop(tmp_path / "other" / "shop", served.port)
    shutil.copytree(served.root, namesake.root, ignore=shutil.ignore_patterns(".busway"))
    assert str(served.root.resolve()) in namesake.complaint("dev", "--once")


def test_a_dependency_that_cannot_be_had_is_named_and_what_runs_goes_on(served: Shop):
    project = served.root / "pyproject.toml"
    served.busway("dev", "--once")
    before = project.read_text()
    project.write_text(re.sub(r"dependencies = \[", 'dependencies = ["no-such-package-97==97", ', before, count=1))
    assert project.read_text() != before
    told = served.complaint("dev", "--once")
    assert "shop-notify-customer cannot be built" in told
    assert "no-such-package-97" in told
    (event_id,) = served.json("send", "CustomerNotification")["event_ids"]
    assert until(lambda: _ended(served, event_id), "the delivery ended")["deliveries"][0]["state"] == "delivered"
    project.write_text(before)
    served.busway("dev", "--once")


def test_a_typo_is_explained(served: Shop):
    served.busway("dev", "--once")
    wrong = ("--source", "com.benlimmer.Monolith", "--detail-type", "Customer Nofication")
    (event_id,) = served.json("send", *wrong)["event_ids"]
    told = served.busway("why", event_id)
    assert "No rule matched" in told
    assert 'wanted "Customer Notification"' in told
    assert 'detail-type: "Customer Nofication" becomes "Customer Notification"  (a typo)' in told
    shown = served.busway("explain", "--rule", "shop-notify-customer", "--event", event_id, code=1)
    assert "edit the event so that it matches:" in shown
    assert served.json("explain", '{"detail-type": ["Customer Nofication"]}', "--event", event_id)["matched"]
    sample = "handlers/notify_customer/sample.json"
    assert "matches" in served.busway("explain", "--rule", "shop-notify-customer", sample)
    for of_server in ((), ("--bus", "default")):
        told = served.json("rule", "lint", *of_server)
        assert told["rules"] > 0
        assert [each for each in told["findings"] if each["level"] == "error"] == []
    made = served.busway("rule", "sample", "--rule", "shop-notify-customer")
    assert "matches" in served.busway("explain", "--rule", "shop-notify-customer", made)


def test_what_fails_is_retried_dead_lettered_and_redriven_to_its_handler(served: Shop):
    before = break_handler(served, "no post today")
    served.busway("alert", "set", "pagerduty", "--kind", "pagerduty", "--url", "https://127.0.0.1:9/enqueue")
    served.busway("dev", "--once")
    (event_id,) = served.json("send", "CustomerNotification")["event_ids"]
    until(lambda: served.ask("dead-letters")["items"], "a dead letter")
    letters = served.json("dlq", "notify-customer")["items"]
    assert [letter["event_id"] for letter in letters] == [event_id]
    assert (letters[0]["attempts"], letters[0]["error_message"]) == (3, "no post today")
    assert "no post today" in served.busway("why", event_id)
    until(lambda: served.ask("status")["alarms"][0]["state"] == "ALARM", "the alarm")
    (served.root / "handlers/notify_customer/handler.py").write_text(before)
    served.busway("dev", "--once")
    assert served.json("redrive", "notify-customer")["redriven"] == 1
    until(lambda: served.ask("inbox")["messages"], "the email of the redriven event")
    assert served.json("dlq")["total"] == 0
    until(lambda: served.ask("status")["alarms"][0]["state"] == "OK", "the alarm is over")
    until(lambda: _redriven(served, event_id) == "delivered", "the redriven event is delivered")
    assert "sent back: delivered" in served.busway("why")
    served.busway("alert", "test", "pagerduty", code=1)
    served.busway("alert", "test", "nobody", code=1)


def test_that_a_redriven_event_was_delivered_is_known_after_a_restart(shop: Shop):
    before = break_handler(shop, "no post today")
    with serving(shop):
        shop.busway("dev", "--once")
        (event_id,) = shop.json("send", "CustomerNotification")["event_ids"]
        until(lambda: shop.ask("dead-letters")["items"], "a dead letter")
        assert "busway/handling.py" not in shop.busway("logs", "notify-customer")
        (shop.root / "handlers/notify_customer/handler.py").write_text(before)
        shop.busway("dev", "--once")
        shop.busway("redrive", "notify-customer")
        until(lambda: _redriven(shop, event_id) == "delivered", "the redriven event is delivered")
    with serving(shop):
        assert "sent back: delivered" in shop.busway("why")


def test_a_name_that_nothing_has_is_an_error_and_never_nothing_to_do(served: Shop):
    served.busway("dev", "--once")
    for words in (("dlq", "nope"), ("redrive", "nope")):
        complaint = served.complaint(*words)
        assert "has no handler 'nope'; it has shop-notify-customer" in complaint
    assert served.busway("redrive", "notify-customer") == "0 sent back\n"
    assert served.busway("redrive", "--id", "nope", code=1) == "0 sent back\n"
    complaint = served.complaint("explain", "--rule", "nope", "{}")
    assert "hint: the server has shop-notify-customer on bus default" in complaint
    assert "Event bus nope does not exist" in served.complaint("send", "CustomerNotification", "--bus", "nope")


def test_a_reader_that_had_enough_is_no_failure(served: Shop):
    served.busway("dev", "--once")
    for _ in range(3):
        served.busway("send", "CustomerNotification")
    tail = [sys.executable, "-m", "busway", "tail", "--since", "0"]
    with subprocess.Popen(
        tail, env=served.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        served.busway("send", "CustomerNotification")
        assert process.wait(PATIENCE_S) == 0


def test_with_access_keys_only_who_signs_is_heard(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ENVIRONMENT, "BUSWAY_ACCESS_KEYS", "AKIDSHOP:s3cret")
    with serving(shop):
        refused = shop.complaint("status")
        assert "security token" in refused
        assert "hint: set AWS_ACCESS_KEY_ID" in refused
        assert "hint: set AWS_ACCESS_KEY_ID" in shop.complaint("send", "CustomerNotification")
        monkeypatch.setitem(ENVIRONMENT, "AWS_ACCESS_KEY_ID", "AKIDSHOP")
        monkeypatch.setitem(ENVIRONMENT, "AWS_SECRET_ACCESS_KEY", "wrong")
        assert "signature" in shop.complaint("why", "an id/with? things")
        monkeypatch.setitem(ENVIRONMENT, "AWS_SECRET_ACCESS_KEY", "s3cret")
        assert "busway dev --once --zip" in shop.complaint("dev", "--once")
        shop.busway("dev", "--once", "--zip")
        shop.busway("alert", "set", "hook", "--kind", "webhook", "--url", "https://127.0.0.1:9/")
        shop.busway("send", "CustomerNotification")
        until(lambda: shop.ask("inbox")["messages"], "the email of a handler that came as a zip")
        shop.busway("alert", "remove", "hook")
        assert shop.json("alert", "list") == {"routes": []}


def test_an_event_is_published_by_its_class(served: Shop, monkeypatch: pytest.MonkeyPatch):
    class Order(Event, source="shop", detail_type="Order"):
        total: int

    monkeypatch.setenv("AWS_ENDPOINT_URL", served.environment["BUSWAY_ENDPOINT"])
    for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "k"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    event_id = Order(total=5).publish(resources=["order/5"])
    event = served.json("why", event_id)["event"]
    assert (event["detail"], event["resources"], event["source"]) == ({"total": 5}, ["order/5"], "shop")


def _redriven(shop: Shop, event_id: str) -> str:
    return shop.ask(f"events/{event_id}")["deliveries"][0].get("redriven", {}).get("state", "")


def _ended(shop: Shop, event_id: str) -> Any:
    told = shop.ask(f"events/{event_id}")
    return told if told["deliveries"] and told["deliveries"][0]["state"] != "pending" else None


def test_an_event_that_was_handled_is_handled_again_when_it_is_resent(served: Shop):
    served.busway("dev", "--once")
    (event_id,) = served.json("send", "CustomerNotification")["event_ids"]
    until(lambda: len(served.ask("inbox")["messages"]) == 1, "the email is in the inbox")
    assert "shop-notify-customer" in served.busway("resend", event_id, "--handler", "notify-customer")
    until(lambda: len(served.ask("inbox")["messages"]) == 2, "the second email is in the inbox")
    assert served.json("verify")["ok"]
    assert "no rule of bus default has the target 'nobody'" in served.complaint(
        "resend", event_id, "--handler", "nobody"
    )


class Window:
    """`busway dev` as somebody watches it."""

    def __init__(self, shop: Shop, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "busway", "dev", *options],
            cwd=shop.root, env=shop.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            # Under nohup it is ignored, and whoever inherits that means it.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )  # fmt: skip
        self.text = ""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.text += line

    def shows(self, words: str, after: int = 0) -> int:
        """Wait until it shows the words after a place in the text; return the place behind them."""
        until(lambda: words in self.text[after:], f"{words!r} in the window:\n{self.text}")
        return self.text.index(words, after) + len(words)

    def close(self, by: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(by)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            self._reading.join()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_a_window_that_is_closed_leaves_no_server_behind(shop: Shop, by: signal.Signals):
    window = Window(shop)
    try:
        window.shows("watching for saves")
    finally:
        code = window.close(by)
    assert code == 130
    shop.busway("status", code=1)


def test_dev_serves_deploys_on_save_shows_faults_and_goes_on(shop: Shop):
    window = Window(shop)
    try:
        place = window.shows("watching for saves")
        shop.busway("send", "CustomerNotification")
        place = window.shows("delivered", place)
        handler = shop.root / "handlers/notify_customer/handler.py"
        before = handler.read_text()
        handler.write_text(before + "def broken(:\n")
        place = window.shows("SyntaxError", place)
        place = window.shows("what was deployed before goes on", place)
        handler.write_text(before)
        place = window.shows("CustomerNotification -> notify-customer", place)
        shop.busway("add", "handler", "count", "--event", "CustomerNotification")
        place = window.shows("CustomerNotification -> count", place)
        for file in (shop.root / "handlers/count").glob("*"):
            if file.is_file():
                file.unlink()
        window.shows("count is gone", place)
        names = [function["name"] for function in shop.json("status")["functions"]]
        assert names == ["shop-notify-customer"]
    finally:
        code = window.close()
    assert code == 130
    shop.busway("status", code=1)


def test_a_secret_that_was_missing_is_set_and_dev_deploys(shop: Shop):
    handler = shop.root / "handlers/notify_customer/handler.py"
    before = handler.read_text()
    handler.write_text(before.replace("retries=2", 'retries=2, secrets=["STRIPE_KEY"]'))
    window = Window(shop)
    try:
        place = window.shows("busway secret set STRIPE_KEY; then deploy again, as `busway dev` does by itself")
        place = window.shows("watching for saves", place)
        given = {"Name": "shop/STRIPE_KEY", "SecretString": "sk"}
        Connection(f"http://127.0.0.1:{shop.port}", "k", "k").call("secretsmanager", "CreateSecret", given)
        place = window.shows("the secret is set", place)
        window.shows("CustomerNotification -> notify-customer", place)
    finally:
        window.close()


PRINTING = """
import os

from busway import ScheduledEvent, handler


@handler(ScheduledEvent, schedule="rate(1 day)")
def look(event: ScheduledEvent) -> None:
    print("other services are at", os.environ.get("AWS_ENDPOINT_URL"))
    if event.envelope.resources:
        raise ValueError("not today")
"""


def test_dev_shows_what_is_printed_and_why_nobody_took_an_event(shop: Shop):
    shop.busway("add", "schedule", "look", "rate(1 day)")
    (shop.root / "handlers/look/handler.py").write_text(PRINTING)
    window = Window(shop, "--upstream", "http://127.0.0.1:9")
    try:
        place = window.shows("rate(1 day) -> look")
        place = window.shows("watching for saves", place)
        shop.busway("send", "--source", "com.benlimmer.Monolith", "--detail-type", "Customer Notifcation")
        place = window.shows("no rule matched; closest is shop-notify-customer:", place)
        place = window.shows('"Customer Notification" differ by a typo', place)
        shop.busway("send", "CustomerNotification")
        window.shows("delivered", place)
        assert "no rule matched" not in window.text[place:]
        client = boto3.client(
            "lambda", endpoint_url=f"http://127.0.0.1:{shop.port}", region_name="us-east-1",
            aws_access_key_id="k", aws_secret_access_key="k",
        )  # fmt: skip
        event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "resources": ["x"]}
        client.invoke(FunctionName="shop-look", InvocationType="Event", Payload=json.dumps(event))
        place = window.shows("│ other services are at http://127.0.0.1:9", place)
        window.shows("ValueError: not today", place)
    finally:
        window.close()
