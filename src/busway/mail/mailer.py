"""Sending mail: to the inbox, or through the relay."""

from __future__ import annotations

from busway.clock import Clock, Entropy, uuids
from busway.engine import Engine
from busway.errors import MailRefused, MailServerUnavailable
from busway.mail.compose import Composed, Letter, Recipients, compose, compose_raw
from busway.mail.inbox import Inbox
from busway.mail.relay import Relay, parse_smtp_url
from busway.metrics import Metrics


class Mailer:
    """Sends mail: without an SMTP URL into `inbox`; with one to that server, and then the inbox stays empty.

    A message goes out before `send` returns, so a caller learns of a failure and can try again. Counts under SES's
    names: Send for what was taken, Reject for what was not, Bounce for recipients refused among others.
    """

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy, metrics: Metrics, smtp_url: str = "") -> None:
        """Raises ValueError for a URL that is none."""
        self._clock = clock
        self._entropy = entropy
        self._metrics = metrics
        self._relay = Relay(parse_smtp_url(smtp_url)) if smtp_url else None
        self.inbox = Inbox(engine, clock)

    async def open(self) -> None:
        await self.inbox.open()

    async def close(self) -> None:
        if self._relay is not None:
            self._relay.close()

    @property
    def reached(self) -> str:
        """Where mail goes, in words."""
        if self._relay is None:
            return "the inbox: busway inbox (no SMTP server is set)"
        return f"the SMTP server {self._relay.server.address}"

    async def send(self, letter: Letter, message_id: str = "") -> str:
        """Send a letter; return its message id: the given one, which a repeat has again, or a new one.

        Raises `InvalidMail`, `MailRefused`, `MailServerUnavailable`, `StorageFull`.
        """
        message_id = message_id or uuids(self._entropy, 1)[0]
        await self._dispatch(compose(letter, message_id, self._clock.now()))
        return message_id

    async def send_raw(self, data: bytes, sender: str | None, recipients: Recipients) -> str:
        """Send a message that the caller wrote whole; return its id. Raises as `send` does."""
        message_id = uuids(self._entropy, 1)[0]
        composed = compose_raw(data, sender, recipients, message_id, self._clock.now())
        await self._dispatch(composed)
        return message_id

    async def _dispatch(self, composed: Composed) -> None:
        if self._relay is None:
            await self.inbox.keep(composed)
        else:
            try:
                refused = await self._relay.send(composed)
            except (MailRefused, MailServerUnavailable):
                self._metrics.count("AWS/SES", "Reject")
                raise
            # The others have it: raising would send it to them again. SES, too, reports this as a bounce.
            if refused:
                self._metrics.count("AWS/SES", "Bounce", len(refused))
        self._metrics.count("AWS/SES", "Send")
