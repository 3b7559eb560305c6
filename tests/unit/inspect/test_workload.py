"""How functions, streams, mappings and queues do, as `busway status` and a scrape see it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from busway.cli import status as shown
from busway.function.build import Built
from busway.function.record import FAILED, PENDING

from ..function.mapping.mapping_world import HandlerFailed
from .conftest import Door, Functions
from .world import FUNCTION, READER, World


async def refuse(_: dict[str, Any]) -> None:
    raise HandlerFailed("no")


def function_in(door: Door, **changes: Any) -> None:
    functions = door.inspection.functions
    assert isinstance(functions, Functions)
    functions.records = [replace(functions.records[0], **changes)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ("Active", "Successful", "")),
        ({"state": PENDING}, ("Pending", "Successful", "")),
        ({"state": FAILED, "failure": "uv found no such package"}, ("Failed", "", "uv found no such package")),
        ({"failure": "npm failed", "built": Built()}, ("Active", "Failed", "npm failed")),
    ],
)
async def test_a_function_tells_its_state_and_why(door: Door, changes: dict[str, Any], told: tuple[str, str, str]):
    function_in(door, **changes)
    (function,) = (await door.get("/_busway/status"))["functions"]
    assert (function["state"], function["update"], function["problem"]) == told


async def test_a_function_tells_when_it_failed_last(door: Door, world: World):
    (function,) = (await door.get("/_busway/status"))["functions"]
    assert function["last_error_at"] is None
    world.trail.note("attempt", function=FUNCTION, error_code="KeyError")
    failed_at = world.clock.now()
    await world.clock.advance(5)
    world.trail.note("delivered", function=FUNCTION)
    (function,) = (await door.get("/_busway/status"))["functions"]
    assert function["last_error_at"] == failed_at


async def test_a_stream_tells_its_shards_and_rate_and_its_mapping_how_far_it_is_behind(door: Door, world: World):
    stream = await world.stream("orders")
    mapping = await world.map(stream)
    await world.streams.put_record(stream, b"one", "k")
    await world.pass_time(1)
    world.runner.handler = refuse
    for _ in range(5):
        await world.streams.put_record(stream, b"two", "k")
    await world.pass_time(7)
    status = await door.get("/_busway/status")
    (told,) = status["streams"]
    assert (told["name"], told["shards"], told["closed_shards"]) == ("orders", 1, 0)
    # Six in a minute; the memory engine leaves a gap between offsets.
    assert told["records_per_s"] == pytest.approx(0.1, abs=0.05)
    (told,) = status["mappings"]
    assert (told["uuid"], told["function"], told["state"]) == (mapping.uuid, READER, "Enabled")
    assert told["behind"] == 5
    assert told["lag_s"] == pytest.approx(7)
    assert told["last_result"].startswith("PROBLEM")


async def lag_ms(door: Door) -> float:
    """IteratorAge as Prometheus gets it."""
    _, scraped = await door.ask("GET", "/metrics")
    (value,) = re.findall(r'^aws_lambda_iterator_age{function_name="handler"} (\S+)$', scraped, re.MULTILINE)
    return float(value)


async def test_a_scrape_tells_the_present_lag_and_not_that_of_the_last_batch(door: Door, world: World):
    stream = await world.stream("orders")
    await world.map(stream)
    world.runner.handler = refuse
    await world.streams.put_record(stream, b"one", "k")
    await world.pass_time(2)
    assert await lag_ms(door) == pytest.approx(2_000)

    async def accept(_: dict[str, Any]) -> None:
        """Content with everything."""

    world.runner.handler = accept
    await world.pass_time(10)
    assert await lag_ms(door) == 0


async def test_a_queue_tells_the_age_of_its_oldest_message(door: Door, world: World):
    queue = await world.queue("orders")
    (told,) = (await door.get("/_busway/status"))["queues"]
    assert told["oldest_s"] is None
    await world.engine.queues.put([world.queues.message_put(queue, b"x", now=world.clock.now())])
    await world.clock.advance(30)
    (told,) = (await door.get("/_busway/status"))["queues"]
    assert (told["ready"], told["oldest_s"]) == (1, 30)


async def test_what_failed_catches_the_eye_on_the_command_line(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    function_in(door, state=FAILED, failure="uv found no such package")
    stream = await world.stream("orders")
    await world.map(stream)
    await world.queue("letters")
    found = await door.get("/_busway/status")

    class Server:
        def get(self, path: str) -> Any:
            return found

    monkeypatch.setattr(shown, "connect", lambda _: Server())
    text = CliRunner().invoke(shown.status, []).output
    assert "\nmail: uv found no such package" in text
    assert "orders -> handler" in text
    assert "letters" in text
