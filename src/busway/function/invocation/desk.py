"""What every dispatcher of asynchronous invocations works with, and whom it asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from busway.clock import Clock
from busway.delivery.dead_letter import DeadLetters, Source
from busway.engine import Engine
from busway.errors import FunctionNotFound
from busway.function.definitions.attached import own
from busway.function.definitions.books import Books
from busway.function.invocation.letters import Work
from busway.function.invocation.retry import AGE_S_MAX, RETRIES_MAX, Policy, more_retries
from busway.function.once import OnceStore
from busway.function.record import EventInvoke, FunctionRecord
from busway.function.workers.pool import Run
from busway.metrics import Metrics
from busway.trail import Trail

NAMESPACE = "AWS/Lambda"


class Destinations(Protocol):
    """Who sends records to on-success and on-failure destinations; `server` knows the rooms that take them."""

    async def send(
        self, destination_arn: str, record: bytes, *, function_arn: str, success: bool, trace_header: str, now: float,
        source: Source | None = None,
    ) -> None:  # fmt: skip
        """Return when the destination has it for good; `function_arn` has its qualifier.

        Raises a `BuswayError` when it can't be sent there.
        """
        ...


class Attempt(Protocol):
    """Runs one attempt, with its logs and metrics."""

    async def __call__(
        self, record: FunctionRecord, payload: bytes, work: Work, attempt: int, start_by: float
    ) -> Run:
        """Raises `TooOld` when no worker was free before `start_by`, `FunctionNotReady`, `RecursiveInvocation`,
        and what `Pool.run` raises.
        """
        ...


class Capacity(Protocol):
    """How much of a function may run at once: the part of the pool that a dispatcher asks for."""

    def capacity(self, function_arn: str) -> int: ...

    def running(self, function_arn: str) -> int: ...


class TooOld(Exception):
    """The event's maximum age passed before a worker was free."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every dispatcher works with."""

    engine: Engine
    clock: Clock
    metrics: Metrics
    trail: Trail
    books: Books
    pool: Capacity
    dead_letters: DeadLetters
    destinations: Destinations | None
    waits_s: tuple[float, ...]
    attempt: Attempt
    once: OnceStore

    def policy(self, function_arn: str, qualifier: str) -> Policy:
        config = self.event_invoke(function_arn, qualifier)
        retries = RETRIES_MAX if config is None or config.retries_max is None else config.retries_max
        function = self.books.functions.get(function_arn)
        if retries == RETRIES_MAX and function is not None:
            retries = more_retries(function.tags) or retries
        age_s = AGE_S_MAX if config is None or config.age_s_max is None else config.age_s_max
        return Policy(retries, float(age_s), self.waits_s)

    def event_invoke(self, function_arn: str, qualifier: str) -> EventInvoke | None:
        """As on AWS an alias does not inherit its version's."""
        return self.books.event_invokes.get(function_arn, own(qualifier))

    def record_of(self, function_arn: str, qualifier: str) -> FunctionRecord | None:
        """What runs; None for a function, version or alias that is gone."""
        try:
            return self.books.resolve(function_arn, qualifier)
        except FunctionNotFound:
            return None
