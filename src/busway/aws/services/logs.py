"""CloudWatch Logs at the door: groups, streams and their events, names in, names out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.aws.services.logs_live_tail import LiveTailEvents, asked_of, started
from busway.aws.services.logs_wire import (
    described_event,
    described_group,
    described_stream,
    found_event,
    group_identified,
    group_named,
    group_tagged,
    page_of,
)
from busway.clock import Entropy, uuids
from busway.errors import InvalidLogRequest, LogLimitExceeded
from busway.logs.filter import parse_filter
from busway.logs.groups import LogGroups, Query
from busway.logs.live_tail import LiveTails
from busway.logs.page import FIRST, PAGE_EVENTS_MAX, START, Page, Stretch, Token, read_token, tokens
from busway.logs.record import Seen

Answer = dict[str, Any]

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html
DESCRIBE_DEFAULT = 50
FOREVER_MS = 2**63
_REFUSED = ("kmsKeyId", "deletionProtectionEnabled")


class Logs:
    """Groups of users and of functions. Another account's are not there for a caller."""

    name = "logs"
    partial: Mapping[str, str] = {
        "CreateLogGroup": "no keys of KMS, no protection from deletion; of the class only StartLiveTail asks",
        "DescribeLogGroups": "of the caller's own account",
        "PutLogEvents": "entities are passed over; a group keeps its newest 32 MB (log_mb_per_function)",
        "FilterLogEvents": "terms and JSON patterns; no regular expressions, no patterns of columns",
        "GetLogEvents": "nothing is masked",
        "StartLiveTail": "patterns as in FilterLogEvents; groups of the caller's own account",
    }

    def __init__(self, groups: LogGroups, tails: LiveTails, entropy: Entropy) -> None:
        self._groups, self._tails, self._entropy = groups, tails, entropy
        self.operations: Mapping[str, Operation] = {
            "CreateLogGroup": self.create_log_group,
            "DeleteLogGroup": self.delete_log_group,
            "DescribeLogGroups": self.describe_log_groups,
            "PutRetentionPolicy": self.put_retention_policy,
            "DeleteRetentionPolicy": self.delete_retention_policy,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTagsForResource": self.list_tags_for_resource,
            "CreateLogStream": self.create_log_stream,
            "DeleteLogStream": self.delete_log_stream,
            "DescribeLogStreams": self.describe_log_streams,
            "PutLogEvents": self.put_log_events,
            "GetLogEvents": self.get_log_events,
            "FilterLogEvents": self.filter_log_events,
            "StartLiveTail": self.start_live_tail,
        }

    # --- groups ---

    async def create_log_group(self, request: Answer, caller: Caller) -> Answer:
        asked = next((name for name in _REFUSED if request.get(name)), None)
        if asked is not None:
            raise InvalidLogRequest(f"{asked} is not built yet.")
        name, kind = request["logGroupName"], request.get("logGroupClass", "STANDARD")
        await self._groups.create(caller.scope, name, kind=kind, tags=request.get("tags"))
        return {}

    async def delete_log_group(self, request: Answer, caller: Caller) -> Answer:
        await self._groups.delete(caller.scope, request["logGroupName"])
        return {}

    async def describe_log_groups(self, request: Answer, caller: Caller) -> Answer:
        prefix, part = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
        if prefix is not None and part is not None:
            raise InvalidLogRequest(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            )
        names = {group_identified(one, caller.scope) for one in request.get("logGroupIdentifiers", ())}
        kind = request.get("logGroupClass")
        found = [
            view
            for view in await self._groups.views(caller.scope)
            if view.record.name.startswith(prefix or "")
            and (part or "") in view.record.name
            and (not names or view.record.name in names)
            and kind in (None, view.record.kind)
        ]
        limit = request.get("limit", DESCRIBE_DEFAULT)
        page, more = page_of(found, lambda view: view.record.name, request.get("nextToken"), limit)
        return {"logGroups": [described_group(view) for view in page], **more}

    async def put_retention_policy(self, request: Answer, caller: Caller) -> Answer:
        await self._groups.retain(caller.scope, request["logGroupName"], request["retentionInDays"])
        return {}

    async def delete_retention_policy(self, request: Answer, caller: Caller) -> Answer:
        await self._groups.retain(caller.scope, request["logGroupName"], None)
        return {}

    async def tag_resource(self, request: Answer, caller: Caller) -> Answer:
        arn = request["resourceArn"]
        try:
            await self._groups.tag(caller.scope, group_tagged(arn, caller.scope), request["tags"])
        except LogLimitExceeded as error:
            raise AwsError("TooManyTagsException", str(error), 400, resourceName=arn) from error
        return {}

    async def untag_resource(self, request: Answer, caller: Caller) -> Answer:
        name = group_tagged(request["resourceArn"], caller.scope)
        await self._groups.tag(caller.scope, name, {}, removed=tuple(request["tagKeys"]))
        return {}

    async def list_tags_for_resource(self, request: Answer, caller: Caller) -> Answer:
        name = group_tagged(request["resourceArn"], caller.scope)
        return {"tags": await self._groups.tags(caller.scope, name)}

    # --- streams ---

    async def create_log_stream(self, request: Answer, caller: Caller) -> Answer:
        await self._groups.create_stream(caller.scope, request["logGroupName"], request["logStreamName"])
        return {}

    async def delete_log_stream(self, request: Answer, caller: Caller) -> Answer:
        await self._groups.delete_stream(caller.scope, request["logGroupName"], request["logStreamName"])
        return {}

    async def describe_log_streams(self, request: Answer, caller: Caller) -> Answer:
        group, prefix = group_named(request, caller.scope), request.get("logStreamNamePrefix")
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and prefix is not None:
            raise InvalidLogRequest("Cannot order by LastEventTime with a logStreamNamePrefix.")
        found = [one for one in await self._groups.streams(caller.scope, group) if one[0].startswith(prefix or "")]
        if by_time:
            found.sort(key=_last_event)
        if request.get("descending"):
            found.reverse()
        limit = request.get("limit", DESCRIBE_DEFAULT)
        page, more = page_of(found, lambda one: one[0], request.get("nextToken"), limit)
        return {"logStreams": [described_stream(caller.scope, group, *one) for one in page], **more}

    # --- events ---

    async def put_log_events(self, request: Answer, caller: Caller) -> Answer:
        """The sequence token is passed over, as AWS does since 2023."""
        events = [(event["timestamp"], event["message"]) for event in request["logEvents"]]
        checked = await self._groups.put(caller.scope, request["logGroupName"], request["logStreamName"], events)
        rejected = {
            "tooOldLogEventEndIndex": checked.old,
            "expiredLogEventEndIndex": checked.expired,
            "tooNewLogEventStartIndex": checked.new,
        }
        told = {name: place for name, place in rejected.items() if place is not None}
        return {"rejectedLogEventsInfo": told} if told else {}

    async def get_log_events(self, request: Answer, caller: Caller) -> Answer:
        group = group_named(request, caller.scope)
        token = read_token(request["nextToken"]) if "nextToken" in request else None
        forward = request.get("startFromHead", False) if token is None else token.forward
        start_ms, end_ms = request.get("startTime", 0), request.get("endTime", FOREVER_MS)
        query = Query(start_ms=start_ms, end_ms=end_ms, streams=frozenset((request["logStreamName"],)))
        page = _page(request, token, forward=forward)
        await self._groups.read(caller.scope, group, query, page)
        events = page.events()
        ahead, back = tokens(events, token, (start_ms, 0, 0) if start_ms else FIRST)
        shown = [described_event(event) for event in events]
        return {"events": shown, "nextForwardToken": str(ahead), "nextBackwardToken": str(back)}

    async def filter_log_events(self, request: Answer, caller: Caller) -> Answer:
        group, prefix = group_named(request, caller.scope), request.get("logStreamNamePrefix")
        names = request.get("logStreamNames")
        if names is not None and prefix is not None:
            raise InvalidLogRequest("LogStreamNames and LogStreamNamePrefix cannot both be given.")
        token = read_token(request["nextToken"]) if "nextToken" in request else None
        forward = request.get("startFromHead", True) if token is None else token.forward
        query = Query(
            start_ms=request.get("startTime", 0),
            # Here, other than in GetLogEvents, the end is within: only later events are left out.
            end_ms=request.get("endTime", FOREVER_MS - 1) + 1,
            streams=None if names is None else frozenset(names),
            prefix=prefix or "",
            wanted=parse_filter(request["filterPattern"]) if request.get("filterPattern") else None,
        )
        page = _page(request, token, forward=forward)
        stretch = START if token is None else token.stretch
        in_stretches = forward and query.wanted is not None
        ended = await self._groups.read(caller.scope, group, query, page, stretch if in_stretches else None)
        events = page.events()
        if not forward:
            events.reverse()
        answer: Answer = {"events": [found_event(event) for event in events], "searchedLogStreams": []}
        if page.more:
            more = Token(forward, events[-1].place, Stretch(stretch.after, ended))
        elif ended:
            # As on AWS, a page that has little or nothing may have others after it.
            more = Token(forward, FIRST, Stretch(ended))
        else:
            return answer
        return {**answer, "nextToken": str(more)}

    async def start_live_tail(self, request: Answer, caller: Caller) -> Answer:
        groups, query = asked_of(request, caller.scope)
        session = await self._tails.start(caller.scope, groups, query)
        about = started(request, caller.request_id, uuids(self._entropy, 1)[0])
        return {"responseStream": LiveTailEvents(about, session, caller.scope)}


def _page(request: Answer, token: Token | None, *, forward: bool) -> Page:
    start = None if token is None else token.place
    return Page(forward=forward, start=start, limit=request.get("limit", PAGE_EVENTS_MAX))


def _last_event(stream: tuple[str, float, Seen]) -> tuple[int, str]:
    name, _, seen = stream
    return seen.last_ms or 0, name
