from __future__ import annotations

import os
import subprocess
import sys

import pytest

from busway.road.manifest import Manifest
from busway.road.release.history import Deployment, History, State, is_gone, maker

MANIFEST = Manifest(project="shop", bus="default", events=[], handlers=[])


def history(*states: tuple[State, int]) -> History:
    """Oldest first: (state, the one that a rollback went back to)."""
    made = [
        Deployment(number=number, state=state, by="me", manifest=MANIFEST, again=again)
        for number, (state, again) in enumerate(states, 1)
    ]
    return History(made[::-1])


LIVE: tuple[State, int] = ("live", 0)
FAILED: tuple[State, int] = ("failed", 0)


@pytest.mark.parametrize(
    ("found", "live", "before"),
    [
        (history(), None, None),
        (history(LIVE), 1, None),
        (history(LIVE, LIVE), 2, 1),
        (history(LIVE, FAILED, LIVE), 3, 1),
        (history(LIVE, LIVE, FAILED), 2, 1),
        # A rollback is not undone by the next one: that goes further back.
        (history(LIVE, LIVE, LIVE, ("live", 2)), 4, 1),
        (history(LIVE, LIVE, ("live", 1)), 3, None),
        # What is deployed after a rollback goes back to what the rollback had gone to.
        (history(LIVE, LIVE, ("live", 1), LIVE), 4, 3),
    ],
)
def test_a_rollback_goes_to_what_ran_before(found: History, live: int | None, before: int | None):
    assert (found.live and found.live.number) == live
    assert (found.before and found.before.number) == before


def test_what_was_begun_after_what_runs_is_unfinished():
    assert [one.number for one in history(LIVE, FAILED, ("running", 0)).unfinished] == [3, 2]
    assert history(FAILED, LIVE).unfinished == []


def test_a_maker_of_this_machine_is_gone_when_its_process_is():
    mine = maker()
    place = mine.rpartition(":")[0]
    assert mine.endswith(f":{os.getpid()}") and not is_gone(mine)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert is_gone(f"{place}:{ended.pid}")
    # Nobody knows that of another machine.
    assert not is_gone(f"me@elsewhere:{ended.pid}")
