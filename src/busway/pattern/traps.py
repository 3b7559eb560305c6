"""Traps in one pattern: what compiles, and does something else than it seems to. docs/patterns.md lists them.

What is an error is proven. Warnings and notes say what the pattern does, which may be what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from busway.errors import InvalidPattern
from busway.pattern.address import AddressIs, InNetwork, parse_cidr
from busway.pattern.bus_events import STRINGS, share_arrays, unmet
from busway.pattern.conditions import Condition, Conditions, in_words, quoted, shown
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.findings import Finding, Level
from busway.pattern.flatten import path_order
from busway.pattern.ignore_case import IgnoreCase
from busway.pattern.numbers import NumberBetween, NumberIs
from busway.pattern.outline import overridden
from busway.pattern.overlap import Reach, fields_cover
from busway.pattern.presence import ABSENT, Present
from busway.pattern.read_operator import OPERATORS
from busway.pattern.rule_pattern import Pattern
from busway.pattern.text import Prefix, Suffix
from busway.pattern.value_sets import covers, exact_key, refused_by
from busway.pattern.wildcard import Wildcard

# AWS documents numbers only up to here, though its matcher takes all doubles.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
DOCUMENTED_MAX = 5.0e9
# Ours: more alternatives than this are not compared with each other.
ALTERNATIVES_COMPARED_MAX = 50


def traps(name: str, pattern: Pattern) -> list[Finding]:
    """What is found in the pattern of the rule `name`, each once."""
    found = [*_as_written(name, pattern), *_never(name, pattern)]
    for path, conditions in _lists(pattern):
        for code, (level, judge) in _OF_LISTS.items():
            found += [Finding(level, code, (name,), f"{path}: {said}", path) for said in judge(path, conditions)]
    found += _of_neighbours(name, pattern)
    found += _needless_branches(name, pattern)
    return list({(each.code, each.message): each for each in found}.values())


def _lists(pattern: Pattern) -> list[tuple[str, Conditions]]:
    return list(dict.fromkeys(field for alternative in pattern.alternatives for field in alternative.fields))


def _as_written(name: str, pattern: Pattern) -> Iterator[Finding]:
    for lost in overridden(pattern.outline):
        if lost.never:
            yield Finding("error", "overridden", (name,), lost.in_words, lost.path)
        else:
            yield Finding("warning", "overridden-in-branch", (name,), lost.in_words, lost.path)
    if behind := pattern.behind:
        yield Finding(
            "warning", "text-behind", (name,), f"{quoted(behind[:40])} behind the closing brace is not read"
        )


def _never(name: str, pattern: Pattern) -> Iterator[Finding]:
    """A pattern that no event of a bus can match, or branches of which that is so."""
    reasons: dict[str, str] = {}
    possible = 0
    for alternative in pattern.alternatives:
        wrong = {path: why for path, conditions in alternative.fields if (why := unmet(path, conditions))}
        possible += not wrong
        reasons |= wrong
    for path, reason in reasons.items():
        if not possible:
            yield Finding("error", "never", (name,), f"no event can match: {reason}", path)
        else:
            yield Finding("warning", "branch-never", (name,), f"a branch of $or can never match: {reason}", path)


def _beyond_a_double(path: str, conditions: Conditions) -> Iterator[str]:
    for condition in conditions:
        if isinstance(condition, NumberIs) and isinstance(condition.key, str):
            yield f"{condition.text} has more digits than a double keeps, so it equals only a number written just so"


def _undocumented(path: str, conditions: Conditions) -> Iterator[str]:
    for condition in conditions:
        bounds = (condition.low, condition.high) if isinstance(condition, NumberBetween) else ()
        if any(DOCUMENTED_MAX < abs(bound) < float("inf") for bound in bounds):
            yield f"{condition.wanted} is beyond 5.0e9, up to which AWS documents numeric matching"


def _address(path: str, conditions: Conditions) -> Iterator[str]:
    for condition in conditions:
        if isinstance(condition, AddressIs):
            spelled = f'[{{"exactly": {quoted(condition.text)}}}]'
            yield f"{quoted(condition.text)} is compared as an address, in any spelling; as text it is {spelled}"


def _accepts_null(path: str, conditions: Conditions) -> Iterator[str]:
    if path in STRINGS or path == "resources" or any(isinstance(condition, Present) for condition in conditions):
        return
    for condition in conditions:
        if refused_by(condition) is not None:
            kind = "number" if _refuses_text(condition) else "string"
            yield f"{condition.wanted} accepts null and every {kind} too, but not a missing field"


def _refuses_text(condition: Condition) -> bool:
    return not any(isinstance(each, NumberIs) for each in refused_by(condition) or ())


def _accepts_all(path: str, conditions: Conditions) -> Iterator[str]:
    several = [condition for condition in conditions if refused_by(condition) is not None]
    if len(conditions) == 1 or not covers(conditions, [Present()]):
        return
    if ABSENT in conditions:
        yield f"{in_words(conditions)} together accept every value and that there is none, so nothing is asked"
    elif several and Present() not in conditions:
        yield f"{in_words(conditions)} together accept every value; one anything-but with a list refuses several"


def _needless(path: str, conditions: Conditions) -> Iterator[str]:
    places: dict[Hashable | None, list[int]] = {}
    for place, condition in enumerate(conditions):
        places.setdefault(exact_key(condition), []).append(place)
    for place, condition in enumerate(conditions):
        if condition == ABSENT:
            continue
        key = exact_key(condition)
        # A value is accepted by nothing that accepts one other value alone.
        beside = range(len(conditions)) if key is None else sorted([*places[key], *places.get(None, ())])
        for at in beside:
            other = conditions[at]
            # Of two that accept the same, the second is one too many.
            if at != place and covers([other], [condition]) and (at < place or not covers([condition], [other])):
                yield f"{condition.wanted} adds nothing to {other.wanted}"
                break


def _asterisk(path: str, conditions: Conditions) -> Iterator[str]:
    for condition in _with_refused(conditions):
        if isinstance(condition, StringIs | Prefix | Suffix | IgnoreCase) and "*" in condition.text:
            yield f'the * in {condition.wanted} is an asterisk; any text is meant by {{"wildcard": "…*"}} only'
        elif isinstance(condition, Wildcard) and len(condition.literals) == 1:
            yield f"{condition.wanted} has no *, so it accepts that very text"


def _with_refused(conditions: Conditions) -> Iterator[Condition]:
    """The conditions, and those that stand under an `anything-but`."""
    for condition in conditions:
        yield condition
        yield from refused_by(condition) or ()


def _space(path: str, conditions: Conditions) -> Iterator[str]:
    for condition in _with_refused(conditions):
        if not isinstance(condition, StringIs | Prefix | Suffix | IgnoreCase):
            continue
        text, where = condition.text, condition.where if isinstance(condition, IgnoreCase) else "whole"
        # An end that may stand in the middle of a value may well be a space.
        begins = text[:1].isspace() and not isinstance(condition, Suffix) and where != "suffix"
        ends = text[-1:].isspace() and not isinstance(condition, Prefix) and where != "prefix"
        if begins or ends:
            yield f"{condition.wanted} has a space at {'its beginning' if begins else 'its end'}, which counts"


def _network(path: str, conditions: Conditions) -> Iterator[str]:
    for condition in _with_refused(conditions):
        # Of every address nobody asks: 0.0.0.0/0 is what firewalls' events have as a value.
        if isinstance(condition, StringIs) and (network := _network_of(condition.text)) and network.mask_bits:
            meant = f'{{"cidr": {quoted(condition.text)}}}'
            yield f"{condition.wanted} is that very text and no address; addresses in it are meant by {meant} only"


def _network_of(text: str) -> InNetwork | None:
    try:
        return parse_cidr(text)
    except InvalidPattern:
        return None


def _own_text(path: str, conditions: Conditions) -> Iterator[str]:
    for condition in conditions:
        if isinstance(condition, IgnoreCase) and not condition.accepts(condition.text):
            yield f"{condition.wanted} does not accept {quoted(condition.text)} itself: AWS folds it letter by letter"


def _number_or_text(path: str, conditions: Conditions) -> Iterator[str]:
    texts = {condition.text for condition in conditions if isinstance(condition, StringIs)}
    literals = [condition for condition in conditions if isinstance(condition, LiteralIs)]
    for text in sorted(texts & {"true", "false", "null"} - {shown(each.literal) for each in literals}):
        yield f"{quoted(text)} is a string; the value is {text} without quotes"


_OF_LISTS: dict[str, tuple[Level, Callable[[str, Conditions], Iterator[str]]]] = {
    "accepts-all": ("warning", _accepts_all),
    "asterisk": ("warning", _asterisk),
    "beyond-a-double": ("warning", _beyond_a_double),
    "network": ("warning", _network),
    "needless-value": ("warning", _needless),
    "not-its-own-text": ("warning", _own_text),
    "space": ("warning", _space),
    "quoted-literal": ("note", _number_or_text),
    "accepts-null": ("note", _accepts_null),
    "address": ("note", _address),
    "beyond-documented": ("note", _undocumented),
}


def _of_neighbours(name: str, pattern: Pattern) -> Iterator[Finding]:
    """Lists whose meaning hangs on other fields of the same alternative."""
    for alternative in pattern.alternatives:
        paths = [path for path, _ in alternative.fields]
        yield from _brackets(name, paths)
        inner = _inner(paths)
        for path, conditions in alternative.fields:
            below = inner.get(path)
            if ABSENT in conditions and (below is not None or path == "detail"):
                inside = f", such as one with {below}" if below is not None else ", which every event has"
                said = f"{path}: exists: false does not keep out an object there{inside}: only values exist"
                yield Finding("warning", "object-is-absent", (name,), said, path)
            elif below is not None:
                said = f"{path} wants a value and {below} an object there: only a list that holds both has the two"
                yield Finding("warning", "value-and-object", (name,), said, path)
            if ABSENT in conditions and (later := _later_in_arrays(path, paths)):
                said = (
                    f"{path}: in a list of objects, exists: false is asked before {later[0]} has chosen an element "
                    "(fields go in the order of their names), so no element may have it"
                )
                yield Finding("note", "absent-in-lists", (name,), said, path)


def _brackets(name: str, paths: Sequence[str]) -> Iterator[Finding]:
    """Operators that stand where a list should, so that they are read as names of fields.

    An operator is the only member of its object. Right below `detail`, which can be no value, none is meant.
    """
    for path in paths:
        names = path.split(".")
        for place in range(2 if names[0] == "detail" else 1, len(names)):
            above, operator = ".".join(names[:place]), names[place]
            if operator in OPERATORS and sum(other.startswith(f"{above}.") for other in paths) == 1:
                meant = f'"{names[place - 1]}": [{{"{operator}": …}}]'
                said = f"{path} is read as a field; the operator {operator} stands in a list: {meant}"
                yield Finding("warning", "brackets", (name,), said, path)
                break


def _inner(paths: Sequence[str]) -> dict[str, str]:
    """For each field that has fields below it the first of them."""
    found: dict[str, str] = {}
    for path in paths:
        above = path
        while above := above.rpartition(".")[0]:
            found.setdefault(above, path)
    return found


def _later_in_arrays(path: str, paths: Sequence[str]) -> list[str]:
    """Fields beside it, or below, in objects that a list may hold."""
    parent = path.rpartition(".")[0]
    beside = [other for other in paths if parent.count(".") and other.startswith(f"{parent}.") and other != path]
    return [other for other in beside if share_arrays(path, other) and path_order(other) > path_order(path)]


def _needless_branches(name: str, pattern: Pattern) -> Iterator[Finding]:
    """Branches whose every event another branch has too."""
    alternatives = Reach(pattern).alternatives
    if not 1 < len(alternatives) <= ALTERNATIVES_COMPARED_MAX:
        return
    for place, part in enumerate(alternatives):
        for at, whole in enumerate(alternatives):
            if at != place and fields_cover(whole, part) and (at < place or not fields_cover(part, whole)):
                told = (
                    " and ".join(f"{path} {in_words(conditions)}" for path, conditions in part.items()) or "anything"
                )
                said = f"the branch of $or with {told} adds nothing: another one has every event that it has"
                yield Finding("warning", "needless-branch", (name,), said)
                break
