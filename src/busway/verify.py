"""Proves from what is stored that nothing was lost: for every subscriber of every bus,

    accepted x matching = delivered + dead-lettered + dropped by policy + pending, exactly.

The left side is the journal, matched again, rule by rule, with the rules in force where each event lies. The right
side is what the queues still hold of a subscriber's work and what became of the rest. Sets of (event, subscriber) are
compared, not numbers. Entries behind the router's position are not routed yet: they count as pending.

Behind the bus, streams' mappings are proved in the same way: see `function/mapping/proof`.

May run while the server works: the position is read before everything else, and what is pending before what has
ended, so that work that moves meanwhile is seen at least once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from busway.arn import parse_arn
from busway.bus.buses import Bus
from busway.bus.envelope import event_id, is_event, unframe
from busway.bus.matching import ReferenceRules, expected
from busway.bus.record import decode_bus, decode_rule, rule_of
from busway.bus.router import READER
from busway.bus.rules import rules_at
from busway.clock import Clock
from busway.delivery import Subscriber
from busway.engine import Engine
from busway.function.mapping import proof
from busway.function.mapping.proof import MappingAccount
from busway.queue.moves import source_of
from busway.queue.record import UNDELIVERABLE_PREFIX

PAGE = 500
OUTCOMES_PAGE = 10_000
# Ours: how many of each kind of fault are named.
OFFENDERS_MAX = 20


class Offender(msgspec.Struct, frozen=True):
    """A delivery that should be there and is not, or the other way round. `event_id` is "" for no such event."""

    event_id: str
    offset: int
    bus_arn: str
    subscriber: str


class Account(msgspec.Struct, frozen=True):
    """One subscriber: `expected` = the sum of `outcomes` + `pending` + `unrouted` - extra + missing."""

    subscriber: str
    bus_arn: str
    expected: int
    outcomes: dict[str, int]
    pending: int
    unrouted: int
    missing: int
    extra: int


class Report(msgspec.Struct, frozen=True):
    """`ok` means that the sets are equal, of mappings too. `missing` counts deliveries, not records.

    `outcomes` are words: delivered, dead-lettered, dropped, purged, …
    """

    ok: bool
    buses: int
    events: int
    expected: int
    outcomes: dict[str, int]
    pending: int
    unrouted: int
    missing: int
    extra: int
    missing_first: tuple[Offender, ...] = ()
    extra_first: tuple[Offender, ...] = ()
    accounts: tuple[Account, ...] = ()
    mappings: tuple[MappingAccount, ...] = ()


@dataclass(slots=True)
class _Share:
    """What the journal asks for one subscriber: offsets up to the router's position, and those behind it."""

    routed: set[int] = field(default_factory=set[int])
    unrouted: set[int] = field(default_factory=set[int])


@dataclass(slots=True)
class _Tally:
    events: int = 0
    accounts: list[Account] = field(default_factory=list[Account])
    missing: list[Offender] = field(default_factory=list[Offender])
    extra: list[Offender] = field(default_factory=list[Offender])


async def verify(engine: Engine, clock: Clock) -> Report:
    """Compare journal and queues of every bus, and streams with what their mappings did.

    Reads everything that is retained; gives way to others meanwhile."""
    buses = await stored_buses(engine)
    tally = _Tally()
    for bus in buses:
        await _verify_bus(engine, clock, bus, tally)
    outcomes: Counter[str] = Counter()
    for account in tally.accounts:
        outcomes.update(account.outcomes)
    mappings = await proof.prove(engine, clock)
    unsound = any(account.missing or account.extra for account in tally.accounts)
    return Report(
        ok=not unsound and not any(account.missing for account in mappings),
        buses=len(buses),
        events=tally.events,
        expected=sum(account.expected for account in tally.accounts),
        outcomes=dict(outcomes),
        pending=sum(account.pending for account in tally.accounts),
        unrouted=sum(account.unrouted for account in tally.accounts),
        missing=sum(account.missing for account in tally.accounts),
        extra=sum(account.extra for account in tally.accounts),
        missing_first=tuple(tally.missing[:OFFENDERS_MAX]),
        extra_first=tuple(tally.extra[:OFFENDERS_MAX]),
        accounts=tuple(tally.accounts),
        mappings=tuple(mappings),
    )


async def stored_buses(engine: Engine) -> list[Bus]:
    """The buses and rules as the records have them, not as a running server remembers them."""
    buses = [Bus(decode_bus(value.data)) for value in await engine.records.list("bus/")]
    by_arn = {bus.arn: bus for bus in buses}
    for value in await engine.records.list("rule/"):
        rule = decode_rule(value.data)
        by_arn[rule.bus_arn].rules[rule.arn] = rule
    return buses


