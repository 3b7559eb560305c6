from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, AliasPath, AwareDatetime, BaseModel, Field, ValidationError

from busway import Event
from busway.errors import EventMismatch, InvalidEventClass, NoEnvelope, PublishFailed


class CustomerNotification(Event, source="com.benlimmer.Monolith", detail_type="Customer Notification"):
    notification: str
    ip_address: str = Field(alias="ip-address")
    location: Annotated[str, Field(examples=["Denver"])]
    note: str | None = None


ENVELOPE = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "Customer Notification",
    "source": "com.benlimmer.Monolith",
    "account": "123456789012",
    "time": "2026-11-23T16:30:00Z",
    "region": "eu-west-1",
    "resources": ["user@example.com"],
    "detail": {"notification": "unrecognized-login", "ip-address": "1.2.3.4", "location": "Oslo"},
}


def test_the_fields_are_the_detail_and_the_envelope_is_beside_them():
    event = CustomerNotification.from_envelope(ENVELOPE)
    assert (event.notification, event.ip_address, event.location) == ("unrecognized-login", "1.2.3.4", "Oslo")
    assert event.envelope.id == ENVELOPE["id"]
    assert event.envelope.time == datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
    assert event.envelope.resources == ("user@example.com",)
    assert event.envelope.account == "123456789012"
    assert event.envelope.raw is ENVELOPE


def test_a_detail_may_have_members_that_the_envelope_has_too():
    class Order(Event, source="shop", detail_type="Order"):
        id: int
        source: str
        resources: list[str]

    order = Order.from_envelope(
        {"id": "e", "source": "shop", "detail-type": "Order", "detail": {"id": 7, "source": "web", "resources": []}}
    )
    assert (order.id, order.source, order.envelope.id, order.envelope.source) == (7, "web", "e", "shop")


def test_an_event_that_was_built_here_has_no_envelope_and_says_what_to_do():
    event = CustomerNotification(notification="n", ip_address="i", location="l")  # type: ignore[call-arg]
    with pytest.raises(NoEnvelope, match="not received") as caught:
        _ = event.envelope
    assert "CustomerNotification.sample" in caught.value.hint


def test_a_mismatch_names_the_event_each_field_what_was_found_and_what_was_wanted():
    broken: dict[str, Any] = {**ENVELOPE, "detail": {"notification": 5, "location": "Oslo"}}
    with pytest.raises(EventMismatch) as caught:
        CustomerNotification.from_envelope(broken)
    text = str(caught.value)
    assert "7bf73129-1428-4cd3-a780-95db273d1602" in text
    assert "detail.notification: Input should be a valid string (found 5)" in text
    assert "detail.ip-address: Field required" in text
    assert "https://" not in text


@pytest.mark.parametrize("member", ["source", "detail-type"])
def test_an_event_of_another_kind_is_refused(member: str):
    with pytest.raises(EventMismatch, match=f"{member} is 'other', wanted"):
        CustomerNotification.from_envelope({**ENVELOPE, member: "other"})


def test_a_time_that_is_none_is_a_mismatch():
    with pytest.raises(EventMismatch, match="time is 'yesterday'"):
        CustomerNotification.from_envelope({**ENVELOPE, "time": "yesterday"})


def test_a_sample_is_made_from_examples_then_types_and_validated():
    sample = CustomerNotification.sample(ip_address="5.6.7.8", envelope={"resources": ["a@example.com"]})
    assert (sample.notification, sample.ip_address, sample.location) == ("notification", "5.6.7.8", "Denver")
    assert sample.envelope.resources == ("a@example.com",)
    detail = {"notification": "notification", "ip-address": "5.6.7.8", "location": "Denver"}
    assert sample.envelope.raw["detail"] == detail
    assert CustomerNotification.sample(**{"ip-address": "9"}).ip_address == "9"


def test_samples_know_the_usual_types():
    class Colour(Enum):
        RED = "red"

    class Line(BaseModel):
        product: str
        price: Decimal

    class Everything(Event, source="s", detail_type="d"):
        count: int
        kind: Literal["a", "b"]
        colour: Colour
        lines: list[Line]
        maybe: int | None
        free: dict[str, Any]
        at: datetime
        due: AwareDatetime

    sample = Everything.sample()
    assert sample.lines == [Line(product="product", price=Decimal("9.99"))]
    assert (sample.kind, sample.colour, sample.maybe, sample.free) == ("a", Colour.RED, 1, {})


