"""The compiled matcher under threads: who waits for it, and who runs meanwhile.

Python's threads take the GIL from each other after an interval. Here it never ends, so that another thread runs only
where the one that has the GIL gives it away; what happened meanwhile is read from what the others noted down.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.pattern.agreeing import compiled

pytestmark = pytest.mark.needs("matcher")

# A match of it takes some hundredths of a second.
LARGE = b'{"a":["x"' + b',"y"' * 500_000 + b"]}"
# Whether threads meet is the system's to say; it is tried until they did.
TRIES = 200


@pytest.fixture(autouse=True)
def nobody_takes_the_gil() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(3_600)
    yield
    sys.setswitchinterval(before)


def new_matcher() -> Any:
    matcher = compiled().Matcher()
    matcher.add("rule", '{"a":["x"]}')
    return matcher


def test_another_thread_runs_while_a_large_event_is_matched():
    matcher, matches, ran = new_matcher(), 0, threading.Event()

    def match() -> None:
        nonlocal matches
        while not ran.is_set() and matches < TRIES:
            matcher.match(LARGE)
            matches += 1

    thread = threading.Thread(target=match)
    thread.start()
    matches_before = matches
    ran.set()
    thread.join()
    assert matches_before < TRIES


ASKING: dict[str, Callable[[Any], Any]] = {
    "a short match": lambda matcher: matcher.match(b'{"a":"x"}'),
    "its length": len,
    "its memory": lambda matcher: matcher.memory_bytes(),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=list(ASKING))
def test_who_waits_behind_an_addition_lets_the_others_run(ask: Callable[[Any], Any]):
    """A large match keeps an addition waiting, and that keeps the one who asks waiting."""
    assert any(others_ran_while_asking(ask) for _ in range(TRIES))


def others_ran_while_asking(ask: Callable[[Any], Any]) -> bool:
    matcher, happened = new_matcher(), list[str]()

    def match() -> None:
        matcher.match(LARGE)
        happened.append("matched")

    def add() -> None:
        matcher.add("other", '{"b":["x"]}')
        happened.append("added")

    threads = [threading.Thread(target=match), threading.Thread(target=add)]
    for thread in threads:
        # Comes back when the thread gives the GIL away, as all do that look for a lock here.
        thread.start()
    before = list(happened)
    ask(matcher)
    after = list(happened)
    for thread in threads:
        thread.join()
    return after != before


def test_a_pattern_is_parsed_before_anybody_has_to_wait_for_it():
    """While one that takes long to read is added, none of many short matches waits until it is there."""
    slow = '{"a":' + " " * 30_000_000 + '["x"]}'
    assert any(matches_while_adding(slow, 20_000) == 20_000 for _ in range(5))


def matches_while_adding(pattern: str, matches_max: int) -> int:
    matcher, matches = new_matcher(), 0
    thread = threading.Thread(target=matcher.add, args=("slow", pattern))
    thread.start()
    while "slow" not in matcher and matches < matches_max:
        matcher.match(b'{"a":"x"}')
        matches += 1
    thread.join()
    return matches
