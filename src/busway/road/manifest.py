"""What a project is, as plain data: the one thing that deploying, sending and listing are made from. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from busway.arn import DEAD_LETTERS, Scope
from busway.errors import BrokenProject
from busway.handling import FOLDER_TAG as FOLDER_TAG
from busway.road.rules import RuleEntry

# A dead letter waits as long as SQS allows (14 days).
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
DEAD_LETTER_RETENTION_S = 1_209_600
ROUTE_PREFIX = "busway-alert-"
# On every function that a project deploys, so that what is gone from the project can be found.
PROJECT_TAG, HANDLER_TAG, EVENT_TAG = "busway:project", "busway:handler", "busway:event"


class EventEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event class of the project with a sample of its whole envelope, and the JSON Schema of its detail.

    `sample` is empty where none can be made, and `no_sample` says why: whoever needs one asks `sample_of`.
    """

    name: str
    file: str
    source: str
    detail_type: str
    sample: dict[str, Any]
    json_schema: dict[str, Any] = {}
    no_sample: str = ""


def sample_of(event: EventEntry) -> dict[str, Any]:
    """Raises BrokenProject for an event of which no sample can be made."""
    if event.no_sample:
        advice = (
            "z.string().meta({ examples: [...] })"
            if event.file.endswith(".ts")
            else "Annotated[..., Field(examples=[...])]"
        )
        raise BrokenProject(f"{event.file}: {event.no_sample}", f"give the field an example that fits: {advice}")
    return event.sample


class BatchEntry(msgspec.Struct, frozen=True, kw_only=True):
    """How a handler gets its events in batches. `source` is stream or queue, `order_by` a path in the event."""

    source: str
    size: int
    window_s: int
    parallelism: int | None
    bisect: bool
    order_by: str | None


class HandlerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A handler of the project. `entry_point` is what Lambda calls the handler setting; `pattern` is its rule's.

    `runtime` is Lambda's, "" for the Python that deploys; `code` the folder below the project's, "" for all of it.
    """

    name: str
    file: str
    entry_point: str
    event: str
    pattern: dict[str, Any]
    retries: int
    max_age_s: int
    timeout_s: int
    memory_mb: int
    alert: str | None
    env: list[str]
    alarms: bool = True
    secrets: list[str] = []
    rate: str | None = None
    once: bool = True
    schedule: str | None = None
    concurrency: int | None = None
    permissions: dict[str, list[str]] = {}
    batch: BatchEntry | None = None
    runtime: str = ""
    code: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A project's events, handlers and rules, each sorted by name."""

    project: str
    bus: str
    events: list[EventEntry]
    handlers: list[HandlerEntry]
    rules: list[RuleEntry] = []


def function_name(project: str, handler: str) -> str:
    """The name of a handler's function, rule and target: two projects on one server do not meet."""
    return f"{project}-{handler}"


def dead_letter_queue(function: str) -> str:
    return function + DEAD_LETTERS


def alarm_name(function: str) -> str:
    return function + DEAD_LETTERS


def route_arn(scope: Scope, route: str) -> str:
    """What an alarm names as its action to tell an alert route."""
    return scope.arn("sns", f"{ROUTE_PREFIX}{route}")
