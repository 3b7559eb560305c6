"""Mail into the inbox, and through a real SMTP server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given, strategies as st

from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.errors import MailRefused, MailServerUnavailable, StorageFull
from busway.mail.compose import Composed, Letter, Recipients
from busway.mail.inbox import MAIL_MAX, Inbox, Mail, shown
from busway.mail.mailer import Mailer
from busway.mail.relay import Relay, SmtpServer, parse_smtp_url
from busway.metrics import Metrics

LETTER = Letter("shop@example.com", Recipients(["jo@example.com"]), "Hello", text="Hi\n.\n.dot")


class Mailbox:
    """What the server took, and how it answers: `refuse` is a reply by recipient, or by "data"."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.refuse: dict[str, str] = {}

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "data" in self.refuse:
            return self.refuse["data"]
        self.taken.append(envelope)
        return "250 taken"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp_port(mailbox: Mailbox) -> Iterator[int]:
    def login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"us@r", b"p:ss"), handled=False)

    controller = Controller(
        mailbox, hostname="127.0.0.1", port=free_port(), authenticator=login, auth_require_tls=False
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mailer(engine: MemoryEngine, clock: ManualClock, metrics: Metrics, url: str = "") -> Mailer:
    return Mailer(engine, clock, SeededEntropy(1), metrics, url)


async def test_without_a_server_mail_is_kept_and_shown(engine: MemoryEngine, clock: ManualClock, metrics: Metrics):
    post = mailer(engine, clock, metrics)
    await post.open()
    first = await post.send(LETTER)
    second = await post.send_raw(b"From: a@example.com\nTo: b@example.com\nSubject: Raw\n\nbody", None, Recipients())
    assert [(m.message_id, m.subject) for m in post.inbox.list()] == [(second, "Raw"), (first, "Hello")]
    kept = await post.inbox.get(first)
    assert kept is not None
    assert (kept.sender, kept.recipients, kept.at) == ("shop@example.com", ("jo@example.com",), clock.now())
    assert b"Subject: Hello" in kept.content
    assert await post.inbox.get("none") is None
    assert metrics.value("AWS/SES", "Send") == 2


async def test_mail_is_shown_as_people_read_it(engine: MemoryEngine, clock: ManualClock, metrics: Metrics):
    post = mailer(engine, clock, metrics)
    await post.send(Letter("a@x.com", Recipients(["b@x.com"], bcc=["c@x.com"]), "One", text="é\nx", html="<b>é</b>"))
    await post.send(Letter("a@x.com", Recipients(["b@x.com"]), "Two", html="<b>é</b>"))
    two, one = await post.inbox.newest(10)
    assert (one.subject, one.to, one.text) == ("One", ("b@x.com", "c@x.com"), "é\nx\n")
    assert (two.subject, two.text) == ("Two", "<b>é</b>\n")
    assert [mail.subject for mail in await post.inbox.newest(1)] == ["Two"]


@given(
    st.binary(max_size=100),
    st.sampled_from(
        ["text/plain", "text/html; charset=nonsense", "multipart/mixed", "x/y", "text/plain; charset=utf-16"]
    ),
    st.sampled_from(["8bit", "base64", "quoted-printable", "nonsense"]),
)
def test_whatever_was_sent_can_be_shown(data: bytes, kind: str, encoding: str):
    head = f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n".encode()
    assert isinstance(shown(Mail("i", 0.0, "a@x.com", ("b@x.com",), "s", head + data)).text, str)
    assert isinstance(shown(Mail("i", 0.0, "a@x.com", ("b@x.com",), "s", data)).text, str)


async def test_the_inbox_survives_a_restart_and_keeps_the_newest(engine: MemoryEngine, clock: ManualClock):
    inbox = Inbox(engine, clock)
    await inbox.open()
    for number in range(MAIL_MAX + 5):
        await inbox.keep(Composed(str(number), "a@x.com", ("b@x.com",), "s", b"c"))
    again = Inbox(engine, clock)
    await again.open()
    for held in (inbox, again):
        assert [mail.message_id for mail in held.list()] == [str(n) for n in range(MAIL_MAX + 4, 4, -1)]
    assert await again.get("4") is None
    assert len(await engine.journal.read("mail", 0, 10_000)) == MAIL_MAX


async def test_a_full_disk_refuses_mail(engine: MemoryEngine, clock: ManualClock, metrics: Metrics):
    post = mailer(engine, clock, metrics)
    engine.full = True
    with pytest.raises(StorageFull):
        await post.send(LETTER)


async def test_with_a_server_mail_is_relayed(
    engine: MemoryEngine, clock: ManualClock, metrics: Metrics, mailbox: Mailbox, smtp_port: int
):
    post = mailer(engine, clock, metrics, f"smtp://127.0.0.1:{smtp_port}")
    await post.open()
    await post.send(LETTER)
    (envelope,) = mailbox.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", ["jo@example.com"])
    assert isinstance(envelope.content, bytes)
    assert envelope.content.endswith(b"\r\n\r\nHi\r\n.\r\n.dot\r\n")
    assert post.inbox.list() == []
    await post.close()


async def test_a_login_is_used(
    engine: MemoryEngine, clock: ManualClock, metrics: Metrics, mailbox: Mailbox, smtp_port: int
):
    await mailer(engine, clock, metrics, f"smtp://us%40r:p%3Ass@127.0.0.1:{smtp_port}").send(LETTER)
    assert len(mailbox.taken) == 1
    with pytest.raises(MailRefused, match="535"):
        await mailer(engine, clock, metrics, f"smtp://us%40r:wrong@127.0.0.1:{smtp_port}").send(LETTER)


@pytest.mark.parametrize(
    ("where", "reply", "kind"),
    [
        ("data", "554 no spam", MailRefused),
        ("data", "451 try later", MailServerUnavailable),
        ("jo@example.com", "550 no such user", MailRefused),
        ("jo@example.com", "450 mailbox busy", MailServerUnavailable),
    ],
)
async def test_what_the_server_refuses_fails_for_good_or_for_now(
    engine: MemoryEngine,
    clock: ManualClock,
    metrics: Metrics,
    mailbox: Mailbox,
    smtp_port: int,
    where: str,
    reply: str,
    kind: type[Exception],
):
    mailbox.refuse[where] = reply
    with pytest.raises(kind, match=reply):
        await mailer(engine, clock, metrics, f"smtp://127.0.0.1:{smtp_port}").send(LETTER)
    assert metrics.value("AWS/SES", "Reject") == 1
    assert mailbox.taken == []


async def test_one_refused_recipient_does_not_send_it_to_the_others_again(
    engine: MemoryEngine, clock: ManualClock, metrics: Metrics, mailbox: Mailbox, smtp_port: int
):
    mailbox.refuse["al@example.com"] = "550 no such user"
    letter = Letter("a@example.com", Recipients(["jo@example.com", "al@example.com"]), "s", text="t")
    await mailer(engine, clock, metrics, f"smtp://127.0.0.1:{smtp_port}").send(letter)
    assert [envelope.rcpt_tos for envelope in mailbox.taken] == [["jo@example.com"]]
    assert metrics.value("AWS/SES", "Bounce") == 1


async def test_a_server_that_is_down_is_named(engine: MemoryEngine, clock: ManualClock, metrics: Metrics):
    port = free_port()
    with pytest.raises(MailServerUnavailable, match=f"SMTP server 127.0.0.1:{port} cannot be reached: .*refused"):
        await mailer(engine, clock, metrics, f"smtp://127.0.0.1:{port}").send(LETTER)


async def test_a_server_that_says_nothing_is_given_up():
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        relay = Relay(SmtpServer("127.0.0.1", silent.getsockname()[1]), step_timeout_s=0.05)
        with pytest.raises(MailServerUnavailable, match="timed out"):
            await relay.send(Composed("i", "a@x.com", ("b@x.com",), "s", b"c"))


async def test_a_server_that_hangs_up_is_unavailable():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        hang_up = threading.Thread(target=lambda: server.accept()[0].close())
        hang_up.start()
        with pytest.raises(MailServerUnavailable, match="cannot be reached"):
            await Relay(SmtpServer("127.0.0.1", server.getsockname()[1])).send(
                Composed("i", "a@x.com", ("b@x.com",), "s", b"c")
            )
        hang_up.join()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 25)),
        ("smtp://[::1]:1025/", SmtpServer("::1", 1025)),
        ("smtps://u%3A:p%40@mail.example.com", SmtpServer("mail.example.com", 465, True, "u:", "p@")),
    ],
)
def test_an_smtp_url_is_read(url: str, server: SmtpServer):
    assert parse_smtp_url(url) == server


@pytest.mark.parametrize(
    "url", ["mail.example.com:25", "http://x", "smtp://", "smtp://x:port", "smtp://u:secret@x/y"]
)
def test_any_other_url_is_refused_without_showing_its_password(url: str):
    with pytest.raises(ValueError, match="wanted smtp://") as caught:
        parse_smtp_url(url)
    assert "secret" not in str(caught.value)


def test_loopback_is_told_from_the_world():
    hosts = {"localhost": True, "127.0.0.1": True, "::1": True, "10.0.0.1": False, "mail.example.com": False}
    assert {host: SmtpServer(host, 25).on_loopback for host in hosts} == hosts
