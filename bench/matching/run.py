"""`make bench-matcher`: the compiled matcher, called from Python, beside event-ruler, quamina and the reference in
Python, in one run.

Each rate is events a second of CPU time of the one thread that matches, the best of some passes over the same events,
so that other programs on the machine count for less. Each peer runs in a process of its own, a fresh one for each
row, between two halves of ours. Engines that find different numbers of matches are reported as such.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from banks import BANKS, GROWING, Pattern
from lots import COUNT, SEED, write

from busway.pattern import new_matcher, parse

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".build" / "bench"
RESULTS = Path(__file__).with_name("results.json")
RULES = (1, 100, 1_000, 10_000, 100_000)
EVENTS_OF_A_GROWING_SET = 40_000
ROUNDS = 5
# Ours is done with a few events so soon that a neighbour's burst would meet every pass.
PASSES_S_MIN = 1.0
PASSES_S = 20.0
EVENTS_OF_THE_REFERENCE, RULES_OF_THE_REFERENCE = 5_000, 1_000
# What a row may take in one peer: 100,000 numeric ranges take event-ruler a minute to add.
PATIENCE_S = 180.0
HEAP = "3g"


class Rate(NamedTuple):
    """What an engine did with a set of rules: events a second, matches found, seconds of adding, bytes they take."""

    rate: float
    hits: int
    adding_s: float
    bytes: int


class Peer(NamedTuple):
    name: str
    version: str
    command: Sequence[str]
    built: Path


def peers() -> list[Peer]:
    """Those that could be built; the Makefile says why another could not."""
    jars = BUILT / "ruler"
    memory = (f"-Xms{HEAP}", f"-Xmx{HEAP}")
    all_peers = (
        Peer("event-ruler", "2.0.1", ("java", *memory, "-cp", f"{jars}/*:{jars}", "Rate"), jars / "Rate.class"),
        Peer("quamina", "0.2.0", (str(BUILT / "quamina"),), BUILT / "quamina"),
        Peer("quamina-rs", "0.7.0", (str(BUILT / "quamina-rs"),), BUILT / "quamina-rs"),
    )
    return [peer for peer in all_peers if peer.built.exists()]


def ask(peer: Peer, file: Path, count: int, patterns: Sequence[Pattern]) -> Rate | None:
    """None where the peer has no such operator, or could not do it in `PATIENCE_S`."""
    spoken = ",".join(spoken_by(peer, pattern) for pattern in patterns)
    job = {"events": str(file), "count": count, "rounds": ROUNDS, "seconds": PASSES_S}
    asked = f'{json.dumps(job)[:-1]}, "patterns": [{spoken}]}}'
    try:
        run = subprocess.run(
            peer.command, input=asked, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return Rate(**json.loads(run.stdout)) if run.returncode == 0 else None


SHELL = {"prefix": "{}*", "suffix": "*{}", "wildcard": "{}"}


def spoken_by(peer: Peer, pattern: Pattern) -> str:
    """In the peer's words: this quamina knows neither wildcards nor prefixes, but the shell's asterisk for both."""

    def words(members: dict[str, Any]) -> dict[str, Any]:
        (operator, value), *more = members.items()
        shell = peer.name == "quamina" and not more and isinstance(value, str) and SHELL.get(operator)
        return {"shellstyle": shell.format(value)} if shell else members

    return json.dumps(json.loads(json.dumps(pattern), object_hook=words))


def ours(implementation: str, events: Sequence[bytes], patterns: Sequence[Pattern], rounds: int = ROUNDS) -> Rate:
    texts = [json.dumps(pattern) for pattern in patterns]
    compiled = implementation == "compiled"
    matcher: Any = import_module("busway_matcher").Matcher() if compiled else new_matcher(implementation)
    start = time.thread_time()
    for number, text in enumerate(texts):
        matcher.add(str(number), text if compiled else parse(text))
    adding = time.thread_time() - start
    hits = sum(len(matcher.match(event)) for event in events)
    match, best, spent = matcher.match, float("inf"), 0.0
    while rounds > 0 or spent < PASSES_S_MIN:
        start = time.thread_time()
        for event in events:
            match(event)
        took = time.thread_time() - start
        best, spent, rounds = min(best, took), spent + took, rounds - 1
    return Rate(len(events) / best, hits, adding, matcher.memory_bytes() if compiled else 0)


def row(file: Path, events: Sequence[bytes], patterns: Sequence[Pattern]) -> dict[str, Any]:
    """Ours before and after the peers, so that what the machine does meanwhile meets all of them."""
    before = ours("compiled", events, patterns)
    told = {peer.name: ask(peer, file, len(events), patterns) for peer in peers()}
    after = ours("compiled", events, patterns)
    best = max(before, after)
    row: dict[str, Any] = {"rules": len(patterns), "busway": best._asdict()}
    for name, rate in told.items():
        row[name] = rate and rate._asdict() | {"ratio": round(best.rate / rate.rate, 2)}
        if rate and rate.hits != best.hits:
            row.setdefault("other matches", []).append(f"{name} found {rate.hits:,}, Busway {best.hits:,}")
    if len(patterns) <= RULES_OF_THE_REFERENCE:
        slow = ours("python", events[:EVENTS_OF_THE_REFERENCE], patterns, rounds=2)
        row["reference"] = slow._asdict() | {"ratio": round(best.rate / slow.rate, 2)}
    return row


def show(name: str, row: dict[str, Any]) -> None:
    said = (
        f"{name:<26} {row['rules']:>7,} rules {row['busway']['rate']:>10,.0f}/s {row['busway']['hits']:>9,} matches"
    )
    for engine in (*(peer.name for peer in peers()), "reference"):
        rate = row.get(engine)
        said += f"  {engine} " + (f"{rate['rate']:>10,.0f}/s {rate['ratio']:>5.1f}" if rate else f"{'-':>18}")
    print(said, *row.get("other matches", []), sep="\n    ", flush=True)


def table(results: dict[str, Any]) -> str:
    """The results in Markdown, as bench/README.md has them."""
    names = [*(peer.name for peer in peers()), "reference"]
    head = ["", "rules", "Busway", *(f"{name} (ratio)" for name in names)]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for name, row in (*results["banks"].items(), *results["growing"].items()):
        cells = [f"{row[peer]['rate']:,.0f} ({row[peer]['ratio']})" if row.get(peer) else "-" for peer in names]
        lines.append("| " + " | ".join([name, f"{row['rules']:,}", f"{row['busway']['rate']:,.0f}", *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="what a row's name contains; the others stay as they were measured before"
    )
    parser.add_argument("--events", type=int, default=COUNT, help="how many events a bank is asked")
    chosen = parser.parse_args()
    file = BUILT / f"lots-{SEED}.jsonl"
    if not file.exists():
        print(f"making {COUNT:,} events", flush=True)
        write(file)
    events = [line.rstrip(b"\n") for line in file.read_bytes().splitlines()][: chosen.events]
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "date": date.today().isoformat(),
        "load": os.getloadavg(),
        "events": len(events),
        "bytes an event": round(sum(map(len, events)) / len(events)),
        "banks": {},
        "growing": {},
    }
    print(*results.items(), *(f"{peer.name} {peer.version}" for peer in peers()), sep="\n", flush=True)
    if chosen.only and RESULTS.exists():
        before = json.loads(RESULTS.read_text())
        results |= {kind: before[kind] for kind in ("banks", "growing")}

    def measure(kind: str, name: str, some: Sequence[bytes], patterns: Sequence[Pattern]) -> None:
        if chosen.only in name:
            results[kind][name] = row(file, some, patterns)
            show(name, results[kind][name])
            # After each row: some take minutes.
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")

    for name, patterns in BANKS.items():
        measure("banks", name, events, patterns)
    for name, growing in GROWING.items():
        for count in (count for count in RULES if count <= growing.most):
            some = events[:EVENTS_OF_A_GROWING_SET]
            measure("growing", f"{name}, {count:,}", some, [growing.make(number) for number in range(count)])
    print(table(results))


if __name__ == "__main__":
    main()
