"""kill -9 at random moments under load: nothing acknowledged is lost, nothing is half-written, little is repeated.

Two servers side by side, each with its own data folder, two publishers and a receiver. One cycle: load, kill, a copy
of what the dead server left is proved while the next one starts on the original; in some cycles that one dies too,
as it starts.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults_scenario import (
    ATTEMPTS,
    ENVIRONMENT,
    WORKERS,
    Publisher,
    Receiver,
    check_books,
    conserved,
    conserved_copy,
    invocations,
    lay_out,
    work_off,
)

from busway.cli.demo.server import ServerProcess, free_port
from busway.function.workers.placement import prefetch

CYCLES = int(os.environ.get("BUSWAY_CYCLES", 2_000 if os.environ.get("BUSWAY_NIGHTLY") else 100))
# What an event takes in each lane: one that is over at once has others waiting ready beside it.
WORK_S = (0.0, 0.005)
LANES = len(WORK_S)
LOAD_S_MAX = 0.25
# How often the server is killed once more while it starts, and after how long.
AT_START, START_S_MAX = 0.2, 0.8


@dataclass
class Lane:
    """One server and its clients, through many deaths."""

    server: ServerProcess
    chance: random.Random
    publishers: list[Publisher]
    arrived: Receiver
    dead: Receiver
    work_s: float
    deaths: int = 0

    def in_flight_max(self) -> int:
        """At one moment: what the workers have in hand and ready, until its end is recorded."""
        return (1 + prefetch(self.work_s or 1e-6)) * WORKERS

    def run(self, cycles: int) -> None:
        self.server.start()
        lay_out(self.server, self.work_s)
        for _ in range(cycles):
            self.load_and_kill()
            copy = conserved_copy(self.server.data, self.server.data.parent / "copy")
            if self.chance.random() < AT_START:
                self.server.launch()
                threading.Event().wait(self.chance.uniform(0.0, START_S_MAX))
                self.kill()
            self.server.launch()
            conserved(copy)
            shutil.rmtree(copy)
            self.server.wait_until_ready()
        work_off(self.server, [self.arrived, self.dead])
        assert self.server.stop() == 0
        self.check(cycles)

    def load_and_kill(self) -> None:
        """The moment of a death can't be waited for by a condition: it is any moment."""
        stop = threading.Event()
        work = [lambda p=p: fire_until(p, stop) for p in self.publishers]
        work.append(lambda: self.arrived.receive_until(stop))
        with ThreadPoolExecutor(len(work)) as clients:
            ends = [clients.submit(each) for each in work]
            stop.wait(self.chance.uniform(0.0, LOAD_S_MAX))
            self.kill()
            stop.set()
        for end in ends:
            end.result()

    def kill(self) -> None:
        self.server.kill()
        self.deaths += 1

    def check(self, cycles: int) -> None:
        check_books(self.publishers, self.arrived, self.dead)
        report = conserved(self.server.data)
        acknowledged = sum(len(publisher.acknowledged) for publisher in self.publishers)
        # Too few would prove little.
        assert acknowledged > 3 * cycles
        started = invocations(self.server)
        events = set(self.dead.messages)
        assert set(started) == events
        fewer = {number for number in events if started[number] < ATTEMPTS}
        assert not fewer, f"given up after fewer attempts than promised: {fewer}"
        repeated = sum(started[number] - ATTEMPTS for number in events)
        letters = sum(len(ids) - 1 for ids in self.dead.messages.values())
        in_flight = self.in_flight_max() * self.deaths
        # An event whose last end was not recorded yet is started again, and so its letter may come again too.
        assert repeated <= in_flight, "more invocations were repeated than can have been in flight"
        assert letters <= in_flight, "more dead letters were repeated than can have been in flight"
        print(
            f"{self.deaths} deaths, {acknowledged} acknowledged, {report['events']} stored, 0 lost,"
            f" {repeated} invocations and {letters} dead letters repeated of at most {in_flight} in flight"
        )


def fire_until(publisher: Publisher, stop: threading.Event) -> None:
    while not stop.is_set() and publisher.fire(3):
        pass


@pytest.mark.slow
def test_no_acknowledged_event_is_lost_by_kill_9_at_random_moments(tmp_path: Path):
    seed = int(os.environ.get("BUSWAY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"BUSWAY_SEED={seed} BUSWAY_CYCLES={CYCLES}")
    lanes: list[Lane] = []
    for number, work_s in enumerate(WORK_S):
        folder = tmp_path / f"lane-{number}"
        folder.mkdir()
        server = ServerProcess(folder / "data", free_port(), ENVIRONMENT)
        publishers = [Publisher(server, next=n * 1_000_000) for n in range(2)]
        chance = random.Random(seed + number)
        arrived, dead = Receiver(server, "arrived"), Receiver(server, "dead")
        lanes.append(Lane(server, chance, publishers, arrived, dead, work_s))
    try:
        with ThreadPoolExecutor(LANES) as side_by_side:
            for ended in [side_by_side.submit(lane.run, CYCLES // LANES) for lane in lanes]:
                ended.result()
    finally:
        for lane in lanes:
            lane.server.kill()
