"""The picture of a trace: an event, its deliveries, each try as a bar, what it printed, what it published. Pure.

    Order Placed  <- asked                 +0 ms          ●···············
      rule place-order -> place-order  delivered
        try 1  failed                      +4 ms    12 ms ×···············
          │ [ERROR] OutOfStock: none left of 7
        try 2  ok                        +1.02 s    31 ms ······━━········
          Receipt Sent                   +1.04 s          ·······●········

Words say everything that a colour says too. Left are the words, right the axis: ● an event comes, ━ a try runs,
× it fails, ■ a dead letter lies, ! somebody is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from busway.cli.output import STYLES, counted, day, moment
from busway.cli.timeline import ROUTE_PREFIX, name_of
from busway.cli.tracebacks import brief_lines

Part = str | tuple[str, str]
Row = list[Part]

# Ours: bars are no longer than this on a wide terminal, and in a pipe.
WIDTH_MAX = 110
# Ours: how many lines of a try are shown, and how far what is inside something is indented at most.
LINES_MAX = 3
INDENT_MAX = 12
_AXIS_MIN, _OFFSET, _LENGTH = 14, 9, 9
_OUTCOME_STYLES = {"ok": "green", "failed": "yellow", "running": "cyan", "interrupted": "yellow"}


@dataclass(frozen=True, slots=True)
class Axis:
    """From the first thing that happened to the last, Unix seconds, in so many columns."""

    begin: float
    end: float
    columns: int

    def bar(self, at: float, until: float, mark: str, last: str = "") -> str:
        """`mark` from `at` to `until`, at least once; `last` in the last column of them."""
        first, behind = self._column(at), self._column(until)
        marks = mark * (behind - first) + (last or mark)
        return "·" * first + marks + "·" * (self.columns - first - len(marks))

    def _column(self, at: float) -> int:
        length = max(self.end - self.begin, 0.001)
        return min(self.columns - 1, max(0, int((at - self.begin) / length * self.columns)))


@dataclass(frozen=True, slots=True)
class Words:
    """What people do next: where nothing matched (of an event), for more lines and for a dead letter (of a name).

    `of_attempt`: whether the lines of one attempt can be asked for.
    """

    why: Callable[[str], str] = lambda event_id: f"`busway why {quote(event_id)}`"
    logs: Callable[[str], str] = lambda name: f"`busway logs {quote(name)}`"
    redrive: Callable[[str], str] = lambda name: f"`busway redrive {quote(name)}`"
    of_attempt: bool = True


def picture(found: Mapping[str, Any], width: int) -> Iterator[Row]:
    """A server's trace as lines, each as parts with their styles, for so many columns."""
    moments = list(_moments(found["events"]))
    if not moments:
        yield [("No event of it is left.", "bold")]
        return
    yield [(f"trace {found['root']}", "bold")]
    took = _length(max(moments) - min(moments))
    yield [(f"{_events_told(found)} in {took}, from {moment(min(moments))} on", "dim")]
    yield from drawn(found["events"], width, str(found["asked"]), Words())
    yield [""]
    yield from _covered(found)


