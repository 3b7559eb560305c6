"""Messages as they are composed, and what is refused."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given, strategies as st

from busway.errors import InvalidMail
from busway.mail.compose import Composed, Letter, Recipients, compose, compose_raw

LETTER = Letter("Shop <shop@example.com>", Recipients(["jo@example.com"]), "Hello", text="Hi")


def read(composed: Composed) -> EmailMessage:
    message = email.message_from_bytes(composed.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def composed_of(letter: Letter) -> Composed:
    return compose(letter, "id-1", 1_700_000_000.0)


def test_a_letter_becomes_a_message_with_its_headers():
    letter = replace(
        LETTER,
        recipients=Recipients(["Jo Doe <jo@example.com>", "al@example.com"], ["cy@example.com"], ["bo@example.com"]),
        reply_to=["help@example.com"],
        headers=[("X-Order", "42")],
    )
    composed = composed_of(letter)
    message = read(composed)
    assert dict(message.items()) == {
        "From": "Shop <shop@example.com>",
        "To": "Jo Doe <jo@example.com>, al@example.com",
        "Cc": "cy@example.com",
        "Reply-To": "help@example.com",
        "Subject": "Hello",
        "Date": "Tue, 14 Nov 2023 22:13:20 +0000",
        "Message-ID": "<id-1@mail.busway.internal>",
        "X-Order": "42",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "1.0",
    }
    assert composed.sender == "shop@example.com"
    assert composed.recipients == ("jo@example.com", "al@example.com", "cy@example.com", "bo@example.com")


def test_those_in_bcc_are_in_no_header():
    composed = composed_of(replace(LETTER, recipients=Recipients(bcc=["secret@example.com"])))
    assert composed.recipients == ("secret@example.com",)
    assert b"secret" not in composed.content


def test_each_recipient_gets_the_message_once():
    composed = composed_of(replace(LETTER, recipients=Recipients(["jo@example.com"], ["Jo <jo@example.com>"])))
    assert composed.recipients == ("jo@example.com",)


@given(
    subject=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=80),
    text=st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=200),
    name=st.text(st.characters(categories=["L"]), min_size=1, max_size=20),
)
def test_any_words_survive_in_seven_bits(subject: str, text: str, name: str):
    composed = composed_of(replace(LETTER, subject=subject, text=text, sender=f"{name} <shop@example.com>"))
    assert composed.content.isascii()
    assert b"\n" not in composed.content.replace(b"\r\n", b"")
    message = read(composed)
    assert message["Subject"] == subject
    assert message.get_content().rstrip("\r\n") == text
    # Not by the parser of `message`: Python 3.11's leaves a blank between the two encoded words of a long name.
    sender = email.message_from_bytes(composed.content, policy=email.policy.compat32)["From"]
    assert parseaddr(str(make_header(decode_header(sender))))[0] == name


def test_text_and_html_are_alternatives():
    message = read(composed_of(replace(LETTER, text="plain é", html="<b>é</b>")))
    assert message.get_content_type() == "multipart/alternative"
    plain, rich = message.iter_parts()
    assert isinstance(plain, EmailMessage)
    assert isinstance(rich, EmailMessage)
    assert (plain.get_content_type(), plain.get_content().strip()) == ("text/plain", "plain é")
    assert (rich.get_content_type(), rich.get_content().strip()) == ("text/html", "<b>é</b>")
    only = read(composed_of(replace(LETTER, text=None, html="<b>x</b>")))
    assert only.get_content_type() == "text/html"


@pytest.mark.parametrize(
    "letter",
    [
        replace(LETTER, subject="Hello\r\nBcc: evil@example.com"),
        replace(LETTER, subject="Hello\nx"),
        replace(LETTER, sender="Shop\r\nBcc: evil@example.com <shop@example.com>"),
        replace(LETTER, recipients=Recipients(["jo@example.com\r\nBcc: evil@example.com"])),
        replace(LETTER, recipients=Recipients(bcc=["jo@example.com\nRCPT TO:<evil@example.com>"])),
        replace(LETTER, reply_to=["a@example.com\r\nX: y"]),
        replace(LETTER, headers=[("X-Order", "1\r\nBcc: evil@example.com")]),
    ],
)
def test_a_line_break_in_a_header_is_refused(letter: Letter):
    with pytest.raises(InvalidMail, match="line break"):
        composed_of(letter)


@pytest.mark.parametrize(
    "address",
    [
        *("", "jo", "@example.com", "jo@", "jo@-x.com", "a@b@c.com", "a@x.com, b@x.com"),
        *("j o@x.com", "jo@exa mple.com", "jö@example.com", "jo@exämple.com"),
    ],
)
def test_a_wrong_address_is_refused_where_it_stands(address: str):
    with pytest.raises(InvalidMail, match="ToAddresses: found"):
        composed_of(replace(LETTER, recipients=Recipients([address])))
    with pytest.raises(InvalidMail, match="FromEmailAddress: found"):
        composed_of(replace(LETTER, sender=address))


@given(st.text(max_size=40))
def test_no_text_makes_an_address_that_breaks_the_envelope(text: str):
    try:
        composed = composed_of(replace(LETTER, recipients=Recipients([text])))
    except InvalidMail:
        return
    (recipient,) = composed.recipients
    assert recipient.isascii()
    assert not set(recipient) & set("\r\n <>,")


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        (replace(LETTER, text=None), "no body"),
        (replace(LETTER, recipients=Recipients()), "no recipients"),
        (replace(LETTER, recipients=Recipients([f"u{i}@x.com" for i in range(51)])), "Recipient count exceeds 50"),
        (replace(LETTER, headers=[("Bcc", "evil@example.com")]), "made from the request"),
        (replace(LETTER, headers=[("X Y", "v")]), "without a colon"),
        (replace(LETTER, headers=[("Sender", "a@example.com"), ("Sender", "b@example.com")]), "Header 'Sender'"),
    ],
)
def test_what_cannot_be_sent_is_refused(letter: Letter, reason: str):
    with pytest.raises(InvalidMail, match=reason):
        composed_of(letter)


RAW = (
    b"From: Shop\n <shop@example.com>\nTo: jo@example.com, Al <al@example.com>\nBcc: bo@example.com\n"
    b"Message-ID: <mine@example.com>\nSubject: =?utf-8?q?H=C3=A9?=\n\nFrom here on\nb\xc3\xa9\n"
)


def test_a_raw_message_keeps_its_content():
    composed = compose_raw(RAW, None, Recipients(), "id-1", 1_700_000_000.0)
    assert (composed.sender, composed.subject) == ("shop@example.com", "Hé")
    assert composed.recipients == ("jo@example.com", "al@example.com", "bo@example.com")
    assert composed.content.endswith(b"\r\n\r\nFrom here on\r\nb\xc3\xa9\r\n")
    assert b"Message-ID: <id-1@mail.busway.internal>" in composed.content
    assert b"Date: Tue, 14 Nov 2023 22:13:20 +0000" in composed.content
    assert b"bo@example.com" not in composed.content


def test_a_destination_wins_over_a_raw_messages_headers():
    composed = compose_raw(RAW, "other@example.com", Recipients(["x@example.com"]), "id-1", 0.0)
    assert (composed.sender, composed.recipients) == ("other@example.com", ("x@example.com",))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no headers"),
        (b"hello", "no headers"),
        (b"Subject: x\n\nbody", "FromEmailAddress"),
        (b"From: a@example.com\n\nbody", "no recipients"),
    ],
)
def test_a_raw_message_without_the_necessary_is_refused(data: bytes, reason: str):
    with pytest.raises(InvalidMail, match=reason):
        compose_raw(data, None, Recipients(), "id-1", 0.0)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_a_raw_message(data: bytes):
    try:
        compose_raw(data, "a@example.com", Recipients(["b@example.com"]), "id-1", 0.0)
    except InvalidMail:
        pass
