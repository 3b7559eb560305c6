"""What `busway dev` shows: each step as it happens, under it what a handler printed, and why nobody took an event.

What was printed and why nobody matched is asked for, step by step. Where steps come faster than that, they win.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from busway.cli.output import line, print_line
from busway.cli.timeline import flat, name_of, show_step
from busway.cli.tracebacks import brief_lines
from busway.cli.verdict import show_fields
from busway.errors import BuswayError

if TYPE_CHECKING:
    from busway.road.connection import Connection

# Ours: an event that no rule took by then is looked at; how many at most wait for that; and how far behind the steps
# may be shown while each is asked about.
UNMATCHED_AFTER_S, UNMATCHED_MAX, BEHIND_S_MAX = 0.5, 50, 2.0
_LOOK_EVERY_S = 0.1
_RUNTIMES_OWN = ("START ", "END ", "REPORT ", "INIT_REPORT ")
# What an alert fails with until somebody sets its route, or the variable that the route names.
_UNSET = ("NO_RESOURCE", "NO_PERMISSIONS")
_INDENT = " " * 24


class Feed:
    """`show` each step of the trail, in order; `look` from time to time."""

    def __init__(self, connection: Connection, as_json: bool) -> None:
        self._connection, self._as_json = connection, as_json
        # Event ids that no rule is known to have taken, with when they were seen.
        self._waiting: dict[str, float] = {}
        # Alert routes that cannot be used as they are set; each attempt of the server's would say so again.
        self._unset: set[str] = set()

    def show(self, step: Mapping[str, Any]) -> None:
        facts = flat(step)
        if self._as_json:
            print_line(facts)
        elif not self._said_before(facts):
            show_step(step)
        kind, event_id = facts.get("kind"), str(facts.get("event_id") or "")
        if kind == "accepted" and len(self._waiting) < UNMATCHED_MAX:
            self._waiting[event_id] = time.monotonic()
        elif kind == "matched":
            self._waiting.pop(event_id, None)
        behind = time.time() - float(facts.get("at") or 0)
        ended = kind == "delivered" or (kind == "attempt" and facts.get("error_message"))
        if ended and behind < BEHIND_S_MAX and facts.get("function") and facts.get("request_id"):
            self._printed(str(facts["function"]), str(facts["request_id"]))

    def _said_before(self, facts: Mapping[str, Any]) -> bool:
        """Whether a step is one more attempt to tell a route that is not set."""
        route = name_of(facts.get("route") or facts.get("target"))
        known = route in self._unset
        if facts.get("kind") == "alert":
            change = self._unset.add if facts.get("error_code") in _UNSET else self._unset.discard
            change(route)
        return known and route in self._unset

    def look(self) -> None:
        """Tell of the events that nobody took."""
        due = time.monotonic() - UNMATCHED_AFTER_S
        for event_id in [each for each, seen in self._waiting.items() if seen <= due]:
            del self._waiting[event_id]
            found = self._connection.get(f"/_busway/events/{quote(event_id, safe='')}")
            if not any(rule["matched"] for rule in found["rules"]):
                self._unmatched(event_id, found)

    def _printed(self, function: str, request_id: str) -> None:
        """What the handler printed in its last try."""
        name = quote(name_of(function), safe="")
        lines = self._connection.get(f"/_busway/logs/{name}", limit=200, request_id=request_id)["lines"]
        starts = [index for index, one in enumerate(lines) if str(one["line"]).startswith("START ")]
        tried = [
            one for one in lines[starts[-1] if starts else 0 :] if not str(one["line"]).startswith(_RUNTIMES_OWN)
        ]
        if self._as_json:
            for one in tried:
                print_line({"kind": "printed", "function": function, **one})
            return
        for text in brief_lines([str(one["line"]) for one in tried]):
            line((f"{_INDENT}│ {text}", "dim"))

    def _unmatched(self, event_id: str, found: Mapping[str, Any]) -> None:
        closest = found["closest"][:1]
        if self._as_json:
            print_line({"kind": "unmatched", "event_id": event_id, "closest": closest})
            return
        told = f"closest is {closest[0]['rule']}:" if closest else f"bus {found['bus']} has none"
        line((f"{'':14}{event_id[:8]}  ", "dim"), ("no rule matched", "yellow"), f"; {told}")
        if closest:
            show_fields(closest[0].get("fields", []))


def follow(connection: Connection, as_json: bool, ended: Callable[[str], None]) -> None:
    """Show what happens until the server goes away; `ended` is told why. Returns at once: threads do it.

    A thread that waits for the network cannot be ended; as a daemon it ends with the process.
    """
    steps: queue.SimpleQueue[Mapping[str, Any] | str] = queue.SimpleQueue()

    def read() -> None:
        try:
            for step in connection.stream("/_busway/tail"):
                steps.put(step)
            steps.put("the server ended it")
        except (BuswayError, OSError) as error:
            steps.put(str(error))

    def show() -> None:
        feed = Feed(connection, as_json)
        try:
            while True:
                try:
                    step = steps.get(timeout=_LOOK_EVERY_S)
                except queue.Empty:
                    feed.look()
                    continue
                if isinstance(step, str):
                    ended(step)
                    return
                feed.show(step)
        except (BuswayError, OSError) as error:
            ended(str(error))

    for work in (read, show):
        threading.Thread(target=work, daemon=True).start()
