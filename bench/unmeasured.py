"""What metrics cost: the same work with and without them, in pairs, on a machine that has other work beside."""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from busway.metrics import COUNTER, Meter, Metrics

# Runs with and without metrics, of which each pair gives a ratio.
PAIRS = 41


class _Deaf(Meter):
    """Counts nothing."""

    def count(self, value: float = 1.0) -> None: ...

    def observe(self, value: float) -> None: ...

    def set(self, value: float) -> None: ...


class Unmeasured(Metrics):
    """What metrics would be if there were none."""

    def count(self, *_: Any, **__: Any) -> None: ...

    def observe(self, *_: Any, **__: Any) -> None: ...

    def gauge(self, *_: Any, **__: Any) -> None: ...

    def meter(self, *_: Any, **__: Any) -> Meter:
        return _DEAF


_DEAF = _Deaf(("", "", ()), COUNTER, None)


KINDS = (Metrics, Unmeasured)


async def cost_of_metrics(
    run: Callable[[type[Metrics]], Awaitable[tuple[float, float]]], pairs: int
) -> dict[str, Any]:
    """`run` gives CPU and rate of the work with one kind of metrics: by what each is multiplied with metrics.

    A pair follows at once, so that a machine that changes changes both. Of the ratios the median, and between which
    two of them it lies with 95 % (a sign test's interval).
    """
    cpu: list[float] = []
    rate: list[float] = []
    for number in range(pairs + 1):
        found: dict[type[Metrics], tuple[float, float]] = {}
        # Who is first finds other caches than who is second.
        for kind in KINDS if number % 2 else reversed(KINDS):
            gc.collect()
            found[kind] = await run(kind)
        if number:
            # The first pair only warms up.
            (with_cpu, with_rate), (without_cpu, without_rate) = found[Metrics], found[Unmeasured]
            cpu.append(with_cpu / without_cpu)
            rate.append(with_rate / without_rate)
    return {"pairs": pairs, "CPU, with against without": _middle(cpu), "rate, with against without": _middle(rate)}


def _middle(ratios: Sequence[float]) -> dict[str, float]:
    """The median and its interval: how many of n coins show heads, 2.5 % at each end."""
    ordered, count = sorted(ratios), len(ratios)
    below = max(0, round(count / 2 - 1.96 * math.sqrt(count) / 2) - 1)
    return {
        "median": round(statistics.median(ordered), 3),
        "from": round(ordered[below], 3),
        "to": round(ordered[count - 1 - below], 3),
    }
