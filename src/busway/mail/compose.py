"""What a caller asks to send, as an RFC 5322 message and its envelope. Pure."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.utils import format_datetime, getaddresses

from busway.errors import InvalidMail

# https://docs.aws.amazon.com/ses/latest/dg/quotas.html
RECIPIENTS_MAX = 50
BYTES_MAX = 40 * 1024 * 1024
ADDRESS_MAX = 320
# Ours: the domain of our Message-IDs. `.internal` is reserved for private use.
MESSAGE_ID_DOMAIN = "mail.busway.internal"
# These are made from the request; a custom header must not contradict them.
_OWN_HEADERS = frozenset(
    {"from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version"}
    | {"content-type", "content-transfer-encoding"}
)
_HEADER_NAME = re.compile(r"[!-9;-~]{1,126}")
# Seven bits, so that no server on the way needs 8BITMIME.
_POLICY = email.policy.SMTP.clone(cte_type="7bit")
# As it came, but with line ends for SMTP and without the ">From" of mailbox files.
_RAW_POLICY = email.policy.compat32.clone(linesep="\r\n", mangle_from_=False)
_LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_DOMAIN = re.compile(
    r"(?=.{1,255}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom a message goes to; those in `bcc` are in no header."""

    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to be composed. At least one of `text` and `html`; `headers` are further ones, in order."""

    sender: str
    recipients: Recipients
    subject: str
    text: str | None = None
    html: str | None = None
    reply_to: Sequence[str] = ()
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Composed:
    """A message ready to go: `sender` and `recipients` are the bare addresses of the envelope."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    content: bytes


def compose(letter: Letter, message_id: str, now: float) -> Composed:
    """The message of a letter: UTF-8, with CRLF line ends. `now` is Unix seconds.

    Raises `InvalidMail` for a missing part, a wrong address, or a line break in a header.
    """
    message = EmailMessage(policy=_POLICY)
    sender = _address("FromEmailAddress", letter.sender)
    message["From"] = sender
    envelope: list[str] = []
    for header, given in (("To", letter.recipients.to), ("Cc", letter.recipients.cc)):
        addresses = [_address(f"{header}Addresses", text) for text in given]
        envelope += [address.addr_spec for address in addresses]
        if addresses:
            message[header] = addresses
    envelope += [_address("BccAddresses", text).addr_spec for text in letter.recipients.bcc]
    if letter.reply_to:
        message["Reply-To"] = [_address("ReplyToAddresses", text) for text in letter.reply_to]
    message["Subject"] = _one_line("Subject", letter.subject)
    message["Date"] = _date(now)
    message["Message-ID"] = f"<{message_id}@{MESSAGE_ID_DOMAIN}>"
    for name, value in letter.headers:
        _add_header(message, name, value)
    _fill_body(message, letter)
    return _sealed(Composed(message_id, sender.addr_spec, tuple(envelope), letter.subject, message.as_bytes()))


def _add_header(message: EmailMessage, name: str, value: str) -> None:
    if name.lower() in _OWN_HEADERS:
        raise InvalidMail(f"Header {name!r} is made from the request and cannot be given as a further header.")
    if not _HEADER_NAME.fullmatch(name):
        raise InvalidMail(f"Headers: found the name {name!r}; wanted printable ASCII without a colon.")
    try:
        message[name] = _one_line(name, value)
    except ValueError as error:
        raise InvalidMail(f"Header {name!r}: {error}.") from error


def _fill_body(message: EmailMessage, letter: Letter) -> None:
    if letter.text is None and letter.html is None:
        raise InvalidMail("The message has no body: wanted Text, Html or both.")
    if letter.text is not None:
        message.set_content(letter.text)
        if letter.html is not None:
            message.add_alternative(letter.html, subtype="html")
    else:
        message.set_content(letter.html, subtype="html")


def compose_raw(data: bytes, sender: str | None, recipients: Recipients, message_id: str, now: float) -> Composed:
    """A message that the caller wrote whole. Its headers fill in what `sender` and `recipients` leave out.

    As SES does: Message-ID is replaced, Date is added where it is missing, and Bcc is taken out.
    Raises `InvalidMail`.
    """
    message = email.message_from_bytes(data, policy=_RAW_POLICY)
    if not message.keys():
        raise InvalidMail("The raw message has no headers: wanted an RFC 5322 message.")
    from_address = _address("FromEmailAddress", sender or re.sub(r"\s+", " ", str(message.get("From", ""))))
    envelope = [
        _address("Destination", text).addr_spec for text in (*recipients.to, *recipients.cc, *recipients.bcc)
    ] or _header_addresses(message)
    if "From" not in message:
        message["From"] = str(from_address)
    del message["Bcc"]
    del message["Message-ID"]
    message["Message-ID"] = f"<{message_id}@{MESSAGE_ID_DOMAIN}>"
    if "Date" not in message:
        message["Date"] = _date(now)
    # Read once more under a policy that decodes encoded words, whatever their charset.
    subject = str(email.message_from_bytes(data, policy=email.policy.default).get("Subject", ""))
    return _sealed(Composed(message_id, from_address.addr_spec, tuple(envelope), subject, message.as_bytes()))


def _header_addresses(message: Message) -> list[str]:
    headers = [str(value) for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])]
    return [_address("To", spec).addr_spec for _, spec in getaddresses(headers) if spec]


def _sealed(composed: Composed) -> Composed:
    """The message with each recipient once. Raises `InvalidMail` for none, too many, or too many bytes."""
    if not composed.recipients:
        raise InvalidMail("The message has no recipients: wanted at least one address in To, Cc or Bcc.")
    if len(composed.recipients) > RECIPIENTS_MAX:
        raise InvalidMail(f"Recipient count exceeds {RECIPIENTS_MAX}: found {len(composed.recipients)}.")
    if len(composed.content) > BYTES_MAX:
        raise InvalidMail(f"The message has {len(composed.content)} bytes; wanted at most {BYTES_MAX}.")
    return replace(composed, recipients=tuple(dict.fromkeys(composed.recipients)))


def _address(where: str, text: str) -> Address:
    """`jo@example.com` or `Jo Doe <jo@example.com>`; any name, an ASCII mailbox (a domain in its punycode form)."""
    _one_line(where, text)
    parsed = getaddresses([text])
    name, spec = parsed[0] if len(parsed) == 1 else ("", "")
    local, at, domain = spec.rpartition("@")
    # The parser drops blanks inside an address; what it gives must be what was written.
    if not at or spec not in text:
        raise InvalidMail(
            f"{where}: found {text!r}; wanted an address such as jo@example.com (Missing final '@domain')."
        )
    if not _LOCAL_PART.fullmatch(local) or not _DOMAIN.fullmatch(domain) or len(spec) > ADDRESS_MAX:
        raise InvalidMail(
            f"{where}: found {text!r}; wanted an ASCII address such as jo@example.com (Illegal address)."
        )
    return Address(display_name=name, username=local, domain=domain)


def _one_line(where: str, text: str) -> str:
    if any(c in text for c in "\r\n\x00"):
        raise InvalidMail(f"{where}: found a line break or a NUL in {text!r}; a header is one line.")
    return text


def _date(now: float) -> str:
    return format_datetime(datetime.fromtimestamp(now, UTC))
