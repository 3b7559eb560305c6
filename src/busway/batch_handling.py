"""The decorator that makes a function a handler of batches: `@batch_handler(OrderPlaced, size=100, window="5s")`.

    @batch_handler(OrderPlaced, size=100, window="5s")
    def post_orders(events: list[OrderPlaced]) -> list[OrderPlaced]:
        return [order for order in events if not posted(order)]     # these are tried again

It takes a list, and gives back the events to try again; or it takes one event, and raises for it. The rule puts the
events into a stream (or a queue), from which Lambda hands them over in batches. What fails, fails alone (`batch` says
how). A batch of which nothing succeeded fails as a whole, with the first error: then Lambda halves a stream's batch
until the bad record is alone. Imports no server part and nothing of AWS.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from types import SimpleNamespace
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_origin, overload

from busway.batch import Batch, records_of
from busway.errors import InvalidHandler
from busway.event import Event
from busway.handling import (
    DRY_RUN,
    HandlerOptions,
    Permissions,
    check_event,
    is_dry_run,
    options_of,
    pattern_of,
    seconds_of,
    within,
)
from busway.idempotent import remaining_ms

A = TypeVar("A")
R = TypeVar("R")
Source = Literal["stream", "queue"]

# https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
SIZE = (1, 10_000)
WINDOW_S = (0, 300)
LANES = (1, 10)
CONCURRENCY = (2, 1_000)
RETRIES = (0, 10_000)
AGE_S = (60, 604_800)
# Ours: more than for single events, as a third party that is away fails whole batches.
RETRIES_DEFAULT = 5
TIMEOUT_DEFAULT = "1m"
# A queue gives a larger batch only to those that wait for it.
SIZE_UNWINDOWED = 10
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html (maxReceiveCount)
RECEIVES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a handler gets its batches. `order_by` is where in an event stands what keeps its order, if anything."""

    source: Source = "stream"
    size: int = 100
    window_s: int = 5
    parallelism: int | None = None
    bisect: bool = True
    order_by: str | None = None


class BatchHandler(Generic[A, R]):
    """A function of a list of events, or of one, with its options. Made by `batch_handler`."""

    def __init__(
        self, function: Callable[[A], R], event_class: type[Event], options: HandlerOptions, batch: BatchOptions
    ) -> None:
        self.function, self.event_class, self.options, self.batch = function, event_class, options, batch
        self.takes_list = _takes_list(function, event_class)
        update_wrapper(self, function)

    @overload
    def __call__(self, events: A) -> R: ...
    @overload
    def __call__(self, events: Mapping[str, Any], context: object) -> dict[str, Any]: ...
    def __call__(self, events: A | Mapping[str, Any], context: object = None) -> Any:
        # A traceback is the handler's own: pytest leaves out frames that say this, and so does our runtime.
        __tracebackhide__ = True
        if not isinstance(events, Mapping):
            return self.function(events)
        remaining_ms.set(getattr(context, "get_remaining_time_in_millis", None))
        if is_dry_run(context):
            self.event_class.from_envelope(cast(Mapping[str, Any], events))
            return DRY_RUN
        records = records_of(cast(Mapping[str, Any], events), self.function.__name__)
        batch, runner = Batch(self.event_class, records), _Runner()

        def handle(given: Any) -> Any:
            __tracebackhide__ = True
            return runner.run(self.function(given))

        try:
            (batch.run_together if self.takes_list else batch.run_each)(handle)
        finally:
            runner.close()
        return batch.report()

    def pattern(self) -> dict[str, Any]:
        """The event pattern of the handler's rule."""
        return pattern_of(self.event_class, self.options.filter)


class _Runner:
    """Runs what an async handler gives, all of a batch in one event loop."""

    def __init__(self) -> None:
        self._runner: Any = None

    def run(self, result: Any) -> Any:
        if not inspect.iscoroutine(result):
            return result
        # Loaded here: it would double the time in which a worker without it starts.
        import asyncio

        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(result)

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


