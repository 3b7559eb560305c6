"""The rules of a bus on AWS, judged by an event that is known whole: which match, and what the others wanted.

The rules are those that there are now. AWS keeps none of those that there were when the event came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.errors import InvalidEvent, InvalidPattern
from busway.pattern import edits, explain, parse
from busway.road.aws.access import Aws

# Ours: for how many of the closest rules it is looked for what would make them match.
EDITED_MAX = 3


def judged_rules(aws: Aws, bus: str, event: str) -> list[dict[str, Any]]:
    """Of each rule with a pattern the verdict, as a server of ours tells it: those that match, then the closest.

    Those that missed by the fewest fields have `edits`, which would make them match. None for an event that is no
    object. Raises AwsUnusable, AwsRefused.
    """
    try:
        found = [
            verdict
            for rule in aws.paged("events", "ListRules", "Rules", absent_ok=True, EventBusName=bus)
            if (verdict := _verdict(rule, event.encode())) is not None
        ]
    except InvalidEvent:
        return []
    found.sort(key=lambda one: (not one["matched"], one["missed"], one["rule"]))
    missed = [verdict for verdict in found if not verdict["matched"] and verdict["missed"]]
    for verdict in missed[:EDITED_MAX]:
        if verdict["missed"] == missed[0]["missed"]:
            mended = edits(parse(verdict["pattern"]), event.encode())
            verdict["edits"] = [edit.as_dict() for edit in mended]
    return found


def _verdict(rule: Mapping[str, Any], event: bytes) -> dict[str, Any] | None:
    """None for a schedule's."""
    text = rule.get("EventPattern")
    if text is None:
        return None
    enabled = str(rule.get("State", "ENABLED")).startswith("ENABLED")
    told = {"rule": str(rule["Name"]), "rule_arn": str(rule["Arn"]), "enabled": enabled, "pattern": text}
    try:
        explained = explain(parse(text), event).as_dict()
    except InvalidPattern as error:
        # A word that EventBridge knows and we do not yet.
        return {**told, "matched": False, "missed": 0, "fields": [], "unreadable": str(error)}
    return {**told, **explained, "matched": explained["matched"] and enabled}
