"""One SMTP conversation a message, in a thread: the standard library's client is a blocking one."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from busway.errors import MailRefused, MailServerUnavailable
from busway.mail.compose import Composed

# Ours: what each step of the conversation may take. Below the 60 s that SDKs wait for an answer.
STEP_TIMEOUT_S = 10.0
# Ours: conversations at once; further mail waits for a free one. A pool of its own, so that a server that hangs
# holds up mail and nothing else.
CONVERSATIONS_MAX = 8
PORTS = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is relayed to. `tls` from the first byte (smtps); otherwise STARTTLS where the server offers it."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = ""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def on_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_smtp_url(url: str) -> SmtpServer:
    """`smtp://[user:password@]host[:port]`, or `smtps://…`. Raises ValueError that says what was found and wanted."""
    wanted = "wanted smtp://[user:password@]host[:port] or smtps://…"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"SMTP URL: found {error}; {wanted}") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/"):
        # Without what stands before the host: that may be a password.
        raise ValueError(f"SMTP URL: found {parts.scheme}://{parts.hostname or ''}{parts.path}; {wanted}")
    return SmtpServer(
        parts.hostname,
        port or PORTS[parts.scheme],
        parts.scheme == "smtps",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


class Relay:
    """Hands messages to one SMTP server."""

    def __init__(self, server: SmtpServer, step_timeout_s: float = STEP_TIMEOUT_S) -> None:
        self.server = server
        self._step_timeout_s = step_timeout_s
        self._threads = ThreadPoolExecutor(CONVERSATIONS_MAX, thread_name_prefix="smtp")

    async def send(self, composed: Composed) -> tuple[str, ...]:
        """Return once the server has taken the message; gives the recipients that it refused among others.

        Raises `MailRefused` (5xx, or no recipient was taken) and `MailServerUnavailable` (4xx, unreachable, silent).
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._converse, composed)

    def close(self) -> None:
        """Conversations under way come to their end by themselves; those not begun never begin."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _converse(self, composed: Composed) -> tuple[str, ...]:
        where = f"SMTP server {self.server.address}"
        try:
            smtp = self._connect()
            try:
                refused = tuple(smtp.sendmail(composed.sender, composed.recipients, composed.content))
                # The server has the message: whatever it answers to the goodbye, it is not to be sent again.
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    smtp.quit()
                return refused
            finally:
                smtp.close()
        except smtplib.SMTPRecipientsRefused as error:
            # Permanent only if it is so for everyone: one who may be taken later is worth another attempt.
            codes = [code for code, _ in error.recipients.values()]
            text = "; ".join(f"{who}: {_said(code, reply)}" for who, (code, reply) in error.recipients.items())
            raise _refusal(min(codes), f"{where} refused every recipient: {text}") from error
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, f"{where} answered {_said(error.smtp_code, error.smtp_error)}") from error
        except smtplib.SMTPNotSupportedError as error:
            raise MailRefused(f"{where} cannot do what is asked of it: {error}") from error
        except (OSError, smtplib.SMTPException) as error:
            # OSError is also what TLS failures and time-outs are.
            raise MailServerUnavailable(f"{where} cannot be reached: {error or type(error).__name__}") from error

    def _connect(self) -> smtplib.SMTP:
        server, timeout_s = self.server, self._step_timeout_s
        if server.tls:
            context = ssl.create_default_context()
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=timeout_s, context=context)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=timeout_s)
        try:
            self._secure(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _secure(self, smtp: smtplib.SMTP) -> None:
        """STARTTLS and login. On loopback nothing is encrypted: there is nobody in between."""
        server = self.server
        smtp.ehlo_or_helo_if_needed()
        encrypted = server.tls
        if not encrypted and not server.on_loopback and smtp.has_extn("starttls"):
            smtp.starttls(context=ssl.create_default_context())
            smtp.ehlo()
            encrypted = True
        if server.user:
            if not encrypted and not server.on_loopback:
                raise MailRefused(
                    f"SMTP server {server.address} offers no TLS; the password is not sent in clear. Use smtps://."
                )
            smtp.login(server.user, server.password)


def _refusal(code: int, message: str) -> MailRefused | MailServerUnavailable:
    return MailRefused(message) if code >= 500 else MailServerUnavailable(message)


def _said(code: int, reply: bytes | str) -> str:
    return f"{code} {reply.decode(errors='replace') if isinstance(reply, bytes) else reply}"
