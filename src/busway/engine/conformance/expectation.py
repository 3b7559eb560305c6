"""What a check is, and how it says what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from busway.clock import ManualClock, settle
from busway.engine import Engine

T = TypeVar("T")

Check = Callable[[Engine, ManualClock], Coroutine[Any, Any, None]]


def expect(claim: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{claim}: found {found!r}, wanted {wanted!r}")


async def expect_error(claim: str, kind: type[T], call: Awaitable[object]) -> T:
    """The error that `call` ended with."""
    try:
        found = await call
    except Exception as exc:
        if isinstance(exc, kind):
            return exc
        raise
    raise AssertionError(f"{claim}: found {found!r}, wanted {kind.__name__}")


async def expect_still_waiting(claim: str, task: asyncio.Task[Any]) -> None:
    await settle()
    expect(claim, task.done(), False)
