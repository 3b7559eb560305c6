"""The decorator that makes a function a handler: `@handler(OrderPlaced, retries=2, alert="pagerduty")`.

The decorated object is called in two ways. With a typed event it is the plain function (a test calls it so; an
async one gives its coroutine). With an event as JSON and a context it is an AWS Lambda entry point: it parses the
envelope, runs the function to its end and gives back its result. Imports no server part and nothing of AWS.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Any, Generic, TypeVar, cast, overload

from busway.errors import InvalidHandler
from busway.event import Event, ScheduledEvent
from busway.idempotent import events_are_ours, once as run_once, remaining_ms

E = TypeVar("E", bound=Event)
R = TypeVar("R")

# https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
RETRIES_AWS_MAX = 2
# Ours, on a Busway server: as often as EventBridge itself tries a target again.
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
RETRIES_MAX = 185
MAX_AGE_S = (60, 21_600)
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
TIMEOUT_S = (1, 900)
MEMORY_MB = (128, 10_240)

# Ours: the tag of a function that has a rate, and how many starts that may name.
RATE_TAG = "busway:rate"
# The folder that a project's function runs from, where it does; by it two projects of one name are told apart.
FOLDER_TAG = "busway:folder"
# On a function that has more retries than AWS Lambda knows: how many.
RETRIES_TAG = "busway:retries"
# On a function, with ONCE_EVENT: an event that it completed is not given to it again.
ONCE_TAG, ONCE_EVENT = "busway:once", "event"
RATE_MAX = 10_000
# What whoever deploys says in the client context: read the event, and do nothing with it. It is also the answer.
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (X-Amz-Client-Context)
DRY_RUN = {"busway": "dry-run"}
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html: an account's limit until it asks for more.
CONCURRENCY = (1, 1_000)

_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")
# Its shape; what is in the brackets is judged where a project is read.
_SCHEDULE = re.compile(r"(rate|cron)\([^()]+\)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*]+")
_RESOURCE = re.compile(r"\*|arn:\S+")

Permissions = Mapping[str, str | Sequence[str]]
"""What a handler may do on AWS: an action to the ARN, or ARNs, that it is for."""


def duration_s(text: str | int) -> int:
    """Whole seconds of `"30s"`, `"3m"`, `"6h"` or a number of seconds. Raises ValueError naming what was found."""
    if isinstance(text, int):
        return text
    found = re.fullmatch(r"\s*(\d+)\s*([smh])\s*", text)
    if not found:
        raise ValueError(f"{text!r} is no duration; wanted a number and s, m or h, for example '30s' or '6h'")
    return int(found[1]) * _UNITS_S[found[2]]


def rate_of(text: str) -> tuple[int, float]:
    """`"10/s"` → 10 starts in any 1 second. Raises ValueError naming what was found."""
    found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*([smh])\s*", text)
    if not found or not 1 <= int(found[1]) <= RATE_MAX:
        raise ValueError(
            f"{text!r} is no rate; wanted 1 to {RATE_MAX} and /s, /m or /h, for example '10/s' or '600/m'"
        )
    return int(found[1]), float(_UNITS_S[found[2]])


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """What a handler asks of whoever runs it. `filter` is an event pattern over the detail."""

    name: str = ""
    retries: int = 2
    max_age_s: int = 21_600
    timeout_s: int = 30
    memory_mb: int = 256
    alert: str | None = None
    env: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    filter: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rate: str | None = None
    once: bool = True
    schedule: str | None = None
    concurrency: int | None = None
    permissions: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


class Handler(Generic[E, R]):
    """A function with the class of its events and its options. Made by `handler`."""

    def __init__(self, function: Callable[[E], R], event_class: type[E], options: HandlerOptions) -> None:
        self.function, self.event_class, self.options = function, event_class, options
        update_wrapper(self, function)

    @overload
    def __call__(self, event: E) -> R: ...
    @overload
    def __call__(self, event: Mapping[str, Any], context: object) -> Any: ...
    def __call__(self, event: E | Mapping[str, Any], context: object = None) -> Any:
        # A traceback is the handler's own: pytest leaves out frames that say this, and so does our runtime.
        __tracebackhide__ = True
        if isinstance(event, Event):
            return self.function(event)
        if not isinstance(event, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            wanted = f"a {self.event_class.__name__} or an event as a JSON object"
            raise TypeError(f"handler {self.options.name} was called with {type(event).__name__}; wanted {wanted}")
        remaining_ms.set(getattr(context, "get_remaining_time_in_millis", None))
        typed = self.event_class.from_envelope(event)
        if is_dry_run(context):
            return DRY_RUN
        result = self._handle(typed)
        if inspect.iscoroutine(result):
            # Loaded here: it would double the time in which a worker without it starts.
            import asyncio

            return asyncio.run(cast(Coroutine[Any, Any, Any], result))
        return result

    def _handle(self, event: E) -> R:
        __tracebackhide__ = True
        if self.options.once and event.envelope.id and events_are_ours():
            return run_once(event.envelope.id, self.function, event)
        return self.function(event)

    def pattern(self) -> dict[str, Any]:
        """The event pattern of the handler's rule."""
        return pattern_of(self.event_class, self.options.filter)


