"""What can be known of one event, or one invocation, on AWS: from the bus's log, functions' logs and dead letters.

AWS keeps no record of what became of an event unless the bus has a log. Else there are the lines that name it, the
attempts that printed them, and a dead letter if there is one, which names the invocation that failed even where no
line names the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from busway.errors import AwsRefused
from busway.function.attempt_lines import BEGIN, REPORT
from busway.road.aws.access import Aws
from busway.road.aws.attempt_log import (
    GROUPS,
    TIMEOUT_S_MAX,
    AwsAttempt,
    LogLine,
    attempts_of,
    begun_before,
    lines_of,
    request_in,
)
from busway.road.aws.bus_log import GROUP_PREFIX, Passage, passages_of
from busway.road.aws.judged_rules import judged_rules
from busway.road.aws.letter import AwsLetter, Wanted
from busway.road.aws.letter_queues import letter_queues, look_all
from busway.road.aws.log_groups import search
from busway.road.aws.names import Names

# Ours: how many lines of a group that name the event are looked at, how many invocations are told, how many attempts
# of each, how many lines of an attempt are read, and how many letters of a queue are looked through.
MATCHES_MAX, INVOCATIONS_MAX, ATTEMPTS_MAX, LINES_MAX, LETTERS_MAX = 1_000, 50, 50, 10_000, 1_000
# Ours: of the lines of one search, whatever their number.
CHARS_MAX = 16 * 1024 * 1024
# Lambda tries for so long at most, and then there is a letter.
# https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
AGE_S_MAX = 21_600
_TIMEOUT_MS = TIMEOUT_S_MAX * 1000
# A line on how an attempt ended may come after its report.
_AFTER_REPORT_MS = 1_000


class Invocation(msgspec.Struct):
    """One invocation of a function and its attempts; Lambda keeps its id when it tries again."""

    function: str
    request_id: str
    attempts: list[AwsAttempt]


class History(msgspec.Struct):
    """`invocations` that named the event, in the order of time, `letters` of it; `cut`: there may be more.

    `lines` name the event, and nothing says which invocation printed them. `groups` were searched, from `since` (Unix
    seconds) on. `passages` are what the logs of buses say of it, `rules` the verdicts of those that there are now,
    where the event is known whole. `untold` is why something could not be found out.
    """

    groups: list[str]
    since: float
    invocations: list[Invocation]
    lines: list[LogLine]
    letters: list[AwsLetter]
    cut: bool
    passages: list[Passage] = []
    rules: list[dict[str, Any]] = []
    untold: list[str] = []

    @property
    def empty(self) -> bool:
        return not (self.invocations or self.lines or self.letters or self.passages)

    @property
    def event(self) -> str:
        """The event as JSON; "" where neither a bus's log nor a letter has all of it."""
        known = [one.event for one in self.passages if one.event]
        return next(iter([*known, *(letter.payload for letter in self.letters if letter.event_id)]), "")


def history_of_event(
    aws: Aws, names: Names, groups: Sequence[str], buses: Sequence[str], event_id: str, since: float, now: float
) -> History:
    """`buses`: whose logs are read, where they have one. Raises AwsUnusable, AwsRefused."""
    found: dict[tuple[str, str], float] = {}
    loose: list[LogLine] = []
    cut = False
    for group in groups:
        named, cut_here = bounded(search(aws, group, _ms(since), pattern=_phrase(event_id)), MATCHES_MAX)
        cut = cut or cut_here
        requests = printed_by(aws, group, named)
        found |= {(group, request_id): since for request_id in requests.values() if request_id}
        loose += [line for line in named if not requests[line.id]]
    letters, more = look_all(aws, letter_queues(aws, names), Wanted(frozenset((event_id,))), LETTERS_MAX)
    known = {request_id for _, request_id in found}
    for letter in letters:
        if letter.request_id and letter.request_id not in known:
            began = min(since, letter.failed_at - AGE_S_MAX)
            found |= {(group, letter.request_id): began for group in groups}
    invocations, cut_too = _invocations(aws, found, now)
    history = History(list(groups), since, invocations, loose, letters, cut or more or cut_too)
    history.passages = _passages(aws, buses, event_id, since)
    if history.event:
        bus = history.passages[0].bus if history.passages else buses[0]
        try:
            history.rules = judged_rules(aws, bus, history.event)
        except AwsRefused as refusal:
            # All else is known without it.
            history.untold = [*history.untold, f"which rules match: {refusal}"]
    return history


