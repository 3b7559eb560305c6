"""Following and searching logs on AWS by pages, with a CloudWatch of the test's own: ours has no empty pages."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from busway.errors import AwsRefused, AwsUnusable, UnknownHandler
from busway.road.aws.access import Aws
from busway.road.aws.history import history_of_event
from busway.road.aws.log_groups import GROUPS_PER_S, ROUND_S, follow, function_groups, search
from busway.road.aws.names import Names

NAMES = Names("shop", "prod")
ONE, TWO = "/aws/lambda/shop-prod-one", "/aws/lambda/shop-prod-two"

NONE: list[dict[str, Any]] = []


class CloudWatch:
    """Groups of events that are given one a page, after a page that is empty; no queues."""

    def __init__(self, **groups: list[dict[str, Any]]) -> None:
        self.groups = {f"/aws/lambda/shop-prod-{name}": events for name, events in groups.items()}
        self.denied = False

    def aws(self) -> Aws:
        return Aws("eu-west-1", lambda _: self)

    def describe_log_groups(self, logGroupNamePrefix: str, nextToken: str = "0") -> dict[str, Any]:
        names = [name for name in sorted(self.groups) if name.startswith(logGroupNamePrefix)]
        place = int(nextToken)
        more = {"nextToken": str(place + 1)} if place + 1 < len(names) else {}
        return {"logGroups": [{"logGroupName": name} for name in names[place : place + 1]], **more}

    def filter_log_events(self, logGroupName: str, startTime: int, **asked: Any) -> dict[str, Any]:
        if self.denied or logGroupName not in self.groups:
            code = "AccessDeniedException" if self.denied else "ResourceNotFoundException"
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "FilterLogEvents")
        phrase, end = asked.get("filterPattern", "").strip('"'), asked.get("endTime", 10**12)
        found = [
            one
            for one in sorted(self.groups[logGroupName], key=lambda one: one["timestamp"])
            if startTime <= one["timestamp"] <= end and phrase in one["message"]
        ]
        if "nextToken" not in asked:
            return {"events": [], "nextToken": "0"} if found else {"events": []}
        place = int(asked["nextToken"])
        more = {"nextToken": str(place + 1)} if place + 1 < len(found) else {}
        return {"events": found[place : place + 1], **more}

    def list_queues(self, **_: Any) -> dict[str, Any]:
        return {}


def event(at_ms: int, message: str = "hello") -> dict[str, Any]:
    return {
        "timestamp": at_ms, "ingestionTime": at_ms, "eventId": f"{at_ms}{message}", "logStreamName": "s",
        "message": message,
    }  # fmt: skip


def test_all_pages_are_read_also_after_an_empty_one():
    cloud = CloudWatch(one=[event(at_ms) for at_ms in (1, 2, 3)], two=[])
    assert function_groups(cloud.aws(), NAMES) == [ONE, TWO]
    assert [line.at for line in search(cloud.aws(), ONE, 2)] == [0.002, 0.003]


def test_a_handler_s_group_is_found_by_either_of_its_names():
    aws = CloudWatch(**{"send-receipt": NONE}).aws()
    for name in ("send-receipt", "send_receipt", "shop-prod-send-receipt"):
        assert function_groups(aws, NAMES, name) == ["/aws/lambda/shop-prod-send-receipt"]
    with pytest.raises(UnknownHandler, match="it has send-receipt"):
        function_groups(aws, NAMES, "receipt")
    with pytest.raises(AwsUnusable, match=r"eu-west-1 has no log groups /aws/lambda/shop-prod-…"):
        function_groups(CloudWatch().aws(), NAMES)


def test_a_group_that_goes_meanwhile_has_no_lines_and_what_is_not_allowed_is_said():
    cloud = CloudWatch(one=[event(1)])
    assert list(search(cloud.aws(), TWO, 0)) == []
    cloud.denied = True
    with pytest.raises(AwsRefused) as refused:
        list(search(cloud.aws(), ONE, 0))
    assert "logs:FilterLogEvents" in refused.value.hint


def test_lines_of_all_groups_come_in_the_order_of_time_each_once():
    cloud = CloudWatch(one=[event(1_000), event(3_000)], two=[event(2_000)])
    waits: list[float] = []

    class Enough(Exception):
        pass

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            # One that comes late, one of a function that was deployed meanwhile, and a group that goes.
            cloud.groups[ONE].append(event(2_500))
            cloud.groups["/aws/lambda/shop-prod-new"] = [event(4_000)]
            del cloud.groups[TWO]
        elif len(waits) == 3:
            raise Enough

    aws = cloud.aws()
    lines = follow(aws, lambda: function_groups(aws, NAMES), 1_000, wait=wait)
    got: list[tuple[str, float]] = []
    with pytest.raises(Enough):
        got.extend((line.function, line.at) for line in lines)
    assert got == [
        ("shop-prod-one", 1.0), ("shop-prod-two", 2.0), ("shop-prod-one", 3.0), ("shop-prod-one", 2.5),
        ("shop-prod-new", 4.0),
    ]  # fmt: skip
    assert waits == [ROUND_S] * 3


def test_many_groups_are_asked_less_often():
    cloud = CloudWatch(**{f"h{number}": NONE for number in range(20)})

    def wait(seconds: float) -> None:
        raise InterruptedError(seconds)

    with pytest.raises(InterruptedError) as waited:
        list(follow(cloud.aws(), lambda: sorted(cloud.groups), 0, wait=wait))
    assert waited.value.args == (20 / GROUPS_PER_S,)


def test_a_line_of_no_known_invocation_is_told_by_itself():
    cloud = CloudWatch(one=[event(5_000, '{"requestId": "r", "message": "handling e-1"}')])
    found = history_of_event(cloud.aws(), NAMES, [ONE], ["orders"], "e-1", 1.0, 10.0)
    assert [line.at for line in found.lines] == [5.0]
    assert (found.invocations, found.letters, found.cut, found.empty) == ([], [], False, False)