def is_dry_run(context: object) -> bool:
    """Whether a handler is only to read its event: it is about to be deployed."""
    custom: object = getattr(getattr(context, "client_context", None), "custom", None)
    return custom == DRY_RUN


def pattern_of(event_class: type[Event], detail: Mapping[str, Any]) -> dict[str, Any]:
    """The event pattern that finds a class's events; `detail` is a pattern over the detail, {} for all."""
    pattern: dict[str, Any] = {
        "source": [event_class.event_source],
        "detail-type": [event_class.event_detail_type],
    }
    return {**pattern, "detail": dict(detail)} if detail else pattern


def handler(
    event_class: type[E],
    *,
    retries: int = 2,
    max_age: str | int = "6h",
    alert: str | None = None,
    timeout: str | int = "30s",
    memory_mb: int = 256,
    env: Sequence[str] = (),
    secrets: Sequence[str] = (),
    name: str | None = None,
    filter: Mapping[str, Any] | None = None,
    rate: str | None = None,
    once: bool = True,
    schedule: str | None = None,
    concurrency: int | None = None,
    permissions: Permissions | None = None,
) -> Callable[[Callable[[E], R]], Handler[E, R]]:
    """Make a function that takes `event_class` the handler of its events.

    `retries` after a first failed attempt (AWS Lambda has at most 2: more are refused where the project names an
    environment on AWS), `max_age` of an event still worth trying, `alert` names the route that is told when an event
    is given up, `env` names variables passed on from where `busway` deploys, `secrets` variables whose values are
    kept sealed (`busway secret set NAME`), `filter` is an event pattern over the detail
    (`{"location": [{"prefix": "Oslo"}]}`). `name` defaults to the handler's folder.
    `rate` is how often it may start (`"10/s"`, `"600/m"`), for third parties that throttle; on AWS it does nothing.
    `once`: an event that it completed is not given to it again within a day, whatever crashed in between; on AWS that
    takes a DynamoDB table (`BUSWAY_ONCE_TABLE`). For a step within a handler, see `busway.once`.
    `schedule` runs a handler of `ScheduledEvent`: "rate(5 minutes)" or "cron(0 9 ? * MON-FRI *)", in UTC.
    `concurrency`: at most so many of its events are handled at a time, and as many are always possible.
    `permissions`: what it may do on AWS, `{"s3:GetObject": "arn:aws:s3:::receipts/*"}`; here they do nothing.
    Raises InvalidHandler for what AWS would refuse.
    """
    if not 0 <= retries <= RETRIES_MAX:
        raise InvalidHandler(f"retries={retries}; wanted 0 to {RETRIES_MAX}")
    options = options_of(
        name, retries=retries, max_age_s=seconds_of("max_age", max_age, MAX_AGE_S), timeout=timeout,
        memory_mb=memory_mb, alert=alert, env=env, secrets=secrets, filter=filter, rate=rate, once=once,
        schedule=schedule, concurrency=concurrency, permissions=permissions,
    )  # fmt: skip
    check_event(event_class)
    _check_schedule(event_class, options)

    def decorate(function: Callable[[E], R]) -> Handler[E, R]:
        return Handler(function, event_class, options)

    return decorate


