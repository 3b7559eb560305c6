"""How a project does on AWS: its stack, and of each handler the function, the dead letters and the alarm."""

from __future__ import annotations

from typing import Any

import msgspec

from busway.errors import AwsRefused
from busway.road.aws.access import NOT_THERE, Aws
from busway.road.aws.bucket import bucket_of
from busway.road.aws.deploy import past_of
from busway.road.aws.release import Site
from busway.road.aws.stack import Stack, StackState
from busway.road.aws.template import ABOUT

GONE = "missing"
_WORST_FIRST = ("ALARM", GONE, "INSUFFICIENT_DATA", "OK")


class EntryStatus(msgspec.Struct, frozen=True):
    """A handler, or a rule, which has no function. `function`: Lambda's State, with LastUpdateStatus if that is not
    Successful; `alarm`: CloudWatch's StateValue, the worst of its alarms', "" where the project wants none; "missing"
    for what somebody deleted. `dead_letters`: -1 then."""

    name: str
    function: str
    dead_letters: int
    alarm: str


class SiteStatus(msgspec.Struct, frozen=True):
    """`template`: the hash of what is deployed; `before`: how many deployments `rollback` can go back."""

    stack: StackState
    template: str
    before: int
    handlers: list[EntryStatus]
    rules: list[EntryStatus]


def site_status(site: Site, aws: Aws) -> SiteStatus:
    """Raises AwsUnusable, AwsRefused."""
    stack = Stack(aws, site.stack, lambda _: None, lambda _: None)
    state = stack.state()
    if not state.exists:
        return SiteStatus(state, "", 0, [], [])
    template = stack.template()
    about: dict[str, Any] = template.get("Metadata", {}).get(ABOUT, {})
    wanted = about.get("Alarms", True)
    alarms = _alarms(aws, f"{site.names.project}-{site.names.environment}-") if wanted else None
    deployed, bucket = past_of(template, state), bucket_of(aws, site.settings)
    line = bucket.line(site.stack) if bucket.is_there() else []
    return SiteStatus(
        state,
        deployed.template,
        line.index(deployed) if deployed in line else len(line),
        [_entry(site, aws, name, alarms, _function(aws, site.names.of(name))) for name in about.get("Handlers", [])],
        [_entry(site, aws, name, alarms, "") for name in about.get("Rules", [])],
    )


def _entry(site: Site, aws: Aws, name: str, alarms: dict[str, str] | None, function: str) -> EntryStatus:
    queue = site.names.dead_letters(name)
    # A rule has no function, and no alarm on it.
    wanted = [queue, site.names.error_rate(name)] if function else [queue]
    alarm = "" if alarms is None else min((alarms.get(one, GONE) for one in wanted), key=_WORST_FIRST.index)
    return EntryStatus(name, function, _waiting(aws, queue), alarm)


def _function(aws: Aws, name: str) -> str:
    try:
        found = aws.call("lambda", "GetFunctionConfiguration", FunctionName=name)
    except AwsRefused as refusal:
        if refusal.code not in NOT_THERE:
            raise
        return GONE
    state, update = str(found.get("State", "Active")), str(found.get("LastUpdateStatus", "Successful"))
    reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or ""
    shown = state if update == "Successful" else f"{state}, update {update}"
    return f"{shown} ({reason})" if reason else shown


def _waiting(aws: Aws, queue: str) -> int:
    url, number = aws.queue_url(queue), "ApproximateNumberOfMessages"
    if url is None:
        return -1
    found = aws.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=[number])
    return int(found["Attributes"][number])


def _alarms(aws: Aws, prefix: str) -> dict[str, str]:
    """The state of each alarm, by name."""
    alarms = aws.paged("cloudwatch", "DescribeAlarms", "MetricAlarms", AlarmNamePrefix=prefix)
    return {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