def drawn(events: Sequence[Mapping[str, Any]], width: int, asked: str, words: Words) -> Iterator[Row]:
    """The events on one axis, without what stands above and below."""
    moments = list(_moments(events))
    pen = _Pen(Axis(min(moments), max(moments), max(_AXIS_MIN, width // 3)), width, asked, words)
    for event in events:
        yield [""]
        yield from pen.event(event, 0)


def _events_told(found: Mapping[str, Any]) -> str:
    left_out = f", {found['left_out']} more left out" if found["left_out"] else ""
    return counted(found["told"], "event") + left_out


def _covered(found: Mapping[str, Any]) -> Iterator[Row]:
    """How far the journals were looked through, where there is more."""
    looked = f"looked at {counted(found['looked_at'], 'event')} of the journals"
    if found["until"] is not None:
        yield [(f"{looked}, up to {moment(found['until'])}: what came later is not shown", "yellow")]
    if found["since"] is not None:
        yield [(f"{looked}, from {moment(found['since'])} on: what came before is not shown", "yellow")]
    if found["until"] is None and found["since"] is None:
        yield [(looked, "dim")]


class _Pen:
    """Draws rows of one width on one axis."""

    def __init__(self, axis: Axis, width: int, asked: str, words: Words) -> None:
        self._axis, self._width, self._asked, self._next = axis, width, asked, words

    # --- rows ---

    def _words(self, indent: int, text: str, style: str = "") -> Row:
        """A row without a bar, cut where the terminal ends."""
        spaces = " " * min(indent, INDENT_MAX)
        return [(f"{spaces}{_cut(text, self._width - len(spaces))}", style)]

    def _timed(
        self, indent: int, text: str, style: str, at: float, bar: str, *, state: str = "", length: str = ""
    ) -> Row:
        """A row with a bar; of a `text` that is too long its end is cut, never its `state`."""
        spaces, state = " " * min(indent, INDENT_MAX), f"  {state}" if state else ""
        room = self._width - self._axis.columns - _OFFSET - _LENGTH - 1
        left = max(2, room - len(spaces) - len(state))
        label = _shorter(f"{spaces}{_cut(text, left)}{state}", room).ljust(room)
        offset = "+" + _length(max(0.0, at - self._axis.begin))
        return [(label, style), (f"{offset:>{_OFFSET}}{length:>{_LENGTH}} ", "dim"), bar]

    # --- what happened ---

    def event(self, event: Mapping[str, Any], indent: int) -> Iterator[Row]:
        at = float(event["accepted_at"])
        asked = "<- asked" if event["event_id"] == self._asked else ""
        name, bar = str(event["detail_type"]), self._axis.bar(at, at, "●")
        yield self._timed(indent, name, "bold cyan", at, bar, state=asked)
        source = f" from {event['source']}" if event["source"] else ""
        bus = f" on bus {event['bus']}" if event["bus"] else ""
        yield self._words(indent, f"{event['event_id']}{source}{bus}", "dim")
        if event.get("error_message"):
            yield self._words(indent + 2, f"not taken: {event['error_message']}", "bold red")
        elif not event["matched"] and event.get("rules_known", True):
            near = [f"the closest is {one['rule']}" for one in event["closest"]]
            yield self._words(indent + 2, "; ".join(["no rule matched it", *near]))
            yield self._words(indent + 2, self._next.why(str(event["event_id"])), "dim")
        for delivery in event["deliveries"]:
            yield from self._delivery(delivery, indent + 2)

    def _delivery(self, delivery: Mapping[str, Any], indent: int) -> Iterator[Row]:
        state = str(delivery["state"])
        rule = f"rule {delivery['rule']} " if delivery["rule"] else ""
        named = f"{rule}-> {name_of(delivery['target'])}"
        style = STYLES.get(state, "yellow" if state in ("pending", "unrouted") else "")
        at = delivery.get("at")
        if delivery["attempts_seen"] or at is None:
            yield self._words(indent, f"{named}  {state}", style)
        else:
            yield self._timed(indent, named, style, at, self._axis.bar(at, at, "━"), state=state)
        yield from self._attempts(delivery["attempts_seen"], name_of(delivery["target"]), indent + 2)
        if delivery.get("error_message") and not _said(delivery):
            problem = f"{delivery.get('error_code') or 'error'}: {delivery['error_message']}"
            yield self._words(indent + 2, f"└ {problem}", "yellow")
        yield from self._letter(delivery, name_of(delivery["target"]), indent + 2)
        for consumer in delivery["consumers"]:
            yield from self._consumer(consumer, indent + 2)
        if delivery["passed_on"]:
            yield from self.event(delivery["passed_on"], indent + 2)

    def _consumer(self, consumer: Mapping[str, Any], indent: int) -> Iterator[Row]:
        state, name = str(consumer["state"]), name_of(consumer["function"])
        yield self._words(indent, f"-> {name}  {state}", STYLES.get(state, ""))
        yield from self._attempts(consumer["attempts_seen"], name, indent + 2)
        yield from self._letter(consumer, name, indent + 2)

    def _attempts(self, attempts: Sequence[Mapping[str, Any]], name: str, indent: int) -> Iterator[Row]:
        for attempt in attempts:
            yield self._attempt(attempt, indent)
            yield from self._printed(attempt, name, indent + 2)
            for event in attempt.get("published", ()):
                yield from self.event(event, indent + 2)

    def _attempt(self, attempt: Mapping[str, Any], indent: int) -> Row:
        outcome = str(attempt["outcome"])
        batch = f", batch of {attempt['records']}" if attempt.get("records", 1) > 1 else ""
        style = _OUTCOME_STYLES.get(outcome, "")
        begun = attempt.get("began_at")
        if begun is None:
            at = float(attempt["ended_at"])
            bar, length = self._axis.bar(at, at, "×" if outcome == "failed" else "━"), ""
        else:
            at, took_s = float(begun), _took_s(attempt)
            last = "×" if outcome == "failed" else "…" if outcome == "running" else ""
            until = self._axis.end if outcome == "running" else at + took_s
            bar, length = self._axis.bar(at, until, "━", last), "" if outcome == "running" else _length(took_s)
        return self._timed(indent, f"try {attempt['attempt']}  {outcome}{batch}", style, at, bar, length=length)

    def _printed(self, attempt: Mapping[str, Any], name: str, indent: int) -> Iterator[Row]:
        """A few lines: the first ones, and the error wherever it stands."""
        between = attempt.get("lines_left_out", 0)
        texts = list(brief_lines([*attempt.get("lines_first", ()), *attempt.get("lines_last", ())]))
        shown = texts[:LINES_MAX]
        error = next((text for text in texts if text.startswith("[ERROR]") or "Error: " in text), None)
        if error is not None and error not in shown:
            shown[-1] = error
        for text in shown:
            yield self._words(indent, f"│ {text}", "dim")
        more = len(texts) - len(shown) + between
        if more:
            request = f"--request-id {attempt['request_id']}" if self._next.of_attempt else ""
            yield self._words(indent, f"│ … {more} more: {self._next.logs(name)}", "dim")
            if request and len(request) + indent + 4 <= self._width:
                yield self._words(indent, f"│   {request}", "dim")

    def _letter(self, told: Mapping[str, Any], name: str, indent: int) -> Iterator[Row]:
        if not told.get("dead_letter_queue"):
            retried = told.get("redriven")
            if retried:
                yield self._words(indent, f"sent back: {retried['state']} {moment(retried.get('at'))}".rstrip())
            return
        at, queue = float(told["at"]), name_of(told["dead_letter_queue"])
        yield self._timed(indent, "dead letter", "bold red", at, self._axis.bar(at, at, "■"))
        yield self._words(indent + 2, f"in {queue}; {self._next.redrive(name)}", "dim")
        for alarm in told["alarms"]:
            yield from self._alarm(alarm, indent)

    def _alarm(self, alarm: Mapping[str, Any], indent: int) -> Iterator[Row]:
        at, named = alarm["at"], f"alarm {alarm['alarm']}"
        if at is None:
            yield self._words(indent, f"{named} is {alarm['state']}, and was not in ALARM for it")
            return
        over = "" if alarm["state"] == "ALARM" else f", now {alarm['state']}"
        if at < self._axis.begin:
            yield self._words(indent, f"{named} was in ALARM already, since {day(at)}{over}", "bold red")
        else:
            yield self._timed(indent, f"{named} in ALARM{over}", "bold red", at, self._axis.bar(at, at, "!"))
        for alert in alarm["alerts"]:
            route = name_of(alert["route"]).removeprefix(ROUTE_PREFIX)
            told = "told" if alert["delivered"] else "could not be told"
            bar = self._axis.bar(float(alert["at"]), float(alert["at"]), "!")
            yield self._timed(indent + 2, f"route {route} {told}", "bold red", alert["at"], bar)
            if alert.get("error_message") and not alert["delivered"]:
                yield self._words(indent + 4, f"└ {alert['error_message']}", "yellow")


def _moments(events: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    """When anything of these events happened that is drawn."""
    for event in events:
        yield float(event["accepted_at"])
        for delivery in event["deliveries"]:
            yield from _moments_of(delivery)
            for consumer in delivery["consumers"]:
                yield from _moments_of(consumer)
            if delivery["passed_on"]:
                yield from _moments([delivery["passed_on"]])


def _moments_of(told: Mapping[str, Any]) -> Iterator[float]:
    if told.get("at") is not None:
        yield float(told["at"])
    for attempt in told["attempts_seen"]:
        begun, ended = attempt.get("began_at"), attempt.get("ended_at")
        if begun is not None:
            yield from (float(begun), float(begun) + _took_s(attempt))
        elif ended is not None:
            yield float(ended)
        yield from _moments(attempt.get("published", ()))
    for alarm in told["alarms"]:
        # What it was in ALARM for already lies before all this, maybe by days.
        yield from (float(alert["at"]) for alert in alarm["alerts"] if alarm["at"] >= (told.get("at") or 0.0))
        if alarm["at"] is not None and alarm["at"] >= (told.get("at") or 0.0):
            yield float(alarm["at"])


def _took_s(attempt: Mapping[str, Any]) -> float:
    return float(attempt.get("duration_ms") or 0.0) / 1000


def _said(delivery: Mapping[str, Any]) -> bool:
    """Whether a line that is shown has the error already."""
    attempts = delivery["attempts_seen"]
    return bool(attempts) and any("rror" in text for text in attempts[-1].get("lines_first", ()))


def _length(seconds: float) -> str:
    """`12 ms`, `1.24 s`, `3.5 min`, `2.1 h`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def _cut(text: str, columns: int) -> str:
    """The beginning of a text in one line."""
    return _shorter(text.replace("\n", " ").expandtabs(2).rstrip(), columns)


def _shorter(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"
