"""The outside world of the demo, for real on loopback: an SMTP server, and an HTTPS server that is PagerDuty.

Both record what reaches them. The PagerDuty one checks the Events API v2's rules and answers as PagerDuty does.
"""

from __future__ import annotations

import email
import json
import ssl
import threading
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as SmtpProtocol, Envelope, Session

# https://developer.pagerduty.com/docs/send-alert-event
ROUTING_KEY_LENGTH = 32
SUMMARY_LENGTH_MAX = 1024
DEDUP_KEY_LENGTH_MAX = 255
SEVERITIES = ("critical", "error", "warning", "info")


@dataclass
class Mailbox:
    """What an SMTP server was given; `lose` is how many messages it drops after saying yes (a saboteur)."""

    received: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])
    lose: int = 0

    async def handle_DATA(self, server: SmtpProtocol, session: Session, envelope: Envelope) -> str:
        if self.lose > 0:
            self.lose -= 1
            return "250 OK"
        content = envelope.content or b""
        message = email.message_from_bytes(content.encode() if isinstance(content, str) else content)
        self.received.extend((recipient, message) for recipient in envelope.rcpt_tos)
        return "250 OK"

    def recipients(self) -> list[str]:
        return [recipient for recipient, _ in list(self.received)]


class MailServer:
    """A real SMTP server on loopback that can go away and come back on the same port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mailbox = Mailbox()
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(self.mailbox, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


def pagerduty_faults(body: Any) -> list[str]:
    """What PagerDuty's Events API v2 would refuse in this body; [] when nothing."""
    if not isinstance(body, dict):
        return ["body is not an object"]
    event = cast(dict[str, Any], body)
    faults: list[str] = []
    if len(str(event.get("routing_key", ""))) != ROUTING_KEY_LENGTH:
        faults.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        faults.append("'event_action' is invalid")
    if len(str(event.get("dedup_key", ""))) > DEDUP_KEY_LENGTH_MAX:
        faults.append("'dedup_key' is too long")
    if action in ("acknowledge", "resolve") and not event.get("dedup_key"):
        faults.append("'dedup_key' is missing or blank")
    if action == "trigger":
        payload: dict[str, Any] = event.get("payload") or {}
        faults += [
            f"'payload.{m}' is missing or blank" for m in ("summary", "source", "severity") if not payload.get(m)
        ]
        if len(str(payload.get("summary", ""))) > SUMMARY_LENGTH_MAX:
            faults.append("'payload.summary' is too long")
        if payload.get("severity") not in SEVERITIES:
            faults.append("'payload.severity' is invalid")
    return faults


class PagerDutyServer:
    """An HTTPS server that stands in for events.pagerduty.com; `ca_file` is the authority to trust."""

    def __init__(self, folder: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.refused: list[tuple[Any, list[str]]] = []
        authority = trustme.CA()
        self.ca_file = folder / "pagerduty-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/v2/enqueue"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="pagerduty", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def actions(self) -> list[str]:
        return [str(event["event_action"]) for event in list(self.events)]

    def accept(self, raw: bytes) -> tuple[int, dict[str, Any]]:
        """The status and body with which PagerDuty answers `raw`."""
        try:
            body: dict[str, Any] | None = json.loads(raw)
        except ValueError:
            body = None
        faults = pagerduty_faults(body)
        if faults or body is None:
            self.refused.append((body, faults))
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": faults}
        self.events.append(body)
        return 202, {"status": "success", "message": "Event processed", "dedup_key": body.get("dedup_key", "")}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, answer = receiver.accept(raw)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """The demo narrates for itself."""

        return Handler