def _takes_list(function: Callable[..., Any], event_class: type[Event]) -> bool:
    """Whether the function takes a list of events, by its annotation. Raises InvalidHandler for neither."""
    parameters = list(inspect.signature(function).parameters.values())
    hint = parameters[0].annotation if parameters else inspect.Parameter.empty
    names = {event_class.__name__: event_class}
    if isinstance(hint, str):
        annotated = SimpleNamespace(__annotations__={"hint": hint})
        try:
            hint = typing.get_type_hints(annotated, getattr(function, "__globals__", {}), names)["hint"]
        except (NameError, TypeError) as error:
            raise InvalidHandler(f"{function.__name__}: its annotation {hint!r} can't be read: {error}") from error
    if hint is event_class:
        return False
    if get_origin(hint) in (list, Sequence, Iterable) and get_args(hint) == (event_class,):
        return True
    name = event_class.__name__
    raise InvalidHandler(
        f"{function.__name__} takes {'nothing' if not parameters else parameters[0]}; "
        f"wanted events: list[{name}], or event: {name} to be called for each"
    )


def batch_handler(
    event_class: type[Event],
    *,
    size: int = 100,
    window: str | int = "5s",
    source: Source = "stream",
    order_by: str | None = None,
    parallelism: int | None = None,
    bisect: bool | None = None,
    retries: int = RETRIES_DEFAULT,
    max_age: str | int | None = None,
    alert: str | None = None,
    timeout: str | int = TIMEOUT_DEFAULT,
    memory_mb: int = 256,
    env: Sequence[str] = (),
    secrets: Sequence[str] = (),
    name: str | None = None,
    filter: Mapping[str, Any] | None = None,
    rate: str | None = None,
    permissions: Permissions | None = None,
) -> Callable[[Callable[[A], R]], BatchHandler[A, R]]:
    """Make a function that takes `list[event_class]`, or one `event_class`, the handler of batches of its events.

    It runs with up to `size` events, or with those that came within `window`. `source` is what they wait in: a
    stream, or a "queue" (each message is tried by itself). `order_by` names the field of the event whose order a
    stream keeps, `parallelism` how many batches run at a time. A stream's batch that fails is halved (`bisect`) until
    the bad event is alone; that is given up after `retries` further attempts, or when it is older than `max_age`
    ("6h"), and told to `alert`. The rest is as for `handler`. Raises InvalidHandler for what AWS would refuse.
    """
    lanes = LANES if source == "stream" else CONCURRENCY
    batch = BatchOptions(
        source=source,
        size=within("size", size, SIZE, "events"),
        window_s=seconds_of("window", window, WINDOW_S),
        parallelism=None if parallelism is None else within("parallelism", parallelism, lanes, "batches at a time"),
        bisect=bisect is not False,
        order_by=_path(event_class, order_by),
    )
    limits = RETRIES if source == "stream" else (0, RECEIVES_MAX - 1)
    options = options_of(
        name, retries=within("retries", retries, limits, "retries"),
        max_age_s=seconds_of("max_age", "6h" if max_age is None else max_age, AGE_S), timeout=timeout,
        memory_mb=memory_mb, alert=alert, env=env, secrets=secrets, filter=filter, rate=rate, once=False,
        permissions=permissions,
    )  # fmt: skip
    check_event(event_class)
    _check_source(batch, {"order_by": order_by, "bisect": bisect, "max_age": max_age})

    def decorate(function: Callable[[A], R]) -> BatchHandler[A, R]:
        return BatchHandler(function, event_class, options, batch)

    return decorate


def _check_source(batch: BatchOptions, for_streams: Mapping[str, object]) -> None:
    if batch.source not in get_args(Source):
        raise InvalidHandler(f"source={batch.source!r}; wanted 'stream' or 'queue'")
    if batch.source == "stream":
        return
    for option, value in for_streams.items():
        if value is not None:
            raise InvalidHandler(f"{option} belongs to a stream; leave it out, or take source='stream'")
    if batch.size > SIZE_UNWINDOWED and not batch.window_s:
        raise InvalidHandler(
            f"size is {batch.size} without a window; AWS fills a queue's batch of more than 10 only in one"
        )


def _path(event_class: type[Event], order_by: str | None) -> str | None:
    """Where in an event a field's value stands."""
    if order_by is None or order_by.startswith("$."):
        return order_by
    aliases = {name: field.alias or name for name, field in event_class.model_fields.items()}
    wire_name = aliases.get(order_by, order_by)
    if wire_name not in aliases.values():
        known = ", ".join(aliases) or "none"
        raise InvalidHandler(f"order_by={order_by!r}; the fields of {event_class.__name__} are: {known}")
    return f"$.detail.{wire_name}"
