"""The edits that make a pattern match an event, found by trying: one of the pattern and one of the event.

Step by step: of the changes that are plausible for the fields that were missed, the least far-fetched one that leaves
fewer of them missed is taken, until none is. Each is tried before it is believed, and what comes out is read and
matched again as a whole, so that an edit that would not work is never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from busway.errors import InvalidEvent, InvalidPattern, MalformedJson
from busway.pattern.conditions import Field
from busway.pattern.edits.document import nested_deeper, text_of, values_of
from busway.pattern.edits.edit import Candidate, Change, Edit
from busway.pattern.edits.event_side import openings, value_changes
from busway.pattern.edits.mistakes import COSTS
from busway.pattern.edits.moves import elsewhere, field_moves, or_moves, value_moves
from busway.pattern.edits.pattern_side import list_changes
from busway.pattern.event_tree import Scalar, Tree, read_event, read_text
from busway.pattern.explain import explain_tree, fewest_missed
from busway.pattern.flatten import flatten
from busway.pattern.parse import parse
from busway.pattern.rule_pattern import Pattern

# Ours: how much more far-fetched the other side's edit may be and still be worth a look.
FURTHER_FETCHED = 1.2
# Ours: an edit with more changes is no mended slip but another pattern.
CHANGES_MAX, MISSED_MAX = 6, 20
# Ours: how many changes are tried; fewer if a pattern asks much of an event that has much.
TRIALS_MAX, TRIALS_MIN, WORK_MAX = 400, 4, 1_000_000
# Ours: of branches of a `$or` that missed by equally few fields, how many are looked into.
ALTERNATIVES_MAX = 20
# Ours: above so many questions, of conditions to values, nothing is tried at all.
ASKED_MAX = 25_000
# Ours: events nested deeper are left alone.
DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pattern beside an event, and the pattern's own document."""

    pattern: Pattern
    document: Tree
    event: dict[str, Tree]

    def missed(self) -> int:
        return fewest_missed(self.pattern, self.event)

    def trials(self) -> int:
        """How many changes may be tried, by what one trial costs; 0 if that is too much."""
        leaves = flatten(self.event, self.pattern.tree)
        fields = (field for one in self.pattern.alternatives for field in one.fields)
        asked = sum(1 + len(leaves.get(path, ())) * len(conditions) for path, conditions in fields)
        if asked > ASKED_MAX:
            return 0
        return max(TRIALS_MIN, min(TRIALS_MAX, WORK_MAX // (16 * asked + len(self.pattern.text))))


def edits(pattern: Pattern, event: bytes) -> tuple[Edit, ...]:
    """How the pattern and how the event could be edited so that they match; the likelier one first.

    () when they match already, or when it would take too much. Raises `InvalidEvent`.
    """
    pair = _Pair(pattern, {}, read_event(event))
    trials = pair.trials()
    if not trials or not 0 < pair.missed() <= MISSED_MAX or nested_deeper(pair.event, DEPTH_MAX):
        return ()
    try:
        pair = replace(pair, document=read_text(pattern.text))
    except (InvalidEvent, MalformedJson):  # it was parsed, so this is for a `Pattern` made otherwise
        return ()
    found: list[tuple[float, Edit]] = []
    for search in (_of_pattern, _of_event):
        edit = search(pair, trials)
        if edit is not None and _works(pattern, event, edit[1]):
            found.append(edit)
    found.sort(key=lambda one: (one[1].guesswork, one[0]))
    # Beside a mended slip, a change that is far-fetched or only makes the values fit tells nobody anything.
    return tuple(
        edit
        for cost, edit in found
        if edit.guesswork == found[0][1].guesswork and cost < found[0][0] + FURTHER_FETCHED
    )


def _works(pattern: Pattern, event: bytes, edit: Edit) -> bool:
    try:
        if edit.where == "pattern":
            return parse(edit.document).matches(event)
        return pattern.matches(edit.document.encode())
    except (InvalidPattern, InvalidEvent, UnicodeEncodeError):
        return False


def _of_pattern(pair: _Pair, trials: int) -> tuple[float, Edit] | None:
    def with_document(pair: _Pair, document: Tree) -> _Pair | None:
        try:
            return replace(pair, pattern=parse(text_of(document)), document=document)
        except InvalidPattern:
            return None

    return _search(pair, trials, _pattern_candidates, with_document)


def _of_event(pair: _Pair, trials: int) -> tuple[float, Edit] | None:
    def with_document(pair: _Pair, document: Tree) -> _Pair | None:
        return replace(pair, event=document) if isinstance(document, dict) else None

    return _search(pair, trials, _event_candidates, with_document)


def _search(
    pair: _Pair,
    trials: int,
    candidates: Callable[[_Pair], Iterable[Candidate]],
    with_document: Callable[[_Pair, Tree], _Pair | None],
) -> tuple[float, Edit] | None:
    """How far-fetched it is, and the edit; None if none was found."""
    cost, changes = 0.0, list[Change]()
    missed = pair.missed()
    while missed:
        tried = sorted(candidates(pair), key=lambda one: one.cost)[:trials]
        trials -= len(tried)
        step = _step(pair, missed, tried, with_document)
        if step is None or len(changes) == CHANGES_MAX:
            return None
        chosen, pair, missed = step
        cost += chosen.cost
        changes.append(chosen.change)
    where = "pattern" if candidates is _pattern_candidates else "event"
    document = pair.document if where == "pattern" else pair.event
    return cost, Edit(where, tuple(changes), text_of(document))


def _step(
    pair: _Pair,
    missed: int,
    candidates: Iterable[Candidate],
    with_document: Callable[[_Pair, Tree], _Pair | None],
) -> tuple[Candidate, _Pair, int] | None:
    """The first that leaves the fewest missed, and fewer than now.

    One that is halfway is better than one that only makes the values fit.
    """
    best: tuple[Candidate, _Pair, int] | None = None
    halfway: tuple[Candidate, _Pair, int] | None = None
    for candidate in candidates:
        changed = with_document(pair, candidate.document)
        if changed is None:
            continue
        left = changed.missed()
        if candidate.halfway and left == missed and halfway is None:
            halfway = (candidate, changed, left)
        if left < (missed if best is None else best[2]):
            best = (candidate, changed, left)
            if not left:
                break
    return halfway if halfway is not None and (best is None or not best[0].change.mistake) else best


def _unmet(pair: _Pair) -> list[tuple[Field, bool]]:
    """The missed fields of the best alternatives, and whether each has a value that fits, but in another element.

    Of alternatives that missed by equally few, the slip may be in any.
    """
    explanation = explain_tree(pair.pattern, pair.event)
    verdicts = zip(pair.pattern.alternatives, explanation.alternatives, strict=True)
    best = [one for one in verdicts if one[1].missed == explanation.missed][:ALTERNATIVES_MAX]
    unmet = {
        field: verdict.clash is not None
        for alternative, verdicts in best
        for field, verdict in zip(alternative.fields, verdicts.fields, strict=True)
        if not verdict.matched
    }
    return list(unmet.items())


def _pattern_candidates(pair: _Pair) -> Iterator[Candidate]:
    unmet, values = _unmet(pair), values_of(pair.event)
    leaves = flatten(pair.event, pair.pattern.tree)
    found: dict[str, list[Scalar]] = {path: [leaf.value for leaf in at_path] for path, at_path in leaves.items()}
    clashing = {path for (path, _), clash in unmet if clash}
    paths = {path for (path, _), _ in unmet}
    yield from list_changes(pair.document, paths - clashing, found)
    yield from _as_elements(list_changes(pair.document, clashing, found))
    others = {path: list(elsewhere(path, conditions, values)) for (path, conditions), clash in unmet if not clash}
    yield from field_moves(pair.document, others)
    yield from or_moves(pair.document)


def _event_candidates(pair: _Pair) -> Iterator[Candidate]:
    values, unmet = values_of(pair.event), _unmet(pair)
    yield from openings(pair.event, [path for (path, _), _ in unmet])
    for (path, conditions), clash in unmet:
        found = value_changes(pair.event, path, conditions, values)
        if clash:
            yield from _as_elements(found)
        else:
            yield from found
            yield from value_moves(pair.event, {path: list(elsewhere(path, conditions, values))})


def _as_elements(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """What only makes a value fit is, where two elements of a list clash, what mends that."""
    for candidate in candidates:
        if candidate.change.mistake:
            yield candidate
        else:
            change = replace(candidate.change, mistake="elements")
            yield Candidate(candidate.cost - COSTS[""] + COSTS["elements"], change, candidate.document)
