"""What of a project differs from what is deployed."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from busway.cli.rule import span_s
from busway.errors import BrokenProject, ServerRefused
from busway.road.connection import Connection
from busway.road.manifest import HandlerEntry, Manifest
from busway.road.preview import rule_changes
from busway.road.rules import RuleEntry, checked_rule

SHOP, BANK = {"source": ["shop"]}, {"source": ["bank"]}


class Deployed:
    """A server's rules, by name."""

    def __init__(self, **rules: dict[str, Any]) -> None:
        self.rules = rules

    def call(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["Name"].replace("-", "_")
        if parameters["EventBusName"] != "orders" or name not in self.rules:
            raise ServerRefused(operation, "ResourceNotFoundException", "there is none")
        return self.rules[name]


def manifest() -> Manifest:
    def handler(name: str, schedule: str | None = None) -> HandlerEntry:
        return HandlerEntry(
            name=name, file="", entry_point="", event="", pattern=SHOP, retries=0, max_age_s=60, timeout_s=1,
            memory_mb=1, alert=None, env=[], schedule=schedule,
        )  # fmt: skip

    rule = checked_rule(json.dumps({"EventPattern": BANK, "Targets": [{"Queue": "q"}]}).encode())
    rules = [RuleEntry(name="audit", file="", rule=rule)]
    handlers = [handler("mail"), handler("nightly", "rate(1 day)")]
    return Manifest(project="shop", bus="orders", events=[], handlers=handlers, rules=rules)


def changes(deployed: Deployed, *names: str) -> dict[str, tuple[Any, Any, bool]]:
    found = rule_changes(cast(Connection, deployed), manifest(), names)
    return {each.name: (each.deployed, each.wanted, each.changed) for each in found}


def test_rules_and_handlers_with_a_pattern_are_compared_by_what_it_means():
    spaced = '{ "source" : [ "shop" ] }'
    found = changes(Deployed(shop_mail={"EventPattern": spaced}, shop_audit={"EventPattern": '{"source":["x"]}'}))
    assert found == {
        "audit": ('{"source":["x"]}', '{"source":["bank"]}', True),
        "mail": (spaced, '{"source":["shop"]}', False),
    }


def test_a_disabled_rule_matches_nothing_and_a_missing_one_neither():
    found = changes(Deployed(shop_mail={"EventPattern": '{"source":["shop"]}', "State": "DISABLED"}))
    assert [each[0] for each in found.values()] == [None, None]
    assert all(each[2] for each in found.values())


def test_a_name_that_only_the_server_has_ends():
    found = changes(Deployed(shop_gone={"EventPattern": '{"source":["shop"]}'}), "gone")
    assert found == {"gone": ('{"source":["shop"]}', None, True)}


@pytest.mark.parametrize(
    ("name", "said"),
    [("other", "has a rule 'other'; the project has audit, mail"), ("nightly", "nightly runs on a schedule")],
)
def test_a_name_without_a_pattern_is_refused(name: str, said: str):
    with pytest.raises(BrokenProject, match=said):
        changes(Deployed(), name)


def test_a_refusal_for_another_reason_is_passed_on():
    class Closed(Deployed):
        def call(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
            raise ServerRefused(operation, "AccessDeniedException", "no")

    with pytest.raises(ServerRefused, match="AccessDenied"):
        changes(Closed())


def test_a_span_may_be_days():
    assert [span_s(text) for text in ("3d", "6h", "30m", " 1d ")] == [259_200, 21_600, 1_800, 86_400]
