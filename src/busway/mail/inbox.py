"""The inbox of development: mail that was "sent" is kept here and shown, and goes nowhere.

A journal of the engine, so it survives restarts. The newest `MAIL_MAX` are kept; their summaries are in memory, their
content is read when asked for.
"""

from __future__ import annotations

import email
from collections import deque
from collections.abc import Sequence
from email import policy

import msgspec

from busway.clock import Clock
from busway.engine import Engine
from busway.mail.compose import Composed

JOURNAL = "mail"
# Ours.
MAIL_MAX = 1_000
_PAGE = 100


class Mail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message as it is kept; `at` is Unix seconds, `content` the message in RFC 5322 form."""

    message_id: str
    at: float
    sender: str
    recipients: tuple[str, ...]
    subject: str
    content: bytes = b""


class ShownMail(msgspec.Struct, frozen=True):
    """One message as people read it; `text` is its plain text, or its HTML when it has no other.

    `to` is everyone who would have got it, those in Bcc too.
    """

    message_id: str
    at: float
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str


class Inbox:
    """The newest mail. Open it before use."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        # (offset in the journal, mail without its content), oldest first.
        self._held: deque[tuple[int, Mail]] = deque()

    async def open(self) -> None:
        """Load the summaries."""
        after = 0
        while entries := await self._engine.journal.read(JOURNAL, after, _PAGE):
            for entry in entries:
                mail = msgspec.json.decode(entry.data, type=Mail)
                self._held.append((entry.offset, msgspec.structs.replace(mail, content=b"")))
            after = entries[-1].offset
        await self._forget_oldest()

    async def keep(self, composed: Composed) -> Mail:
        """Keep one message; durable before return. Raises `StorageFull`."""
        mail = Mail(
            composed.message_id,
            self._clock.now(),
            composed.sender,
            composed.recipients,
            composed.subject,
            composed.content,
        )
        offset = await self._engine.journal.append(JOURNAL, [msgspec.json.encode(mail)])
        self._held.append((offset, msgspec.structs.replace(mail, content=b"")))
        await self._forget_oldest()
        return mail

    def list(self) -> list[Mail]:
        """The kept mail without its content, newest first."""
        return [mail for _, mail in reversed(self._held)]

    async def get(self, message_id: str) -> Mail | None:
        """One message with its content; None when it is not kept (any more)."""
        for offset, mail in self._held:
            if mail.message_id == message_id:
                entries = await self._engine.journal.read(JOURNAL, offset - 1, 1)
                return msgspec.json.decode(entries[0].data, type=Mail) if entries else None
        return None

    async def newest(self, limit: int) -> Sequence[ShownMail]:
        """Up to `limit` messages to be read, newest first."""
        mails = [await self.get(mail.message_id) for mail in self.list()[:limit]]
        return [shown(mail) for mail in mails if mail is not None]

    async def _forget_oldest(self) -> None:
        gone = 0
        while len(self._held) > MAIL_MAX:
            gone, _ = self._held.popleft()
        if gone:
            # `trim` goes by age too; everything appended until now is older than a second from now.
            await self._engine.journal.trim(JOURNAL, self._clock.now() + 1.0, gone)


def shown(mail: Mail) -> ShownMail:
    """What a mail program would show of it; it may be any bytes that a handler sent as a raw message."""
    message = email.message_from_bytes(mail.content, policy=policy.default)
    body = message.get_body(("plain", "html"))
    payload = body.get_payload(decode=True) if body is not None else b""
    charset = body.get_content_charset("utf-8") if body is not None else "utf-8"
    text = _decoded(payload if isinstance(payload, bytes) else b"", charset)
    return ShownMail(mail.message_id, mail.at, mail.sender, mail.recipients, mail.subject, text.replace("\r\n", "\n"))


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, errors="replace")
    except LookupError:
        return data.decode(errors="replace")
