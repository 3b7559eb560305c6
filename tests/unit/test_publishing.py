"""Publishing many events: in batches that the bus takes, with another attempt for what may still succeed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, strategies as st

from busway import Event, publishing
from busway.bus.put_events import EventEntry, check_size
from busway.cli.options import sdk_variables
from busway.errors import EventTooLarge, PublishFailed
from busway.publishing import ATTEMPTS_MAX, ENTRIES_MAX, publish


class Paid(Event, source="shop", detail_type="Paid"):
    number: int


class Bus:
    """A client whose `answer` decides about each entry, by its Detail and how often that came before."""

    def __init__(self, answer: Callable[[str, int], str | None] = lambda detail, before: None) -> None:
        self.answer = answer
        self.calls: list[list[str]] = []
        self.pauses: list[float] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        seen = [detail for call in self.calls for detail in call]
        self.calls.append([entry["Detail"] for entry in Entries])
        check_size([EventEntry(source=e["Source"], detail_type=e["DetailType"], detail=e["Detail"]) for e in Entries])
        codes = [self.answer(entry["Detail"], seen.count(entry["Detail"])) for entry in Entries]
        return {"Entries": [self.result(e["Detail"], code) for e, code in zip(Entries, codes, strict=True)]}

    def result(self, detail: str, code: str | None) -> dict[str, str]:
        return {"EventId": f"id {detail}"} if code is None else {"ErrorCode": code, "ErrorMessage": "because"}

    def publish(self, *events: Any) -> list[str]:
        return publish(*events, client=self, sleep=self.pauses.append)


def entry(detail: str) -> dict[str, str]:
    return {"Source": "shop", "DetailType": "Paid", "Detail": detail}


def test_events_go_ten_at_a_time_and_come_back_as_ids_in_order():
    bus = Bus()
    ids = bus.publish(*(Paid(number=number) for number in range(23)))
    assert [len(call) for call in bus.calls] == [10, 10, 3]
    assert ids == [f'id {{"number":{number}}}' for number in range(23)]
    assert bus.pauses == []


def test_nothing_published_asks_nobody():
    assert publish() == []


def test_a_list_of_events_is_refused_with_how_to_give_them():
    with pytest.raises(TypeError, match=r"given a list; wanted events, .* publish\(\*events\)"):
        publish([entry("{}")])  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 700_000), max_size=14))
def test_every_batch_is_one_that_the_bus_takes(sizes: list[int]):
    bus = Bus()
    details = [str(place).ljust(size, "x") for place, size in enumerate(sizes)]
    assert bus.publish(*map(entry, details)) == [f"id {detail}" for detail in details]
    assert [detail for call in bus.calls for detail in call] == details
    assert all(len(call) <= ENTRIES_MAX for call in bus.calls)


def test_only_what_may_succeed_is_sent_again():
    def answer(detail: str, before: int) -> str | None:
        return {"a": None, "b": "ThrottlingException" if before < 2 else None, "c": "MalformedDetail"}[detail]

    bus = Bus(answer)
    with pytest.raises(
        PublishFailed, match=r"'Paid' was not put on bus 'default': MalformedDetail: because"
    ) as caught:
        bus.publish(entry("a"), entry("b"), entry("c"))
    assert bus.calls == [["a", "b", "c"], ["b"], ["b"]]
    assert caught.value.event_ids == ("id a", "id b", None)
    assert [(refusal.place, refusal.code) for refusal in caught.value.refusals] == [(2, "MalformedDetail")]
    assert len(bus.pauses) == 2


def test_an_entry_that_keeps_failing_is_given_up_and_the_others_are_told_of():
    bus = Bus(lambda detail, before: "InternalFailure" if detail == "a" else None)
    with pytest.raises(PublishFailed) as caught:
        bus.publish(*map(entry, ["a", *"bcdefghijkl"]))
    assert sum(call == ["a"] for call in bus.calls) == ATTEMPTS_MAX - 1
    assert caught.value.event_ids[0] is None
    assert None not in caught.value.event_ids[1:]


def test_one_event_too_large_stops_all_before_anything_is_sent():
    bus = Bus()
    with pytest.raises(EventTooLarge, match="has 1048585 bytes; wanted at most 1048576"):
        bus.publish(entry("a"), entry("x" * 1_048_577))
    assert bus.calls == []


def test_a_bus_that_nobody_answers_for_is_not_asked_for_the_rest():
    class Gone(Bus):
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
            self.calls.append([entry["Detail"] for entry in Entries])
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    bus = Gone()
    with pytest.raises(PublishFailed, match=r"EndpointConnectionError: .*; and 29 more of 30 events") as caught:
        bus.publish(*(entry(str(number)) for number in range(30)))
    assert len(bus.calls) == ATTEMPTS_MAX
    assert caught.value.refusals[29].reason.startswith("not sent: ")


@pytest.mark.parametrize(("status", "code", "calls"), [(400, "ValidationException", 1), (503, "Slow", ATTEMPTS_MAX)])
def test_a_refused_request_is_sent_again_when_that_may_help(status: int, code: str, calls: int):
    class Refusing(Bus):
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
            self.calls.append([])
            told: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(told, "PutEvents")

    bus = Refusing()
    with pytest.raises(PublishFailed, match=f"{code}: no"):
        bus.publish(entry("a"))
    assert len(bus.calls) == calls


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_is_found_by_either_of_its_variables(variable: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    monkeypatch.setenv(variable, "eu-west-3")
    assert publishing._new_client().meta.region_name == "eu-west-3"  # pyright: ignore[reportPrivateUsage]


def test_what_dev_prints_is_all_that_a_client_needs_to_know(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    for word in sdk_variables("http://127.0.0.1:4566").split():
        monkeypatch.setenv(*word.split("=", 1))
    client: Any = boto3.Session().client("events")
    assert (client.meta.region_name, client.meta.endpoint_url) == ("us-east-1", "http://127.0.0.1:4566")
    assert os.environ["AWS_REGION"] == "us-east-1"
