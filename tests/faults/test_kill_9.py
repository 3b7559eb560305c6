"""kill -9 at random moments under load: nothing acknowledged is lost, nothing is half-written."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from faults_scenario import ENVIRONMENT, Publisher, conserved, lay_out, receive_all

from busway.cli.demo.server import ServerProcess, free_port

CYCLES = int(os.environ.get("BUSWAY_CYCLES", 2_000 if os.environ.get("BUSWAY_NIGHTLY") else 100))
# A function's row that was leased when the server died is tried again; two workers run, each with one in hand.
IN_FLIGHT_MAX = 2


@pytest.mark.slow
def test_no_acknowledged_event_is_lost_by_kill_9_at_random_moments(tmp_path: Path):
    seed = int(os.environ.get("BUSWAY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"BUSWAY_SEED={seed}")
    chance = random.Random(seed)
    server = ServerProcess(tmp_path / "data", free_port(), ENVIRONMENT)
    server.start()
    lay_out(server)
    publishers = [Publisher(server, next=n * 1_000_000) for n in range(2)]
    for _ in range(CYCLES):
        stop = threading.Event()
        threads = [threading.Thread(target=fire_until, args=(p, stop)) for p in publishers]
        for thread in threads:
            thread.start()
        stop.wait(chance.uniform(0.0, 0.3))
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
    acknowledged = {n for p in publishers for n in p.acknowledged}
    unanswered = {n for p in publishers for n in p.unanswered}
    arrived = Counter(event["detail"]["n"] for event in receive_all(server, "arrived", quiet_s=3))
    dead = Counter(event["detail"]["n"] for event in receive_all(server, "dead", quiet_s=15))
    server.stop()
    assert len(acknowledged) > CYCLES
    for where, counts in (("queue", arrived), ("dead letters", dead)):
        assert not acknowledged - set(counts), (
            f"lost on the way to {where}: {sorted(acknowledged - set(counts))[:10]}"
        )
        assert set(counts) <= acknowledged | unanswered, f"{where} holds what nobody sent"
    assert max(arrived.values()) == 1, "a queue got an event twice"
    assert sum(count - 1 for count in dead.values()) <= IN_FLIGHT_MAX * CYCLES
    conserved(server.data)


def fire_until(publisher: Publisher, stop: threading.Event) -> None:
    while not stop.is_set() and publisher.fire(3):
        pass
