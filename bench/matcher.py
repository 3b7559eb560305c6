"""Events per second through both matchers, with 1 to 10,000 rules of some kinds, of which at most two match.

.venv/bin/python bench/matcher.py (after `make matcher`; without it, the one in Python alone)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from busway.pattern import default_implementation, new_matcher, parse
from busway.pattern.event_tree import read_event

RULES = (1, 100, 1_000, 10_000)
RULES_MANY = 100_000
ROUNDS = 5
EVENTS_A_ROUND = 5_000

DETAIL = {
    "order": {"id": "o-000000", "total": 129.5, "currency": "EUR", "lines": 3},
    "customer": {"id": "c-81234", "country": "DE", "language": "de", "email": "mara@example.com"},
    "payment": {"kind": "card", "state": "authorised", "provider": "acme-pay", "attempts": 1},
    "channel": "web",
    "gift": False,
    "note": "Please leave it with the neighbours on the second floor.",
}
# As the bus keeps it: a compact envelope around the detail as its sender wrote it, here with Python's spaces.
EVENT = (
    b'{"version":"0","id":"0b5e3f6a-5d3f-4d5e-9b7a-3f2f6f0a7c11","detail-type":"Order Placed","source":"shop.orders",'
    b'"account":"000000000000","time":"2026-11-23T16:30:00Z","region":"eu-central-1",'
    b'"resources":["arn:aws:shop:eu-central-1:000000000000:order/7"],"detail":' + json.dumps(DETAIL).encode() + b"}"
)


Make = Callable[[int], dict[str, Any]]

RULES_OF: dict[str, Make] = {
    "other values": lambda number: {
        "source": ["shop.orders"],
        "detail-type": ["Order Placed"],
        "detail": {"order": {"id": [f"o-{number:06}"]}},
    },
    "other fields": lambda number: {"detail": {f"field-{number}": ["x"]}},
    "prefixes": lambda number: {"detail": {"order": {"id": [{"prefix": f"o-{number:06}"}]}}},
    "ranges": lambda number: {"detail": {"order": {"total": [{"numeric": [">", number, "<", number + 2]}]}}},
    "wildcards": lambda number: {"detail": {"order": {"id": [{"wildcard": f"o-{number:06}*0"}]}}},
}  # fmt: skip


class Asked(NamedTuple):
    """What one matcher did: adds a second, and events a second of CPU, the best of some rounds."""

    adds: float
    events: float


def ask(implementation: str, make: Make, count: int, events: int) -> Asked:
    """CPU seconds of this thread, so that other programs on the machine count for less."""
    patterns = [(f"rule-{number}", parse(json.dumps(make(number)))) for number in range(count)]
    matcher = new_matcher(implementation)
    start = time.thread_time()
    for key, pattern in patterns:
        matcher.add(key, pattern)
    adding = time.thread_time() - start
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time()
        for _ in range(events):
            matcher.match(EVENT)
        best = min(best, time.thread_time() - start)
    return Asked(count / adding, events / best)


def compare(implementations: Sequence[str], counts: Sequence[int], events: int) -> None:
    print(f"{'rules':>9}  {'':<13}", *(f"{name:>11}/s" for name in implementations), "   ratio   adds/s")
    for name, make in RULES_OF.items():
        for count in counts:
            asked = [ask(implementation, make, count, events) for implementation in implementations]
            rates = " ".join(f"{each.events:>13,.0f}" for each in asked)
            print(
                f"{count:>9,}  {name:<13} {rates} {asked[-1].events / asked[0].events:>8.1f} {asked[-1].adds:>9,.0f}"
            )


def memory(count: int) -> None:
    """Bytes that each rule takes in the compiled matcher, as it counts them."""
    matcher = import_module("busway_matcher").Matcher()
    for name, make in RULES_OF.items():
        texts = [json.dumps(make(number)) for number in range(count)]
        start = time.thread_time()
        for number, text in enumerate(texts):
            matcher.add(f"rule-{number}", text)
        took = time.thread_time() - start
        print(
            f"{count:>9,}  {name:<13} {took:>6.2f} s of adding, {matcher.memory_bytes() / count:>6,.0f} bytes a rule"
        )
        for number in range(count):
            matcher.remove(f"rule-{number}")


def main() -> None:
    start = time.thread_time()
    for _ in range(EVENTS_A_ROUND):
        read_event(EVENT)
    decoding = EVENTS_A_ROUND / (time.thread_time() - start)
    print(f"{len(EVENT)} bytes an event; decoding alone in Python: {decoding:,.0f} events/s of CPU, one thread")
    if default_implementation()[0] != "compiled":
        print("busway-matcher is not installed (make matcher): the one in Python alone")
        compare(("python",), RULES, EVENTS_A_ROUND)
        return
    compare(("python", "compiled"), RULES, EVENTS_A_ROUND)
    memory(RULES_MANY)


if __name__ == "__main__":
    main()