def options_of(
    name: str | None, *, retries: int, max_age_s: int, timeout: str | int, memory_mb: int, alert: str | None,
    env: Sequence[str], secrets: Sequence[str], filter: Mapping[str, Any] | None, rate: str | None, once: bool,
    schedule: str | None = None, concurrency: int | None = None, permissions: Permissions | None = None,
) -> HandlerOptions:  # fmt: skip
    """The options of either kind of handler, whose `retries` and `max_age_s` have limits of their own."""
    return HandlerOptions(
        name=named("name", name) or "",
        retries=retries,
        max_age_s=max_age_s,
        timeout_s=seconds_of("timeout", timeout, TIMEOUT_S),
        memory_mb=within("memory_mb", memory_mb, MEMORY_MB, "MB"),
        alert=named("alert", alert),
        env=variables("env", env),
        secrets=_secrets(env, secrets),
        filter=filter or {},
        rate=rate_text(rate),
        once=once,
        schedule=schedule,
        concurrency=None if concurrency is None else within("concurrency", concurrency, CONCURRENCY, "at a time"),
        permissions=_permissions(permissions or {}),
    )


def check_event(event_class: type[Event]) -> None:
    if not event_class.event_source:
        raise InvalidHandler(
            f"{event_class.__name__} names no source and detail_type, so no rule can find its events"
        )


def _check_schedule(event_class: type[Event], options: HandlerOptions) -> None:
    """A schedule and the event that it makes belong together, and every one of those events is wanted."""
    text = options.schedule
    if (text is None) == (event_class is ScheduledEvent):
        raise InvalidHandler(
            f"schedule={text!r} for {event_class.__name__}; a schedule and ScheduledEvent go together",
            'for example: @handler(ScheduledEvent, schedule="rate(5 minutes)")',
        )
    if text is not None and not _SCHEDULE.fullmatch(text):
        raise InvalidHandler(f"schedule={text!r}; wanted rate(5 minutes) or cron(0 9 ? * MON-FRI *)")
    if text is not None and options.filter:
        raise InvalidHandler(f"filter={dict(options.filter)!r}: a scheduled event has no detail to choose by")


def seconds_of(option: str, text: str | int, limits: tuple[int, int]) -> int:
    """Whole seconds within AWS's limits. This and the checks below raise InvalidHandler."""
    try:
        return within(option, duration_s(text), limits, "seconds")
    except ValueError as error:
        raise InvalidHandler(f"{option}: {error}") from error


def within(option: str, value: int, limits: tuple[int, int], unit: str) -> int:
    if limits[0] <= value <= limits[1]:
        return value
    raise InvalidHandler(f"{option} is {value} {unit}; AWS allows {limits[0]} to {limits[1]}")


def rate_text(text: str | None) -> str | None:
    if text is not None:
        try:
            rate_of(text)
        except ValueError as error:
            raise InvalidHandler(f"rate: {error}") from error
    return text


def named(option: str, name: str | None) -> str | None:
    if name is None or _NAME.fullmatch(name):
        return name
    raise InvalidHandler(f"{option}={name!r}; wanted at most 50 letters, digits, - and _")


def variables(option: str, names: Sequence[str]) -> tuple[str, ...]:
    """Names of a function's variables."""
    if isinstance(names, str):
        raise InvalidHandler(f"{option}={names!r}; wanted a list of variable names, for example {option}=[{names!r}]")
    for name in names:
        if not _VARIABLE.fullmatch(name) or name.startswith("AWS_"):
            raise InvalidHandler(f"{option} names {name!r}; wanted a variable's name, and none that begins with AWS_")
    return tuple(names)


def _secrets(env: Sequence[str], secrets: Sequence[str]) -> tuple[str, ...]:
    for name in variables("secrets", secrets):
        if name in env:
            raise InvalidHandler(f"{name!r} is in env and in secrets; what is in env can be read by whoever may ask")
    return tuple(secrets)


def _permissions(given: Permissions) -> dict[str, tuple[str, ...]]:
    """By action, each with the ARNs that it is for."""
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidHandler(f"permissions={given!r}; wanted actions and their ARNs", _PERMITTED)
    found = {action: (named,) if isinstance(named, str) else tuple(named) for action, named in given.items()}
    for action, resources in found.items():
        if not _ACTION.fullmatch(action):
            raise InvalidHandler(f"permissions names the action {action!r}; wanted one of IAM's", _PERMITTED)
        wrong = next((one for one in resources if not _RESOURCE.fullmatch(one)), None)
        if wrong is not None or not resources:
            raise InvalidHandler(f"permissions: {action} is for {wrong!r}; wanted an ARN, or '*'", _PERMITTED)
    return found


_PERMITTED = 'for example: permissions={"s3:GetObject": "arn:aws:s3:::receipts/*"}'
