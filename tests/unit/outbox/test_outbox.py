"""The outbox: what is written, what is relayed in which order, and what is set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, strategies as st
from sqlalchemy import Engine, create_engine, event as sqlalchemy_event, select, text
from sqlalchemy.orm import Session

from busway import Event
from busway.errors import MalformedRow
from busway.outbox import add
from busway.outbox.relay import Relay, Row, counts, next_batch, refusals
from busway.outbox.table import DIALECTS, OUTBOX, schema


class Paid(Event, source="shop", detail_type="Paid"):
    number: int


class Bus:
    """Answers PutEvents as it is told; remembers each request."""

    def __init__(self) -> None:
        self.requests: list[list[int]] = []
        self.accepted: list[int] = []
        self.errors: dict[int, str] = {}
        self.fault: Exception | None = None

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        numbers = [json.loads(entry["Detail"])["number"] for entry in Entries]
        self.requests.append(numbers)
        if self.fault is not None:
            raise self.fault
        results = []
        for number in numbers:
            if number in self.errors:
                results.append({"ErrorCode": self.errors[number], "ErrorMessage": "no"})
            else:
                self.accepted.append(number)
                results.append({"EventId": str(number)})
        return {"Entries": results, "FailedEntryCount": 0}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with made.begin() as connection:
        connection.execute(text(schema("sqlite")))
    yield made
    made.dispose()


def relay(engine: Engine, bus: Bus, said: list[str] | None = None) -> int:
    told = said if said is not None else []
    return Relay(engine, bus, told.append, lambda _: None).run(once=True)


def test_once_says_that_something_is_left_which_the_bus_did_not_take(engine: Engine):
    with Session(engine) as session:
        add(session, Paid(number=1), Paid(number=2))
        session.commit()
    bus = Bus()
    bus.fault = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    relaying = Relay(engine, bus, lambda _: None, lambda _: None)
    assert (relaying.run(once=True), relaying.stuck) == (0, True)
    bus.fault = None
    assert (relaying.run(once=True), relaying.stuck) == (2, False)


def waiting(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        rows = connection.execute(select(OUTBOX.c.entry).where(OUTBOX.c.failed.is_(None)).order_by(OUTBOX.c.id))
        return [json.loads(json.loads(entry)["Detail"])["number"] for (entry,) in rows]


def test_what_is_rolled_back_is_never_published_and_what_is_committed_is(engine: Engine):
    bus = Bus()
    with Session(engine) as session:
        add(session, Paid(number=1), Paid(number=2), key="a")
        session.rollback()
        add(session, Paid(number=3), key="a")
        session.commit()
        add(session, Paid(number=4), {"Source": "s", "DetailType": "d", "Detail": '{"number": 5}'})
        session.commit()
    assert relay(engine, bus) == 3
    assert bus.accepted == [3, 4, 5] and waiting(engine) == []
    assert relay(engine, bus) == 0


def test_rows_of_a_key_are_never_in_one_request_and_come_in_their_order(engine: Engine):
    bus = Bus()
    with engine.begin() as connection:
        for number in range(30):
            add(connection, Paid(number=number), key="ab"[number % 2])
    relay(engine, bus)
    assert bus.requests == [[number, number + 1] for number in range(0, 30, 2)]


def test_a_key_that_cannot_be_published_now_waits_and_holds_back_no_other(engine: Engine):
    bus, said = Bus(), list[str]()
    bus.errors = {0: "ThrottlingException"}
    with engine.begin() as connection:
        for number in range(4):
            add(connection, Paid(number=number), key="ab"[number % 2])
    assert relay(engine, bus, said) == 2
    assert bus.accepted == [1, 3] and waiting(engine) == [0, 2]
    assert "ThrottlingException" in said[0]
    bus.errors = {}
    relay(engine, bus)
    assert bus.accepted == [1, 3, 0, 2]


@pytest.mark.parametrize(
    "fault",
    [
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutEvents"),
    ],
    ids=["unreachable", "forbidden"],
)
def test_while_the_bus_takes_nothing_from_us_nothing_is_lost_or_set_aside(engine: Engine, fault: Exception):
    bus = Bus()
    bus.fault = fault
    with engine.begin() as connection:
        add(connection, *(Paid(number=number) for number in range(12)))
    assert relay(engine, bus) == 0
    assert waiting(engine) == list(range(12))
    bus.fault = None
    assert relay(engine, bus) == 12


def test_what_is_refused_for_good_is_kept_with_the_reason_and_passed_over(engine: Engine):
    bus, said = Bus(), list[str]()
    bus.errors = {1: "MalformedDetail"}
    with engine.begin() as connection:
        add(connection, *(Paid(number=number) for number in range(3)), key="a")
        connection.execute(text("INSERT INTO busway_outbox (key, entry) VALUES ('a', '{\"Source\": 1}')"))
        add(connection, {"Source": "s", "DetailType": "d", "Detail": json.dumps({"number": 9, "x": "y" * 1_048_576})})
        add(connection, Paid(number=4), key="a")
    relay(engine, bus, said)
    assert bus.accepted == [0, 2, 4]
    with engine.connect() as connection:
        assert counts(connection) == {"waiting": 0, "refused": 3}
        reasons = {row["id"]: row["reason"] for row in refusals(connection, 9)}
    assert reasons[2].startswith("MalformedDetail") and reasons[4].startswith("Source is 1") and "bytes" in reasons[5]
    assert len(said) == 3


def test_one_entry_that_spoils_a_request_is_found_by_sending_each_alone(engine: Engine):
    class Strict(Bus):
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
            if any(json.loads(entry["Detail"])["number"] == 3 for entry in Entries):
                raise ClientError({"Error": {"Code": "ValidationException", "Message": "3 is odd"}}, "PutEvents")
            return super().put_events(Entries)

    bus = Strict()
    with engine.begin() as connection:
        add(connection, *(Paid(number=number) for number in range(6)))
    relay(engine, bus)
    assert bus.accepted == [0, 1, 2, 4, 5]
    with engine.connect() as connection:
        assert counts(connection) == {"waiting": 0, "refused": 1}


def test_what_no_bus_could_take_is_refused_before_it_is_written(engine: Engine):
    with engine.begin() as connection:
        for wrong in ({"Source": "s"}, {"Source": "s", "DetailType": "d", "Detail": "{}", "Time": "now"}):
            with pytest.raises(MalformedRow):
                add(connection, Paid(number=1), wrong)
        with pytest.raises(MalformedRow, match="0 characters"):
            add(connection, Paid(number=1), key="")
        with pytest.raises(MalformedRow, match="key is the int 7; wanted text"):
            add(connection, Paid(number=1), key=7)  # type: ignore[arg-type]
    assert waiting(engine) == []


def test_nothing_is_held_in_the_database_while_the_bus_is_spoken_to(engine: Engine):
    class Writer(Bus):
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
            if not self.requests:
                with engine.begin() as connection:
                    add(connection, Paid(number=7))
            return super().put_events(Entries)

    bus = Writer()
    with engine.begin() as connection:
        add(connection, Paid(number=1))
    relay(engine, bus)
    assert bus.accepted == [1, 7]


@given(
    st.lists(st.tuples(st.integers(0, 99), st.sampled_from([None, "a", "b", "c"]))), st.sets(st.sampled_from("abc"))
)
def test_a_request_holds_at_most_one_row_of_a_key_and_the_oldest(keys: list[Any], blocked: set[str]):
    rows = [Row(place, key, "") for place, (_, key) in enumerate(keys)]
    batch = next_batch(rows, blocked)
    taken = [row.key for row in batch if row.key is not None]
    assert len(taken) == len(set(taken)) and not blocked & set(taken) and len(batch) <= 10
    assert [row.id for row in batch] == sorted(row.id for row in batch)
    for row in batch:
        if row.key is not None:
            assert row == next(one for one in rows if one.key == row.key)
    if not batch:
        assert all(row.key in blocked for row in rows)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_has_its_statement(dialect: str):
    statement = schema(dialect)
    assert statement.startswith("CREATE TABLE busway_outbox (") and statement.endswith(");\n")
    assert "NOT NULL" in statement


def test_an_id_is_never_given_twice_on_sqlite(engine: Engine):
    seen: list[str] = []
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
    for _ in range(2):
        with engine.begin() as connection:
            add(connection, Paid(number=1))
        relay(engine, Bus())
    with engine.connect() as connection:
        assert connection.execute(text("SELECT seq FROM sqlite_sequence")).scalar() == 2