async def _verify_bus(engine: Engine, clock: Clock, bus: Bus, tally: _Tally) -> None:
    position = await engine.journal.position(bus.arn, READER)
    shares: dict[str, _Share] = {each.name: _Share() for each in _known_subscribers(bus)}
    newest = await _match_again(engine, clock, bus, position, shares, tally)
    letters = await _letters(engine, bus)
    found = {name: await _found(engine, name) for name in shares}
    # What was trimmed while we read is proved by nobody any more; what was added is for the next time.
    left = await engine.journal.read(bus.arn, 0, 1)
    oldest = left[0].offset if left else newest + 1
    for name in sorted(shares):
        pending, outcomes = found[name]
        share = shares[name]
        routed = {offset for offset in share.routed if offset >= oldest}
        ended = {offset: word for offset, word in outcomes.items() if oldest <= offset <= newest}
        held = {offset for offset in pending if oldest <= offset <= newest} - ended.keys()
        there = held | ended.keys()
        # What no target could take has ended as well: its letter is all that is left of it.
        letters_here = {offset for offset in held if (name, offset) in letters}
        missing = sorted(routed - there)
        extra = sorted(there - routed - share.unrouted)
        unrouted = share.unrouted - there
        if routed or there or unrouted:
            account = Account(
                subscriber=name,
                bus_arn=bus.arn,
                expected=len(routed | share.unrouted),
                outcomes=dict(Counter([*ended.values(), *("dead-lettered" for _ in letters_here)])),
                pending=len(held - letters_here),
                unrouted=len(unrouted),
                missing=len(missing),
                extra=len(extra),
            )
            tally.accounts.append(account)
        tally.missing += [await _offender(engine, bus, name, offset) for offset in missing[:OFFENDERS_MAX]]
        tally.extra += [await _offender(engine, bus, name, offset) for offset in extra[:OFFENDERS_MAX]]


def _known_subscribers(bus: Bus) -> Iterator[Subscriber]:
    """Every subscriber that any version of a rule has, so that work for one that asked for none shows too."""
    for rule in bus.rules.values():
        for version in rule.versions:
            if version.definition is not None:
                yield from rule_of(version.definition, version.offset).subscribers


async def _match_again(
    engine: Engine, clock: Clock, bus: Bus, position: int, shares: dict[str, _Share], tally: _Tally
) -> int:
    """Fill `shares` from the whole retained journal; return the offset of the newest entry that was read."""
    newest, rules = 0, None
    while entries := await engine.journal.read(bus.arn, newest, PAGE):
        if rules is None:
            rules = ReferenceRules(rules_at(bus, entries[0].offset - 1))
        tally.events += sum(is_event(entry.data) for entry in entries)
        for offset, subscriber in expected(entries, rules):
            share = shares.setdefault(subscriber.name, _Share())
            (share.routed if offset <= position else share.unrouted).add(offset)
        newest = entries[-1].offset
        await clock.sleep(0)
    return newest


async def _found(engine: Engine, subscriber: str) -> tuple[set[int], dict[int, str]]:
    """Offsets of work that is pending, and the outcome by offset of work that ended; in this order."""
    pending = set(await engine.queues.pending(subscriber))
    outcomes: dict[int, str] = {}
    after = 0
    while page := await engine.queues.outcomes(subscriber, after, OUTCOMES_PAGE):
        outcomes.update((ended.offset, ended.outcome) for ended in page)
        after = page[-1].offset
    return pending, outcomes


async def _letters(engine: Engine, bus: Bus) -> set[tuple[str, int]]:
    """(subscriber, offset) of what was routed straight into dead-letter queues, and lies there."""
    arn = parse_arn(bus.arn)
    named = {each.dead_letter_arn for each in _known_subscribers(bus)}
    undeliverable = await engine.queues.names(arn.scope.arn("sqs", UNDELIVERABLE_PREFIX)) if arn else []
    found: set[tuple[str, int]] = set()
    for queue in {*undeliverable, *filter(None, named)}:
        after = 0
        while page := await engine.queues.browse(queue, PAGE, after):
            found.update(
                (item.origin.subscriber, item.origin.offset) for item in page if item.origin and source_of(item)
            )
            after = page[-1].id
    return found


async def _offender(engine: Engine, bus: Bus, subscriber: str, offset: int) -> Offender:
    entries = await engine.journal.read(bus.arn, offset - 1, 1)
    there = bool(entries) and entries[0].offset == offset and is_event(entries[0].data)
    return Offender(event_id(unframe(entries[0].data)[0]) if there else "", offset, bus.arn, subscriber)
