"""An unmodified boto3 sends mail: into the inbox, and through a real SMTP server that comes and goes."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from botocore.exceptions import ClientError

from busway.config import Settings
from busway.road.connection import Connection
from busway.server import Server

CONTENT = {
    "Simple": {
        "Subject": {"Data": "Your order ✓"},
        "Body": {"Text": {"Data": "It is on its way, é."}, "Html": {"Data": "<p>It is on its way, é.</p>"}},
        "Headers": [{"Name": "X-Order", "Value": "42"}],
    }
}
REQUEST = {
    "FromEmailAddress": "Shop <shop@example.com>",
    "Destination": {"ToAddresses": ["jo@example.com"], "BccAddresses": ["audit@example.com"]},
    "ReplyToAddresses": ["help@example.com"],
    "Content": CONTENT,
}


class Mailbox:
    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.answer = "250 taken"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            self.taken.append(envelope)
        return self.answer


@contextmanager
def serving(data: Path, smtp: str = "") -> Iterator[tuple[str, Any]]:
    """(URL, boto3's SES v2 client with its own retries) of a server."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(Settings(port=0, data=str(data), smtp=smtp), lambda error: None)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    client = boto3.client(
        "sesv2",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    try:
        yield server.url, client
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def smtp_server(mailbox: Mailbox, port: int) -> Iterator[None]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fault(client: Any, **changes: Any) -> tuple[str, str, int]:
    """(code, message, retries that boto3 made) of the error that a SendEmail gets."""
    with pytest.raises(ClientError) as caught:
        client.send_email(**{**REQUEST, **changes})
    error, meta = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    return error["Code"], error["Message"], meta["RetryAttempts"]


def test_mail_arrives_at_a_real_smtp_server_and_a_server_that_is_down_is_an_error(tmp_path: Path):
    port, mailbox = free_port(), Mailbox()
    with serving(tmp_path, f"smtp://127.0.0.1:{port}") as (_, client):
        with smtp_server(mailbox, port):
            message_id = client.send_email(**REQUEST)["MessageId"]
            (envelope,) = mailbox.taken
            assert envelope.rcpt_tos == ["jo@example.com", "audit@example.com"]
            assert isinstance(envelope.content, bytes)
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            assert message_id in message["Message-ID"]
            assert (message["Subject"], message["From"]) == ("Your order ✓", "Shop <shop@example.com>")
            assert (message["To"], message["Bcc"]) == ("jo@example.com", None)
            assert (message["Reply-To"], message["X-Order"]) == ("help@example.com", "42")
            body = message.get_body(("plain",))
            assert body is not None
            assert body.get_content().strip() == "It is on its way, é."

            mailbox.answer = "554 no spam"
            code, text, retries = fault(client)
            assert (code, retries) == ("MessageRejected", 0)
            assert "554 no spam" in text
        # Now nobody listens. The handler must hear of it at once, not after boto3's own retries.
        code, text, retries = fault(client)
        assert (code, retries) == ("SendingPausedException", 0)
        assert f"SMTP server 127.0.0.1:{port} cannot be reached" in text
        mailbox.answer = "250 taken"
        with smtp_server(mailbox, port):
            client.send_email(**REQUEST)
            assert len(mailbox.taken) == 2


def test_without_a_server_mail_is_in_the_inbox(tmp_path: Path):
    with serving(tmp_path) as (url, client):
        client.send_email(**REQUEST)
        raw = b"From: a@example.com\nTo: b@example.com\nSubject: Raw\n\nraw body\n"
        client.send_email(Content={"Raw": {"Data": raw}})
    with serving(tmp_path) as (url, client):
        mails = Connection(url).get("/_busway/inbox", limit=10)["messages"]
    assert [(mail["subject"], mail["text"].strip()) for mail in mails] == [
        ("Raw", "raw body"),
        ("Your order ✓", "It is on its way, é."),
    ]
    assert mails[1]["to"] == ["jo@example.com", "audit@example.com"]


def test_what_cannot_be_sent_is_said(tmp_path: Path):
    with serving(tmp_path) as (_, client):
        assert fault(client, FromEmailAddress="nobody")[:2] == (
            "BadRequestException",
            "FromEmailAddress: found 'nobody'; wanted an address such as jo@example.com (Missing final '@domain').",
        )
        assert "no recipients" in fault(client, Destination={})[1]
        injected = {"Simple": {**CONTENT["Simple"], "Subject": {"Data": "Hi\r\nBcc: evil@example.com"}}}
        assert "line break" in fault(client, Content=injected)[1]
        template = {"Template": {"TemplateName": "t", "TemplateData": "{}"}}
        assert "Templates are not built yet" in fault(client, Content=template)[1]
        assert "wanted exactly one" in fault(client, Content={})[1]
        attached = {"Simple": {**CONTENT["Simple"], "Attachments": [{"RawContent": b"x", "FileName": "x.txt"}]}}
        assert "Attachments" in fault(client, Content=attached)[1]
