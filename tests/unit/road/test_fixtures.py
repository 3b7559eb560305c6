from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import boto3
import pytest
from pydantic import Field

from busway import Event
from busway.testing import MakeEvent, SentMail


class Notice(Event, source="shop", detail_type="Notice"):
    ip_address: Annotated[str, Field(alias="ip-address", examples=["1.2.3.4"])]
    place: str = "Oslo"


@cache
def client() -> Any:
    return boto3.client("sesv2")


def send(text: str) -> None:
    client().send_email(
        FromEmailAddress="shop@example.com",
        Destination={"ToAddresses": ["user@example.com"]},
        Content={"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": text}}}},
    )


def test_without_a_sample_file_an_event_is_made_from_its_class(event: MakeEvent):
    assert event(Notice, place="Rome", envelope={"resources": ["a"]}).envelope.resources == ("a",)


@pytest.fixture
def beside(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if the test file were in a handler's folder."""
    monkeypatch.setattr(request.node, "path", tmp_path / "test_it.py")
    return tmp_path


def test_a_sample_file_beside_the_test_is_where_events_come_from(beside: Path, event: MakeEvent):
    detail = {"ip-address": "9.9.9.9", "place": "Bergen"}
    raw = {"id": "x", "source": "shop", "detail-type": "Notice", "resources": ["r"], "detail": detail}
    (beside / "sample.json").write_text(json.dumps(raw))
    made = event(Notice, ip_address="5.5.5.5")
    assert (made.ip_address, made.place, made.envelope.id, made.envelope.resources) == (
        *("5.5.5.5", "Bergen", "x"),
        ("r",),
    )
    assert event(Notice, **{"ip-address": "6.6.6.6"}).ip_address == "6.6.6.6"
    with pytest.raises(FileNotFoundError, match="no such sample"):
        event(Notice, "other.json")


def test_emails_are_caught_and_none_leaves_the_machine(sent_mail: SentMail):
    send("first")
    send("second")
    assert [mail.text for mail in sent_mail] == ["first", "second"]
    assert (sent_mail[0].to, sent_mail[0].subject, sent_mail[0].sender) == (
        *(["user@example.com"], "Hello"),
        "shop@example.com",
    )


def test_each_test_begins_with_no_mail_though_the_client_is_kept(sent_mail: SentMail):
    assert len(sent_mail) == 0
    with pytest.raises(IndexError, match="mail 0 was asked for; 0 were sent"):
        _ = sent_mail[0]


def test_a_refusal_reaches_the_handler_as_awss_error(sent_mail: SentMail):
    sent_mail.refuse("TooManyRequestsException", "slow down")
    with pytest.raises(Exception, match=r"TooManyRequestsException.*slow down"):
        send("never")
    sent_mail.accept()
    send("again")
    assert len(sent_mail) == 1
