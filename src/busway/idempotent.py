"""A step that runs once, however often its event is tried: `once(event.envelope.id, charge, order)`.

What it gave is kept, where depends on what runs the handler:

    a table     BUSWAY_ONCE_TABLE names a DynamoDB table: a function on AWS
    the server  a worker of Busway asks over its own connection; a row there, beside the event
    memory      neither: a test or a script

Light: the standard library alone until the first call. Works in a Lambda zip.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from busway.errors import OnceUnavailable, StillRunning

P = ParamSpec("P")
R = TypeVar("R")

# Ours. A result that is larger is not kept.
RESULT_BYTES_MAX = 65_536
# Ours. Longer than any event is tried: six hours on AWS, then a day for a person to find it in a dead-letter queue.
KEEP_HOURS = 24
# How long a claim holds where nobody says when the invocation ends: the longest that Lambda lets one run.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
RUN_S_MAX = 900

TABLE, WORKER = "BUSWAY_ONCE_TABLE", "BUSWAY_WORKER"
PATH = "/2018-06-01/busway/once"

# Milliseconds until the invocation that runs here is ended, as its context knows it.
remaining_ms: ContextVar[Callable[[], int] | None] = ContextVar("remaining_ms", default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of asking for a step: it is ours to run, or it completed and gave `result` (JSON)."""

    completed: bool
    result: str = "null"


class Store(Protocol):
    """Keeps claims and completions. `by` names one run of a step."""

    def claim(self, key: str, by: str) -> Claim:
        """Raises `StillRunning` while another run has the claim, `OnceUnavailable` when it can't be asked."""
        ...

    def complete(self, key: str, by: str, result: str, keep_s: int) -> None: ...

    def release(self, key: str, by: str) -> None: ...