def test_who_builds_an_event_cannot_misspell_a_member_and_who_receives_one_ignores_what_is_new():
    given = {"notification": "n", "ip-address": "i", "location": "l"}
    with pytest.raises(ValidationError, match=r"loction\n +Extra inputs are not permitted"):
        CustomerNotification(**given, loction="Oslo")  # type: ignore[call-arg]
    assert CustomerNotification(notification="n", ip_address="i", location="l").location == "l"  # type: ignore[call-arg]
    newer = {**ENVELOPE, "detail": {**given, "added-since": 1}}
    assert CustomerNotification.from_envelope(newer).location == "l"
    assert CustomerNotification.model_validate(newer["detail"]).location == "l"


def test_every_alias_of_a_field_is_a_name_of_it_and_a_class_may_decide_for_itself():
    class Order(Event, source="shop", detail_type="Order"):
        number: int = Field(validation_alias=AliasChoices("no", AliasPath("id", "number")))

    class Open(Order, extra="allow"):
        pass

    for given in ({"number": 1}, {"no": 1}, {"id": {"number": 1}}):
        assert Order(**given).number == 1  # type: ignore[arg-type]
    assert Open(no=1, more=2).model_extra == {"more": 2}  # type: ignore[call-arg]
    assert copy.deepcopy(pickle.loads(pickle.dumps(CustomerNotification.sample()))) == CustomerNotification.sample()


def test_a_sample_with_an_unknown_or_wrong_field_is_refused_by_name():
    with pytest.raises(InvalidEventClass, match="has no field 'colour'; its fields are notification"):
        CustomerNotification.sample(colour="red")
    with pytest.raises(EventMismatch, match=r"detail\.notification"):
        CustomerNotification.sample(notification=1)


def test_an_entry_is_what_put_events_takes():
    event = CustomerNotification(notification="n", ip_address="i", location="l")  # type: ignore[call-arg]
    entry = event.to_entry(bus="orders", resources=["r"])
    assert entry == {
        "EventBusName": "orders",
        "Source": "com.benlimmer.Monolith",
        "DetailType": "Customer Notification",
        "Resources": ["r"],
        "Detail": entry["Detail"],
    }
    assert json.loads(entry["Detail"]) == {"notification": "n", "ip-address": "i", "location": "l"}


def test_a_refused_entry_raises_with_the_code_of_the_bus():
    class Refusing:
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "MalformedDetail", "ErrorMessage": "odd"}]}

    with pytest.raises(PublishFailed, match="MalformedDetail: odd") as caught:
        CustomerNotification.from_envelope(ENVELOPE).publish(client=Refusing())
    assert caught.value.code == "MalformedDetail"


def test_half_a_name_and_reserved_fields_are_refused_when_the_class_is_made():
    with pytest.raises(InvalidEventClass, match="detail_type is missing"):

        class Half(Event, source="s"):  # pyright: ignore[reportUnusedClass]
            pass

    with pytest.raises(InvalidEventClass, match=r"publish_ and give it Field\(alias='publish'\)"):

        class Taken(Event, source="s", detail_type="d"):  # pyright: ignore[reportUnusedClass]
            publish: int  # type: ignore[assignment]


def test_what_a_handler_imports_is_light():
    code = (
        "import sys; from busway import Event, handler, once; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('asyncio','msgspec','uvicorn','httpx','botocore','boto3','click','rich','jinja2','uvloop') "
        "or (m.startswith('busway.') and m.split('.')[1] not in ('event','handling','idempotent','errors'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_tuple_is_sampled_member_by_member():
    class Placed(Event, source="shop", detail_type="Placed"):
        place: tuple[float, int]
        others: tuple[str, ...]

    assert Placed.sample().place == (1.5, 1)
    assert len(Placed.sample().others) == 1


def test_what_was_never_given_is_left_out_of_models_within_it_too():
    class Part(BaseModel):
        name: str
        size: int | None = None
        parts: list[Part] | None = None

    class Made(Event, source="shop", detail_type="Made"):
        part: Part
        others: dict[str, Part]
        note: str | None = None

    inner = Part(name="b", size=None)
    made = Made(part=Part(name="a", parts=[inner, Part(name="c")]), others={"x": Part(name="d")})
    assert json.loads(made.detail_json()) == {
        "part": {"name": "a", "parts": [{"name": "b", "size": None}, {"name": "c"}]},
        "others": {"x": {"name": "d"}},
    }
