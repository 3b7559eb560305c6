"""The stages of deployments, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from busway.arn import Scope
from busway.road.calls import Call
from busway.road.function_plan import Ground
from busway.road.manifest import BatchEntry, EventEntry, Manifest
from busway.road.release.changes import changes
from busway.road.release.history import Deployment, Released
from busway.road.release.idle import is_idle
from busway.road.release.plan import LIVE, Plan, Stage, back, forward, outlived

from .test_changes import ENTRY, MANIFEST as SHOP, RULE

EVENT = EventEntry(name="OrderPlaced", file="events/o.py", source="shop", detail_type="O", sample={"id": "1"})
MANIFEST = replace(SHOP, events=[EVENT])
SCOPE = Scope("123456789012", "eu-west-1")
GROUND = Ground(SCOPE, "python3.11", {}, LIVE)
CODES = {"send-receipt": {"ZipFile": b"zip"}}
ALIAS = "arn:aws:lambda:eu-west-1:123456789012:function:shop-send-receipt:live"


def made(was: Manifest | None, to: Manifest, redo: frozenset[str] = frozenset()) -> Plan:
    released = {entry.name: Released("1", "sha") for entry in (was.handlers if was else [])}
    found = changes(was, released, to, {entry.name: "sha" for entry in to.handlers})
    return forward(to, CODES, GROUND, found, [was] if was else [], redo)


def operations(stages: Sequence[Stage]) -> list[str]:
    return [call.operation for stage in stages for call in stage.calls]


def call(stages: Sequence[Stage], operation: str) -> dict[str, Any]:
    found: list[Call] = [one for stage in stages for one in stage.calls if one.operation == operation]
    return dict(found[0].parameters)


def test_nothing_that_an_event_reaches_is_touched_before_the_switch():
    harmless = {"CreateEventBus", "CreateQueue", "CreateFunction"}
    assert set(operations(made(None, MANIFEST).prepare)) == harmless


def test_events_go_to_the_alias_with_its_own_settings():
    plan = made(None, MANIFEST)
    assert call(plan.switch, "PutTargets")["Targets"][0]["Arn"] == ALIAS
    assert call(plan.switch, "PutFunctionEventInvokeConfig")["Qualifier"] == LIVE
    assert call(plan.switch, "AddPermission")["Qualifier"] == LIVE


def test_a_new_version_is_tried_with_the_sample_of_its_event():
    (trial,) = made(None, MANIFEST).trials
    assert (trial.handler, trial.function, trial.sample) == ("send-receipt", "shop-send-receipt", {"id": "1"})


def test_what_is_the_same_is_left_alone_unless_it_is_to_be_made_anew():
    plan = made(MANIFEST, MANIFEST)
    assert (operations(plan.switch), plan.trials, operations(plan.end)) == ([], [], [])
    again = made(MANIFEST, MANIFEST, frozenset({"send-receipt"}))
    assert [trial.handler for trial in again.trials] == ["send-receipt"]
    assert {stage.name for stage in again.switch} == {"send-receipt"}


def test_a_handler_that_is_gone_gets_no_more_events_and_keeps_its_function():
    plan = made(MANIFEST, replace(MANIFEST, handlers=[], rules=[]))
    assert "DeleteRule" in operations(plan.end)
    assert "DeleteFunction" not in operations(plan.end)
    (stage,) = outlived("shop", ["send-receipt"], GROUND)
    assert operations([stage])[-3:] == ["DeleteFunction", "DeleteAlarms", "DeleteAlarms"]
    assert stage.idle == "shop-send-receipt"


def test_what_batches_came_from_is_ended_when_it_is_empty():
    batch = BatchEntry(source="stream", size=10, window_s=1, parallelism=None, bisect=True, order_by=None)
    before = replace(MANIFEST, handlers=[replace(ENTRY, batch=batch)])
    plan = made(before, MANIFEST)
    (ending,) = [stage for stage in plan.end if "DeleteStream" in operations([stage])]
    assert ending.idle == "shop-send-receipt"
    assert "DeleteStream" not in operations(plan.switch)


def test_rules_leave_a_bus_that_is_the_projects_no_more():
    plan = made(MANIFEST, replace(MANIFEST, bus="sales"))
    ended = [one.parameters for stage in plan.end for one in stage.calls if one.operation == "DeleteRule"]
    assert [(one["Name"], one["EventBusName"]) for one in ended] == [
        ("shop-send-receipt", "orders"),
        ("shop-audit", "orders"),
    ]


def test_a_rollback_puts_no_code_and_needs_no_variable():
    entry = replace(ENTRY, env=["LEVEL"])
    was = replace(MANIFEST, handlers=[entry], events=[])
    to = Deployment(number=3, state="live", by="me", manifest=was, released={"send-receipt": Released("7", "sha")})
    plan = back(to, GROUND, [replace(MANIFEST, handlers=[replace(entry, name="newer")], rules=[RULE])])
    assert not {"CreateFunction", "UpdateFunctionCode"} & set(operations([*plan.prepare, *plan.switch]))
    assert (plan.trials, plan.released["send-receipt"].version) == ((), "7")
    assert {stage.name for stage in plan.end} == {"newer"}


FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:shop-send-receipt:live"
NOTHING = {"ready": 0, "in_flight": 0, "delayed": 0}


def status(**changes: Any) -> dict[str, Any]:
    return {
        "functions": [{"name": "shop-send-receipt", "invocations": NOTHING}],
        "mappings": [{"function": FUNCTION, "source": "arn:q", "behind": None}],
        "queues": [{"arn": "arn:q", **NOTHING}],
        "buses": [{"behind": 0}],
        **changes,
    }


def test_a_function_is_idle_when_nothing_can_reach_it_any_more():
    assert is_idle(status(), "shop-send-receipt")
    for busy in (
        status(functions=[{"name": "shop-send-receipt", "invocations": {**NOTHING, "delayed": 1}}]),
        status(mappings=[{"function": FUNCTION, "source": "arn:s", "behind": 3}]),
        status(queues=[{"arn": "arn:q", **NOTHING, "in_flight": 1}]),
        status(buses=[{"behind": 1}]),
    ):
        assert not is_idle(busy, "shop-send-receipt")
    other = status(functions=[{"name": "shop-other", "invocations": {**NOTHING, "ready": 9}}])
    assert is_idle(other, "shop-send-receipt")
