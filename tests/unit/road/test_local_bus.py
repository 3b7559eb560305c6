"""The bus that tests of handlers run on: events in, attempts and dead letters out, time that the test moves."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from busway import Event, ScheduledEvent, handler
from busway.errors import EventMismatch, HandlerHangs, HandlerNotOnBus, PublishFailed
from busway.testing import LocalBus, local_bus


class Paid(Event, source="shop", detail_type="Paid"):
    number: int


seen: list[int] = []
failing: list[Exception] = []


@handler(Paid, retries=2, max_age="1h")
def charge(event: Paid) -> dict[str, int]:
    if failing:
        raise failing[-1]
    seen.append(event.number)
    return {"charged": event.number}


@handler(Paid, retries=0, filter={"number": [{"numeric": [">", 100]}]}, once=False)
async def thank(event: Paid) -> None:
    await asyncio.sleep(0)
    if failing:
        raise failing[-1]


@pytest.fixture
def local(capsys: pytest.CaptureFixture[str]) -> Iterator[LocalBus]:
    seen.clear()
    failing.clear()
    bus = LocalBus()
    bus.add(charge)
    bus.add(thank)
    yield bus
    bus.close()


def test_an_event_is_handled_by_whoever_s_rule_matches_before_put_returns(local: LocalBus):
    event_id = local.put(Paid(number=7), resources=["r"])
    assert seen == [7]
    (event,) = local.handled(charge)
    assert (event["id"], event["resources"], event["detail"]) == (event_id, ["r"], {"number": 7})
    assert local.attempts(thank) == []
    local.put(Paid(number=101))
    assert len(local.handled("thank")) == 1


def test_a_failing_handler_is_tried_again_when_its_time_comes_and_then_dead_lettered(local: LocalBus):
    failing.append(ConnectionError("the bank is closed"))
    began = local.clock.now()
    local.put(Paid(number=1))
    local.clock.advance("59s")
    assert len(local.attempts(charge)) == 1
    local.clock.advance("1s")
    assert len(local.attempts(charge)) == 2
    local.clock.advance("3h")
    assert [attempt.at - began for attempt in local.attempts(charge)] == [0, 60, 180]
    assert [attempt.number for attempt in local.attempts(charge)] == [1, 2, 3]
    assert {str(attempt.error) for attempt in local.attempts(charge)} == {"the bank is closed"}
    (letter,) = local.dead_letters(charge)
    assert letter.event["detail"] == {"number": 1}
    assert letter.attributes["ErrorMessage"] == "the bank is closed"
    assert (letter.error_code, letter.error_message) == ("ConnectionError", "the bank is closed")


def test_a_handler_s_own_retries_and_age_are_kept(local: LocalBus):
    @handler(Paid, retries=2, max_age="1m")
    def hurry(event: Paid) -> None:
        raise failing[-1]

    local.add(hurry)
    failing.append(ConnectionError("the bank is closed"))
    local.put(Paid(number=101))
    local.clock.advance("6h")
    tried = {name: len(local.attempts(name)) for name in ("charge", "thank", "hurry")}
    # A wait of a minute ends within the age of a minute, one of two more does not.
    assert tried == {"charge": 3, "thank": 1, "hurry": 2}
    assert len(local.dead_letters(hurry)) == 1


def test_a_dependency_that_comes_back_leaves_no_dead_letter(local: LocalBus):
    failing.append(ConnectionError("the bank is closed"))
    local.put(Paid(number=1))
    failing.clear()
    local.clock.advance(60)
    assert [attempt.error is None for attempt in local.attempts(charge)] == [False, True]
    assert local.dead_letters(charge) == []


def test_an_event_that_does_not_fit_the_class_fails_without_reaching_the_function(local: LocalBus):
    local.put({"Source": "shop", "DetailType": "Paid", "Detail": '{"number":"many"}'})
    assert seen == []
    (attempt,) = local.attempts(charge)
    assert isinstance(attempt.error, EventMismatch)


def test_what_the_bus_refuses_is_raised(local: LocalBus):
    with pytest.raises(PublishFailed, match="MalformedDetail"):
        local.put({"Source": "shop", "DetailType": "Paid", "Detail": "no"})


def test_a_handler_that_is_not_there_is_named_with_those_that_are(local: LocalBus):
    with pytest.raises(HandlerNotOnBus, match="no handler 'refund'; it has charge, thank"):
        local.attempts("refund")


def test_a_handler_that_hangs_is_told(local: LocalBus, monkeypatch: pytest.MonkeyPatch):
    @handler(Paid)
    async def hang(event: Paid) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(local_bus, "PATIENCE_S", 0.05)
    local.add(hang)
    with pytest.raises(HandlerHangs):
        local.put(Paid(number=1))


def test_a_handler_that_takes_real_time_gets_every_retry_at_its_hour(local: LocalBus):
    @handler(Paid, retries=2)
    async def wait(event: Paid) -> None:
        await asyncio.to_thread(time.sleep, 0.001)
        raise ConnectionError("down")

    local.add(wait)
    for number in range(1, 21):
        local.put(Paid(number=number))
        local.clock.advance("5m")
        assert [attempt.number for attempt in local.attempts(wait)] == [1, 2, 3] * number
    gaps = {round(two.at - one.at) for one, two in pairwise(local.attempts(wait)) if two.number > 1}
    assert gaps == {60, 120}


def test_a_schedule_is_due_when_it_is_fired_and_never_by_itself():
    due: list[str] = []

    @handler(ScheduledEvent, schedule="rate(5 minutes)")
    def poll(event: ScheduledEvent) -> None:
        due.append(event.envelope.source)

    bus = LocalBus("orders")
    try:
        bus.add(poll)
        bus.clock.advance("16m")
        assert due == []
        bus.fire(poll)
        bus.fire(poll)
        assert due == ["aws.events"] * 2 and len(bus.handled(poll)) == 2
    finally:
        bus.close()


def test_other_languages_ask_for_it_by_lines_and_need_no_pytest(tmp_path: Path):
    run = "runpy.run_module('busway.testing.line_bus', {}, '__main__', alter_sys=True)"
    start, path = f"import sys, runpy; sys.modules['pytest'] = None; {run}", str(tmp_path / "bus")
    said = [
        {"ask": "add", "name": 0, "source": "shop", "detail_type": "Paid", "options": {"retries": 1, "maxAge": "1h"}},
        {"ask": "put", "entry": {"Source": "shop", "DetailType": "Paid", "Detail": "{}"}},
        {"error": {"name": "Refused", "message": "not today"}},
        {"ask": "advance", "time": "1m"},
        {"result": None},
        {"ask": "attempts", "name": 0},
        {"ask": "advance", "time": "soon"},
        {"ask": "add", "name": 1, "source": "a", "detail_type": "b", "options": {"maxage": "1h"}},
    ]
    lines = "".join(f"{json.dumps(one)}\n" for one in said)
    server = subprocess.Popen([sys.executable, "-c", start, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    told: list[Any] = []
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(path)
            line.sendall(lines.encode())
            line.shutdown(socket.SHUT_WR)
            told = [json.loads(one) for one in line.makefile()]
    server.communicate()
    assert server.returncode == 0
    assert [next(iter(one)) for one in told] == ["answer", "call", "answer", "call", *["answer"] * 2, *["error"] * 2]
    assert told[1]["event"]["detail-type"] == "Paid"
    assert [(one["number"], one["error"]) for one in told[5]["answer"]] == [(1, "not today"), (2, None)]
    assert "'soon' is no duration" in told[6]["error"]
    assert told[7]["error"] == "there is no option 'maxage'"
