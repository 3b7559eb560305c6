"""The story of the README, step by step: each step does something real, shows it, and checks what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from busway.cli.demo.receivers import MailServer, PagerDutyServer
from busway.cli.demo.server import DidNotHappen, ServerProcess, free_port

BURST = 500
ENTRIES_PER_CALL = 10
# Thirty-two characters, as PagerDuty's keys have; the receiver checks the length.
ROUTING_KEY = "demo0123456789demo0123456789demo"
FIELDS = {"notification": "unrecognized-login", "ip-address": "1.2.3.4", "location": "Denver, Colorado, USA"}


def entry(recipient: str, detail_type: str = "Customer Notification") -> dict[str, Any]:
    """The mission's event, as boto3's `put_events` takes it."""
    return {
        "Source": "com.benlimmer.Monolith",
        "DetailType": detail_type,
        "Resources": [recipient],
        "Detail": json.dumps(FIELDS),
    }


@dataclass
class Story:
    """The parts of the demo, and the steps that use them, in order."""

    folder: Path
    console: Console
    sabotage: bool = False
    mail: MailServer = field(init=False)
    pagerduty: PagerDutyServer = field(init=False)
    server: ServerProcess = field(init=False)

    def __post_init__(self) -> None:
        self.mail = MailServer(free_port())
        self.pagerduty = PagerDutyServer(self.folder)
        environment = {
            "SSL_CERT_FILE": str(self.pagerduty.ca_file),
            "PAGERDUTY_ROUTING_KEY": ROUTING_KEY,
            # Lambda waits one and two minutes before its retries; a demo doesn't.
            "BUSWAY_ASYNC_RETRY_S": "0.3,0.6",
            "BUSWAY_WORKERS_MAX": "4",
        }
        smtp = f"smtp://127.0.0.1:{self.mail.port}"
        self.server = ServerProcess(self.folder / "data", free_port(), environment, ("--smtp", smtp))

    @property
    def project(self) -> Path:
        return self.folder / "shop"

    def play(self) -> None:
        """Every step; raises `DidNotHappen` at the first thing that was not observed."""
        try:
            self.make_a_project()
            self.start_the_world()
            self.an_event_becomes_an_email()
            self.a_typo_is_explained()
            self.a_failure_reaches_a_person()
            self.a_redrive_heals_it()
            self.nothing_is_lost_by_kill_9()
        finally:
            self.mail.stop()
            self.pagerduty.stop()
            self.server.stop()

    # --- the steps ------------------------------------------------------------------------------------------

    def make_a_project(self) -> None:
        self.say("1", "A project, and a handler made by the generator")
        self.busway("new", "shop", cwd=self.folder)
        fields = [word for name in FIELDS for word in ("--field", f"{name}:str")]
        self.busway(
            *("add", "handler", "notify-customer", "--event", "CustomerNotification"),
            *("--source", "com.benlimmer.Monolith", "--detail-type", "Customer Notification"),
            *(*fields, "--template", "email", "--alert", "pagerduty"),
        )
        self.busway("test")

    def start_the_world(self) -> None:
        self.say("2", "A server on an empty folder, a real SMTP server, and an HTTPS server that is PagerDuty")
        self.mail.start()
        self.pagerduty.start()
        took = self.server.start()
        self.console.print(f"  busway serve answers at {self.server.endpoint} after {took:.2f} s")
        self.busway("alert", "set", "pagerduty", "--kind", "pagerduty", "--url", self.pagerduty.url)
        self.busway("dev", "--once")

    def an_event_becomes_an_email(self) -> None:
        self.say("3", "The monolith fires the event with boto3; the customer gets an email")
        self.put([entry("user@example.com")])
        self.until(lambda: self.mail.mailbox.received, "the email arrived at the SMTP server")
        recipient, message = self.mail.mailbox.received[0]
        body = message.get_payload(decode=True)
        text = body.decode() if isinstance(body, bytes) else str(message)
        self.console.print(f"  [dim]To:[/] {recipient}\n  [dim]Subject:[/] {message['Subject']}")
        self.console.print("".join(f"  [green]{line}[/]\n" for line in text.splitlines()), end="")
        self.check("1.2.3.4" in text and "Denver" in text, "the email tells where the login came from")

    def a_typo_is_explained(self) -> None:
        self.say("4", 'An event with a typo, "Customer Nofication": nothing happens, and `why` says why')
        (event_id,) = self.put([entry("user@example.com", "Customer Nofication")])
        answer = self.busway("why", event_id)
        self.check("Customer Notification" in answer, "`why` names what the closest rule wanted")

    def a_failure_reaches_a_person(self) -> None:
        self.say("5", "The SMTP server goes away: retried twice, dead-lettered, and PagerDuty is told")
        self.mail.stop()
        self.put([entry("late@example.com")])
        self.until(lambda: "trigger" in self.pagerduty.actions(), "PagerDuty was triggered")
        trigger = self.pagerduty.events[0]
        self.console.print(f"  [red]{trigger['payload']['summary']}[/]  (dedup_key {trigger['dedup_key']})")
        listing = self.busway("dlq")
        self.check("notify-customer" in listing, "`dlq` shows the handler that failed")

    def a_redrive_heals_it(self) -> None:
        self.say("6", "SMTP is back: `redrive` delivers it to the handler that failed, PagerDuty is told again")
        self.mail.start()
        self.busway("redrive", "notify-customer")
        self.until(lambda: "late@example.com" in self.mail.mailbox.recipients(), "the late email arrived")
        self.until(lambda: "resolve" in self.pagerduty.actions(), "PagerDuty was told that it is over")
        keys = {event["dedup_key"] for event in self.pagerduty.events}
        self.check(len(keys) == 1, "trigger and resolve carry one dedup_key")
        self.check(not self.pagerduty.refused, "PagerDuty refused nothing")

    def nothing_is_lost_by_kill_9(self) -> None:
        self.say("7", f"kill -9 in the middle of a burst of {BURST} events")
        if self.sabotage:
            self.mail.mailbox.lose = 1
            self.console.print("  [yellow](sabotage: one email will be swallowed)[/]")
        wanted = [f"customer-{n}@example.com" for n in range(BURST)]
        accepted = self.burst(wanted)
        self.console.print(f"  {accepted} accepted; killed and started again in between")
        received = self.settled(set(wanted))
        counts = Counter(r for r in received if r.startswith("customer-"))
        lost = sorted(set(wanted) - set(counts))
        repeated = sum(count - 1 for count in counts.values())
        delivered = len(counts)
        self.console.print(
            f"  [bold]{accepted} accepted, {delivered} delivered, {len(lost)} lost, {repeated} repeated[/]"
        )
        self.check(accepted == BURST and not lost, f"all {BURST} were delivered" if not lost else f"lost: {lost[:5]}")
        self.busway("verify")

    # --- what the steps use ---------------------------------------------------------------------------------

    def burst(self, recipients: list[str]) -> int:
        """Fire all from a thread and kill the server meanwhile; returns how many were accepted.

        A call that got no answer is sent again: it may or may not have been stored, so it may come twice.
        """
        batches = [recipients[i : i + ENTRIES_PER_CALL] for i in range(0, len(recipients), ENTRIES_PER_CALL)]
        accepted: list[str] = []

        def publish() -> None:
            for batch in batches:
                accepted.extend(self.put([entry(recipient) for recipient in batch], persistent=True))

        with ThreadPoolExecutor(max_workers=1) as thread:
            publishing = thread.submit(publish)
            self.until(lambda: len(accepted) >= len(recipients) // 2 or publishing.done(), None)
            self.server.kill()
            self.server.start()
            publishing.result(timeout=60.0)
        return len(accepted)

    def settled(self, wanted: set[str], within_s: float = 60.0) -> list[str]:
        """The recipients once all wanted ones are there, or when nothing new has come for a while."""
        deadline, seen, quiet_since = time.monotonic() + within_s, -1, time.monotonic()
        while time.monotonic() < deadline:
            recipients = self.mail.mailbox.recipients()
            if len(recipients) != seen:
                seen, quiet_since = len(recipients), time.monotonic()
            # A lease left by the killed server runs out before its event is tried again.
            complete = wanted <= set(recipients)
            if time.monotonic() - quiet_since > (1.0 if complete else 15.0):
                break
            time.sleep(0.05)
        return self.mail.mailbox.recipients()

    def put(self, entries: list[dict[str, Any]], persistent: bool = False, within_s: float = 30.0) -> list[str]:
        """Fire events with an unmodified boto3; returns their ids. Persistent: tries again while nobody answers."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        make: Any = boto3.client  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        client: Any = make(
            "events",
            endpoint_url=self.server.endpoint,
            region_name="us-east-1",
            aws_access_key_id="demo",
            aws_secret_access_key="demo",
            config=Config(retries={"max_attempts": 0}),
        )
        deadline = time.monotonic() + within_s
        while True:
            try:
                answer: Any = client.put_events(Entries=entries)
                break
            except BotoCoreError:
                if not persistent or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.check(answer["FailedEntryCount"] == 0, None)
        return [str(result["EventId"]) for result in answer["Entries"]]

    def busway(self, *words: str, cwd: Path | None = None) -> str:
        """Run a command of the command line, showing it and what it prints; returns its output."""
        shown = " ".join(f"'{word}'" if " " in word else word for word in words)
        self.console.print(f"  [bold]$ busway {shown}[/]")
        result = subprocess.run(
            [sys.executable, "-m", "busway", *words],
            cwd=cwd or self.project,
            env={**os.environ, "BUSWAY_ENDPOINT": self.server.endpoint, "NO_COLOR": "1", "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=False,
        )
        output = result.stdout + result.stderr
        for line in output.rstrip().splitlines():
            self.console.print(f"  [dim]{line}[/]", markup=True, highlight=False)
        if result.returncode != 0:
            raise DidNotHappen(f"`busway {shown}` ended with exit code {result.returncode}")
        return output

    def until(self, happened: Callable[[], object], what: str | None, within_s: float = 30.0) -> None:
        """Wait until it happened, and say so; raises when it doesn't."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if happened():
                self.check(True, what)
                return
            time.sleep(0.02)
        raise DidNotHappen(f"waited {within_s:.0f} s, but not seen: {what or 'progress'}\n{self.server.log_tail()}")

    def check(self, holds: bool, what: str | None) -> None:
        if not holds:
            raise DidNotHappen(what or "an event was refused")
        if what:
            self.console.print(f"  [green]✓[/] {what}")

    def say(self, number: str, title: str) -> None:
        self.console.print(f"\n[bold cyan]{number}. {title}[/]")
