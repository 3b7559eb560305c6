"""Who may write which deployment, and what stays known of them."""

from __future__ import annotations

from typing import Any

import pytest

from busway.inspect.deployments import KEPT, QUIET_S

from .conftest import Door
from .world import World

PATH = "/_busway/deployments/shop"


def written(number: int, state: str = "running", by: str = "ada@here:1", **more: Any) -> dict[str, Any]:
    return {"number": number, "state": state, "by": by, "body": {"n": number}, **more}


async def put(door: Door, *made: dict[str, Any]) -> list[int]:
    return [(await door.ask("PUT", PATH, one))[0] for one in made]


async def test_a_deployment_is_written_from_its_beginning_to_its_end(door: Door, world: World):
    assert await put(door, written(1)) == [200]
    begun_at = world.clock.now()
    await world.clock.advance(5)
    assert await put(door, written(1, "live"), written(2)) == [200, 200]
    newest, first = (await door.get(PATH))["deployments"]
    assert (newest["number"], newest["state"], newest["body"]) == (2, "running", {"n": 2})
    assert (first["state"], first["begun_at"], first["written_at"]) == ("live", begun_at, begun_at + 5)


@pytest.mark.parametrize(
    ("after", "refused"),
    [
        ([], written(2)),
        ([], written(0)),
        ([written(1)], written(2, by="bob@there:2")),
        ([written(1)], written(1, by="bob@there:2")),
        # It is over: what runs is not written again.
        ([written(1, "live")], written(1, "failed")),
        ([written(1, "live")], written(3)),
        # Somebody else took over meanwhile.
        ([written(1), written(2, by="bob@there:2", takes_over="ada@here:1")], written(1)),
    ],
)
async def test_nobody_writes_what_is_another_makers_or_over(
    door: Door, after: list[dict[str, Any]], refused: dict[str, Any]
):
    assert set(await put(door, *after)) <= {200}
    status, told = await door.ask("PUT", PATH, refused)
    assert status == 409
    assert told["error"].startswith(f"deployment {refused['number']} of shop cannot be written:")


async def test_a_maker_that_is_known_to_be_gone_is_taken_over_at_once_and_any_other_when_it_is_quiet(
    door: Door, world: World
):
    await put(door, written(1))
    await world.clock.advance(QUIET_S - 1)
    assert await put(door, written(2, by="bob@there:2", takes_over="eve@there:9")) == [409]
    assert await put(door, written(2, by="bob@here:2", takes_over="ada@here:1")) == [200]
    await world.clock.advance(QUIET_S)
    assert await put(door, written(3, by="eve@there:9")) == [200]


async def test_what_runs_and_what_ran_before_stay_known_however_many_failed_since(door: Door):
    await put(door, written(1, "live"), written(2, "live"), written(3, "live"))
    assert set(await put(door, *(written(number, "failed") for number in range(4, 40)))) == {200}
    numbers = [one["number"] for one in (await door.get(PATH))["deployments"]]
    assert numbers == [*range(39, 39 - KEPT, -1), 3, 2]


async def test_projects_and_accounts_do_not_see_each_other(door: Door):
    await put(door, written(1))
    assert (await door.get("/_busway/deployments/sho"))["deployments"] == []
    _, told = await door.ask("GET", PATH, None, account="1" * 12)
    assert told["deployments"] == []
    status, told = await door.ask("PUT", "/_busway/deployments/a%2Fb", written(1))
    assert status == 400


async def test_a_body_of_another_shape_is_refused(door: Door):
    status, told = await door.ask("PUT", PATH, {"number": 1, "state": "done", "by": "me", "body": {}})
    assert (status, "Invalid enum value 'done'" in told["error"]) == (400, True)
