"""Events per second through the matcher, with 1 to 10,000 exact rules of which one matches.

.venv/bin/python bench/matcher.py
"""

from __future__ import annotations

import json
import time

from busway.pattern import Matcher, parse
from busway.pattern.event_tree import read_event

RULES = (1, 100, 1_000, 10_000)
ROUNDS = 7
EVENTS_A_ROUND = 20_000

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


def rate(matcher: Matcher) -> float:
    """Events a second, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(EVENTS_A_ROUND):
            matcher.match(EVENT)
        best = min(best, time.perf_counter() - start)
    return EVENTS_A_ROUND / best


def exact_rules(count: int) -> Matcher:
    matcher = Matcher()
    for number in range(count):
        rule = {
            "source": ["shop.orders"],
            "detail-type": ["Order Placed"],
            "detail": {"order": {"id": [f"o-{number:06}"]}},
        }
        matcher.add(f"rule-{number}", parse(json.dumps(rule)))
    return matcher


def rules_on_other_fields(count: int) -> Matcher:
    matcher = exact_rules(1)
    for number in range(1, count):
        matcher.add(f"rule-{number}", parse(json.dumps({"detail": {f"field-{number}": ["x"]}})))
    return matcher


def main() -> None:
    start = time.perf_counter()
    for _ in range(EVENTS_A_ROUND):
        read_event(EVENT)
    decoding = EVENTS_A_ROUND / (time.perf_counter() - start)
    print(f"{len(EVENT)} bytes an event; decoding alone: {decoding:,.0f} events/s")
    print(f"{'rules':>7} {'other values':>14} {'other fields':>14}   events/s, one thread")
    for count in RULES:
        values, fields = rate(exact_rules(count)), rate(rules_on_other_fields(count))
        print(f"{count:>7,} {values:>14,.0f} {fields:>14,.0f}")


if __name__ == "__main__":
    main()
