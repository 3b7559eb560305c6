"""StartLiveTail at CloudWatch Logs' door: what a request asks for, and the events of its answer.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from busway.arn import Scope
from busway.aws.errors import AwsError, aws_error
from busway.aws.services.logs_wire import described_event, group_tagged
from busway.errors import InvalidLogRequest
from busway.logs.filter import parse_filter
from busway.logs.groups import Query
from busway.logs.live_tail import Session, Update
from busway.logs.record import group_arn

log = logging.getLogger(__name__)

# What may end the stream, by the model.
TIMED_OUT, BROKEN = "SessionTimeoutException", "SessionStreamingException"
_FACTS = {"service": "logs", "operation": "StartLiveTail"}


def asked_of(request: Mapping[str, Any], scope: Scope) -> tuple[Sequence[str], Query]:
    """The names of the groups, and which of their events.

    That a stream of that name is there is not asked for: it may come while the session is open. Raises
    `InvalidLogRequest`, in our words, `InvalidLogFilter`, `LogGroupNotFound` for a group of another scope.
    """
    groups = list(dict.fromkeys(group_tagged(arn, scope) for arn in request["logGroupIdentifiers"]))
    streams, prefixes = request.get("logStreamNames"), request.get("logStreamNamePrefixes")
    if streams is not None and prefixes is not None:
        raise InvalidLogRequest("logStreamNames and logStreamNamePrefixes cannot both be given.")
    if (streams is not None or prefixes is not None) and len(groups) > 1:
        raise InvalidLogRequest("logStreamNames and logStreamNamePrefixes are for a session about one log group.")
    pattern = request.get("logEventFilterPattern")
    query = Query(
        streams=None if streams is None else frozenset(streams),
        prefix=tuple(prefixes) if prefixes else "",
        wanted=parse_filter(pattern) if pattern else None,
    )
    return groups, query


class LiveTailEvents:
    """The events of one answer: `sessionStart`, then a `sessionUpdate` about once a second."""

    def __init__(self, started: Mapping[str, Any], session: Session, scope: Scope) -> None:
        self._started: Mapping[str, Any] | None = started
        self._session, self._scope = session, scope

    async def __anext__(self) -> Mapping[str, Any]:
        """Raises `AwsError`, `TIMED_OUT` or `BROKEN`."""
        started, self._started = self._started, None
        if started is not None:
            return {"sessionStart": started}
        try:
            update = await anext(self._session)
        except Exception as error:
            told = aws_error("logs", error)
            if told is None:
                log.exception("a session of Live Tail failed", extra=_FACTS)
                raise AwsError(BROKEN, "Internal failure; the server's log tells why.") from None
            raise AwsError(TIMED_OUT if told.code == TIMED_OUT else BROKEN, told.message) from None
        return {"sessionUpdate": self._told(update)}

    def _told(self, update: Update) -> dict[str, Any]:
        results = [
            {
                **described_event(event),
                "logStreamName": event.stream,
                "logGroupIdentifier": group_arn(self._scope, group),
            }
            for group, event in update.events
        ]
        return {"sessionMetadata": {"sampled": update.sampled}, "sessionResults": results}

    async def aclose(self) -> None:
        self._session.close()


def started(request: Mapping[str, Any], request_id: str, session_id: str) -> dict[str, Any]:
    """What `sessionStart` tells: the request, and who it is."""
    return {
        "requestId": request_id,
        "sessionId": session_id,
        "logGroupIdentifiers": request["logGroupIdentifiers"],
        "logStreamNames": request.get("logStreamNames", []),
        "logStreamNamePrefixes": request.get("logStreamNamePrefixes", []),
        "logEventFilterPattern": request.get("logEventFilterPattern", ""),
    }