def _passages(aws: Aws, buses: Sequence[str], event_id: str, since: float) -> list[Passage]:
    found: list[LogLine] = []
    for bus in dict.fromkeys(buses):
        found += bounded(search(aws, GROUP_PREFIX + bus, _ms(since), pattern=_phrase(event_id)), MATCHES_MAX)[0]
    return passages_of(event_id, [(line.at, line.text) for line in found])


def history_of_request(
    aws: Aws, names: Names, groups: Sequence[str], request_id: str, since: float, now: float
) -> History:
    """Raises AwsUnusable, AwsRefused."""
    letters, more = look_all(aws, letter_queues(aws, names), Wanted(), LETTERS_MAX)
    of_it = [letter for letter in letters if letter.request_id == request_id]
    began = min([since, *(letter.failed_at - AGE_S_MAX for letter in of_it)])
    invocations, cut = _invocations(aws, {(group, request_id): began for group in groups}, now)
    return History(list(groups), since, invocations, [], of_it, cut or (more and not of_it))


def _invocations(aws: Aws, found: Mapping[tuple[str, str], float], now: float) -> tuple[list[Invocation], bool]:
    """Those of groups and request ids, looked for from a moment on; and whether that is not all."""
    told: list[Invocation] = []
    for (group, request_id), since in found.items():
        if len(told) == INVOCATIONS_MAX:
            return told, True
        attempts = attempts_of(_of_request(aws, group, request_id, since), now)
        if attempts:
            told.append(Invocation(group.removeprefix(GROUPS), request_id, attempts))
    return sorted(told, key=lambda one: one.attempts[0].began_at), False


def printed_by(aws: Aws, group: str, lines: Sequence[LogLine]) -> dict[str, str]:
    """By each line's id the invocation that printed it, as far as the beginnings in its stream tell."""
    beginnings: list[LogLine] = []
    unnamed = [line for line in lines if not request_in(line.text)]
    for stream in dict.fromkeys(line.stream for line in unnamed):
        times = [line.at for line in unnamed if line.stream == stream]
        first_ms, last_ms = _ms(min(times)) - _TIMEOUT_MS, _ms(max(times))
        beginnings += _beginnings(search(aws, group, first_ms, last_ms, pattern=_phrase(BEGIN), stream=stream))
    return begun_before(lines, beginnings)


def _of_request(aws: Aws, group: str, request_id: str, since: float) -> list[LogLine]:
    """All lines of one invocation: those that name it tell when its attempts ran, and in which streams."""
    named, _ = bounded(search(aws, group, _ms(since) - _TIMEOUT_MS, pattern=_phrase(request_id)), LINES_MAX)
    lines: dict[str, LogLine] = {}
    for begun in _beginnings(named)[-ATTEMPTS_MAX:]:
        ends = [
            line.at
            for line in named
            if line.stream == begun.stream and line.at >= begun.at and line.text.startswith(REPORT)
        ]
        end_ms = _ms(min(ends)) + _AFTER_REPORT_MS if ends else _ms(begun.at) + _TIMEOUT_MS
        read, _ = bounded(search(aws, group, _ms(begun.at), end_ms, stream=begun.stream), LINES_MAX)
        lines |= {line.id: line for line in lines_of(request_id, read)}
    # Those of which no beginning was found; the others keep the order of their stream.
    return list((lines | {line.id: line for line in named if line.id not in lines}).values())


def bounded(lines: Iterable[LogLine], lines_max: int) -> tuple[list[LogLine], bool]:
    """The first of them, and whether there may be more: no more than `lines_max`, and no more than fit in memory."""
    found: list[LogLine] = []
    chars = 0
    for line in lines:
        found.append(line)
        chars += len(line.text)
        if len(found) >= lines_max or chars >= CHARS_MAX:
            return found, True
    return found, False


def _beginnings(lines: Iterable[LogLine]) -> list[LogLine]:
    return [line for line in lines if line.text.startswith(BEGIN)]


def _phrase(text: str) -> str:
    """A filter pattern that finds the text itself."""
    return f'"{text.strip()}"'


def _ms(at: float) -> int:
    return round(at * 1000)