class Once:
    """Runs a step unless it completed before. `once` is the one that everybody uses."""

    def __init__(self, keep_hours: int = KEEP_HOURS) -> None:
        self._keep_s = keep_hours * 3600

    def keeping(self, *, hours: int) -> Once:
        """A `once` that remembers for so long, 1 hour to 366 days (the default is 24 hours)."""
        if not 1 <= hours <= 8_784:
            raise ValueError(f"hours={hours}; wanted 1 to 8784")
        return Once(hours)

    def __call__(self, key: str, step: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What `step(*args, **kwargs)` gives, or gave when it completed before; of an async one, await it.

        `key` says which event it is: each step (each function, by its name and module) has keys of its own, in each
        Lambda function. A step that raises has not completed, and runs again. What it gives is kept as JSON; what is
        no JSON, or more than 64 KiB, is not kept: then a repeat gives None, which a warning in the log says.
        Raises `StillRunning` while another invocation runs the step, so that this one is tried again later.
        """
        name = f"{_name_of(step)}#{_checked(key)}"
        run = _Run(_store(), name, os.urandom(16).hex(), self._keep_s)
        if _is_async(step):
            return cast(R, run.later(partial(cast(Callable[..., Any], step), *args, **kwargs)))
        return run.now(partial(step, *args, **kwargs))


once = Once()


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of one step."""

    store: Store
    key: str
    by: str
    keep_s: int

    def now(self, step: Callable[[], R]) -> R:
        __tracebackhide__ = True
        claim = self.store.claim(self.key, self.by)
        if claim.completed:
            return json.loads(claim.result)
        try:
            result = step()
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError(f"{self.key.rpartition('#')[0]} gave a coroutine; wanted an async function itself")
        except BaseException:
            self.store.release(self.key, self.by)
            raise
        self.store.complete(self.key, self.by, self._kept(result), self.keep_s)
        return result

    async def later(self, step: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        __tracebackhide__ = True
        # Loaded by whoever awaits this; a handler that is not async starts in a third less time without it.
        import asyncio

        claim = await asyncio.to_thread(self.store.claim, self.key, self.by)
        if claim.completed:
            return json.loads(claim.result)
        try:
            result = await step()
        except BaseException:
            # Not in a thread: who is being cancelled may not wait.
            self.store.release(self.key, self.by)
            raise
        await asyncio.to_thread(self.store.complete, self.key, self.by, self._kept(result), self.keep_s)
        return result

    def _kept(self, result: object) -> str:
        """The result as JSON; "null" for what can't be kept."""
        try:
            text = json.dumps(result)
        except (TypeError, ValueError, RecursionError) as error:
            problem = str(error)
        else:
            if len(text.encode()) <= RESULT_BYTES_MAX:
                return text
            problem = f"found {len(text.encode())} bytes, wanted at most {RESULT_BYTES_MAX}"
        import logging

        where = "once(%s): the result is not kept, so a repeat of this step gives None: %s"
        logging.getLogger("busway").warning(where, self.key, problem)
        return "null"


def _checked(key: object) -> str:
    if isinstance(key, str) and key:
        return key
    raise ValueError(f"once was called with the key {key!r}; wanted a text such as event.envelope.id")


def _bare(step: object) -> object:
    while isinstance(step, partial):
        step = cast(partial[Any], step).func
    return step


def _name_of(step: object) -> str:
    """Where a step is defined; it is part of its rows' keys."""
    bare = _bare(step)
    named = bare if hasattr(bare, "__qualname__") else type(bare)
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', '')}"


def _is_async(step: object) -> bool:
    bare = _bare(step)
    return any(inspect.iscoroutinefunction(found) for found in (bare, getattr(bare, "__call__", None)))  # noqa: B004


# --- where it is kept ---

_chosen: Store | None = None


def _store() -> Store:
    global _chosen
    if _chosen is None:
        _chosen = choose(os.environ)
    return _chosen


def choose(environ: Any) -> Store:
    """The store that the environment asks for. Raises OnceUnavailable on AWS without a table."""
    if environ.get(TABLE):
        return Table(environ[TABLE], environ.get("AWS_LAMBDA_FUNCTION_NAME", ""))
    if environ.get(WORKER):
        return Server(environ.get("AWS_LAMBDA_RUNTIME_API", ""))
    if environ.get("AWS_LAMBDA_RUNTIME_API"):
        problem = f"this function runs on AWS Lambda without {TABLE}"
        raise OnceUnavailable(problem, f"set {TABLE} to a DynamoDB table with the text key `id` and the TTL `until`")
    return Memory()


def forget() -> None:
    """Begin with an empty memory, whatever the environment says: the pytest plugin does so before each test."""
    global _chosen
    _chosen = Memory()


def events_are_ours() -> bool:
    """Whether the handler itself keeps its events from being handled twice: on AWS. Elsewhere the server does."""
    return bool(os.environ.get(TABLE)) and not os.environ.get(WORKER)


class Memory:
    """In this process, and as long as it lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[str, str] = {}
        self._results: dict[str, tuple[str, float]] = {}

    def claim(self, key: str, by: str) -> Claim:
        with self._lock:
            result, until = self._results.get(key, ("", 0.0))
            if until > time.time():
                return Claim(True, result)
            if self._claims.setdefault(key, by) != by:
                raise StillRunning(key)
            return Claim(False)

    def complete(self, key: str, by: str, result: str, keep_s: int) -> None:
        with self._lock:
            self._claims.pop(key, None)
            self._results[key] = (result, time.time() + keep_s)

    def release(self, key: str, by: str) -> None:
        with self._lock:
            self._claims.pop(key, None)


class Server:
    """Asks the Busway server: over the connection of our own client where it runs us, else where `address` is."""

    def __init__(self, address: str) -> None:
        self._address = address
        # What the server says of our claims; told again at the end it spares the server a look.
        self._held: dict[str, Any] = {}

    def claim(self, key: str, by: str) -> Claim:
        answer = self._ask({"do": "claim", "key": key, "by": by})
        if answer["state"] == "running":
            raise StillRunning(key)
        if answer["state"] == "claimed":
            self._held[by] = answer["held"]
        return Claim(answer["state"] == "done", json.dumps(answer.get("result")))

    def complete(self, key: str, by: str, result: str, keep_s: int) -> None:
        about = {"held": self._held.pop(by, None), "result": json.loads(result), "keep_s": keep_s}
        self._ask({"do": "complete", "key": key, "by": by, **about})

    def release(self, key: str, by: str) -> None:
        self._held.pop(by, None)
        self._ask({"do": "release", "key": key, "by": by})

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(question).encode()
        client = sys.modules.get("_busway_runtime")
        try:
            answer = json.loads(client.once(body) if client else self._post(body))
        except (OSError, ValueError) as error:
            raise OnceUnavailable(f"the server could not be asked: {error}") from error
        if "state" not in answer:
            raise OnceUnavailable(f"the server refused: {answer.get('errorMessage', answer)}")
        return answer

    def _post(self, body: bytes) -> bytes:
        if not self._address:
            raise OSError("only the process that was given the event can, and none that it started")
        from http.client import HTTPConnection

        connection = HTTPConnection(self._address)
        try:
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()


class Table:
    """A DynamoDB table: `id` (its key), `state`, `result` (JSON), `claimant`, `until` (its TTL, in epoch seconds)."""

    def __init__(self, table: str, function: str, client: Any = None) -> None:
        self._table, self._function, self._client = table, function, client

    def claim(self, key: str, by: str) -> Claim:
        now, ends_in_ms = time.time(), remaining_ms.get()
        run_s = RUN_S_MAX if ends_in_ms is None else ends_in_ms() / 1000
        row = {"state": "claimed", "claimant": by, "until": math.ceil(now + run_s)}
        refused = self._put(key, row, "attribute_not_exists(id) OR #until <= :now", {":now": {"N": str(int(now))}})
        if refused is None or refused.get("claimant", {}).get("S") == by:
            return Claim(False)
        if refused.get("state", {}).get("S") == "done":
            return Claim(True, refused["result"]["S"])
        raise StillRunning(key)

    def complete(self, key: str, by: str, result: str, keep_s: int) -> None:
        row = {"state": "done", "result": result, "until": int(time.time()) + keep_s}
        # Who completed first, after the claim of one of the two had ended, stays.
        self._put(key, row, "attribute_not_exists(id) OR #state <> :done", {":done": {"S": "done"}})

    def release(self, key: str, by: str) -> None:
        client = self._dynamodb()
        try:
            client.delete_item(
                TableName=self._table,
                Key={"id": {"S": self._id(key)}},
                ConditionExpression="claimant = :by",
                ExpressionAttributeValues={":by": {"S": by}},
            )
        except client.exceptions.ConditionalCheckFailedException:
            # It ended, and is another's now.
            return

    def _put(self, key: str, row: dict[str, Any], unless: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """None when it was put, else what stands there."""
        client = self._dynamodb()
        item = {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in row.items()}
        names = {f"#{name}": name for name in ("until", "state") if f"#{name}" in unless}
        try:
            client.put_item(
                TableName=self._table,
                Item={"id": {"S": self._id(key)}, **item},
                ConditionExpression=unless,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as refusal:
            return cast(dict[str, Any], refusal.response.get("Item", {}))
        return None

    def _id(self, key: str) -> str:
        """One table serves many functions; a key of DynamoDB has at most 2048 bytes, ours has any length."""
        from hashlib import sha256

        return f"{self._function}/{sha256(key.encode()).hexdigest()}"

    def _dynamodb(self) -> Any:
        if self._client is None:
            # Only here: no worker and no test pays for it.
            import boto3  # pyright: ignore

            self._client = cast(Any, boto3).client("dynamodb")
        return self._client
