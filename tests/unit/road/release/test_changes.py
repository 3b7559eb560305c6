from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from busway.road.manifest import BatchEntry, HandlerEntry, Manifest
from busway.road.release.changes import Difference, changes
from busway.road.release.history import Released
from busway.road.rules import RuleEntry, RuleFile, RuleTarget

ENTRY = HandlerEntry(
    name="send-receipt", file="handlers/send_receipt/handler.py", entry_point="handlers.send_receipt.handler.go",
    event="OrderPlaced", pattern={"source": ["shop"]}, retries=1, max_age_s=7200, timeout_s=30, memory_mb=256,
    alert="pagerduty", env=[],
)  # fmt: skip
RULE = RuleEntry(
    name="audit", file="rules/audit.json", rule=RuleFile({"source": ["shop"]}, [RuleTarget(queue="audit")])
)
MANIFEST = Manifest(project="shop", bus="orders", events=[], handlers=[ENTRY], rules=[RULE])
RELEASED = {"send-receipt": Released("3", "sha")}
SHAS = {"send-receipt": "sha"}


def test_what_was_never_deployed_is_created():
    assert [(one.kind, one.what, one.name) for one in changes(None, {}, MANIFEST, SHAS)] == [
        ("create", "handler", "send-receipt"),
        ("create", "rule", "audit"),
    ]


def test_a_project_that_was_deployed_as_it_is_is_the_same():
    assert {one.kind for one in changes(MANIFEST, RELEASED, MANIFEST, SHAS)} == {"same"}


def test_other_code_is_a_change_of_its_own():
    (change, _) = changes(MANIFEST, RELEASED, MANIFEST, {"send-receipt": "other"})
    assert (change.kind, change.differences) == ("change", [Difference("code", "sha", "other")])


BATCH = BatchEntry(source="stream", size=10, window_s=1, parallelism=None, bisect=True, order_by=None)


@pytest.mark.parametrize(
    ("option", "value"),
    [("retries", 2), ("pattern", {"source": ["other"]}), ("alert", None), ("concurrency", 3), ("batch", BATCH),
     ("secrets", ["KEY"]), ("schedule", "rate(1 day)"), ("once", False)],
)  # fmt: skip
def test_each_option_that_differs_is_named(option: str, value: Any):
    to = replace(MANIFEST, handlers=[replace(ENTRY, **{option: value})])
    (change, _) = changes(MANIFEST, RELEASED, to, SHAS)
    assert [one.name for one in change.differences] == [option]


def test_a_file_that_moved_changes_nothing():
    to = replace(MANIFEST, handlers=[replace(ENTRY, file="handlers/other/handler.py")])
    assert {one.kind for one in changes(MANIFEST, RELEASED, to, SHAS)} == {"same"}


def test_a_rule_is_told_by_the_words_of_its_file():
    to = replace(MANIFEST, rules=[replace(RULE, rule=RuleFile({"source": ["shop"]}, [RuleTarget(bus="other")]))])
    (_, change) = changes(MANIFEST, RELEASED, to, SHAS)
    assert [one.name for one in change.differences] == ["Targets"]


def test_another_bus_is_a_change_of_all():
    found = changes(MANIFEST, RELEASED, replace(MANIFEST, bus="sales"), SHAS)
    assert {one.kind for one in found} == {"change"}
    assert {one.differences[0] for one in found} == {Difference("bus", "orders", "sales")}


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_each_handler_is_told_once_as_what_becomes_of_it(was: set[str], to: set[str]):
    def manifest(names: set[str]) -> Manifest:
        return replace(MANIFEST, handlers=[replace(ENTRY, name=name) for name in sorted(names)], rules=[])

    released = {name: Released("1", "sha") for name in was}
    found = {one.name: one.kind for one in changes(manifest(was), released, manifest(to), dict.fromkeys(to, "sha"))}
    assert found == {
        **dict.fromkeys(to - was, "create"), **dict.fromkeys(was - to, "remove"), **dict.fromkeys(was & to, "same"),
    }  # fmt: skip
