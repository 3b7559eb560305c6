"""A pattern that does not parse, as it was probably meant.

First its text is made JSON, then its shape: values get their brackets, operators their names and arguments, a `$or`
its list. What comes out is parsed, so that nothing is shown that would be refused again.
"""

from __future__ import annotations

from dataclasses import replace

from busway.errors import InvalidEvent, InvalidPattern, MalformedJson
from busway.pattern.edits.document import Steps, nested_deeper, path_of, text_of
from busway.pattern.edits.edit import Change, Edit, Mistake
from busway.pattern.edits.mending_operators import mended_list, operator_of
from busway.pattern.edits.mending_syntax import mended_json
from busway.pattern.edits.repair import edits
from busway.pattern.event_tree import Tree, read_text
from busway.pattern.parse import DEPTH_MAX, RESERVED, parse

# Ours: a longer text is no pattern that somebody typed.
CHARS_MAX = 20_000


def mend(text: str) -> Edit | None:
    """The pattern that can be read, and what was changed for it; None if `text` is right or beyond guessing."""
    if len(text) > CHARS_MAX:
        return None
    try:
        parse(text)
    except InvalidPattern:
        return _mended(text)
    return None


def mend_for(text: str, event: bytes) -> Edit | None:
    """The pattern that can be read and matches the event; None if there is no such one. Raises `InvalidEvent`."""
    mended = mend(text)
    if mended is None:
        return None
    pattern = parse(mended.document)
    if pattern.matches(event):
        return mended
    further = next((edit for edit in edits(pattern, event) if edit.where == "pattern"), None)
    return None if further is None else replace(further, changes=(*mended.changes, *further.changes))


def mend_event(text: str) -> str | None:
    """An event that is nearly JSON, as JSON; None if it is right or beyond guessing."""
    try:
        read_text(text)
    except InvalidEvent:
        return None
    except MalformedJson:
        try:
            return text_of(read_text(mended_json(text))) if len(text) <= CHARS_MAX else None
        except (MalformedJson, InvalidEvent, RecursionError):
            return None
    return None


def _mended(text: str) -> Edit | None:
    changes: list[Change] = []
    try:
        document = read_text(text)
    except (MalformedJson, InvalidEvent):
        try:
            document = read_text(mended_json(text))
        except (MalformedJson, InvalidEvent):
            return None
        changes.append(Change("", text, text_of(document), "syntax"))
    if nested_deeper(document, DEPTH_MAX):
        return None
    shape = _Shape()
    document = shape.object(document, ())
    if not document:
        return None
    mended = text_of(document)
    try:
        parse(mended)
    except InvalidPattern:
        return None
    return Edit("pattern", (*changes, *shape.changes), mended) if changes or shape.changes else None


class _Shape:
    """Mends objects member by member, and keeps what it changed."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def object(self, tree: dict[str, Tree], steps: Steps) -> dict[str, Tree]:
        mended: dict[str, Tree] = {}
        for name, item in tree.items():
            here = (*steps, name)
            if _is_or(name, item):
                self._or(mended, item, here)
            elif isinstance(item, dict):
                self._member(mended, name, item, here)
            elif name == "$and" or _are_objects(item):
                self._together(mended, name, item, here)
            elif isinstance(item, list):
                entries = mended_list(item)
                mended[name] = self._differing(here, item, entries)
            else:
                mended[name] = self._changed(here, item, [item], "brackets")
        return mended

    def _member(self, mended: dict[str, Tree], name: str, item: dict[str, Tree], here: Steps) -> None:
        if not item:
            self.changes.append(Change(path_of(here), "{}", None, "syntax"))
        elif _is_operator(item):
            mended[name] = self._changed(here, item, mended_list([item]), "brackets")
        elif list(item) == ["$or"] and _are_matchers(item["$or"]):
            inner = item["$or"]
            assert isinstance(inner, list)
            mended[name] = self._changed(here, item, mended_list(inner), "or-level")
        elif inside := self.object(item, here):
            mended[name] = inside

    def _or(self, mended: dict[str, Tree], item: Tree, here: Steps) -> None:
        name = here[-1]
        if isinstance(item, dict):
            item = self._changed(here, item, [{inner: value} for inner, value in item.items()], "brackets")
        if name != "$or":
            here = (*here[:-1], "$or")
            self.changes.append(Change(path_of(here), str(name), "$or", "typo", moved=True))
        assert isinstance(item, list)
        branches = [self.object(branch, (*here, at)) for at, branch in enumerate(item) if isinstance(branch, dict)]
        branches = [branch for branch in branches if branch]
        if len(branches) == 1 and not set(branches[0]) & set(mended):
            # One branch is no choice: its members stand beside the others.
            mended.update(branches[0])
            self.changes.append(Change(path_of(here), text_of(item), text_of(branches[0]), "or-level"))
        elif branches:
            mended["$or"] = list(branches)

    def _together(self, mended: dict[str, Tree], name: str, item: Tree, here: Steps) -> None:
        """A list of objects all of which are asked, as one: `$and`, or a list around what a field's object holds."""
        assert isinstance(item, list)
        objects = [self.object(one, (*here, at)) for at, one in enumerate(item) if isinstance(one, dict)]
        members = {inner: value for one in objects for inner, value in one.items()}
        target = mended if name == "$and" else {}
        if len(members) < sum(map(len, objects)) or not members or set(members) & set(target):
            mended[name] = item  # beyond guessing
            return
        target.update(members)
        if name != "$and":
            mended[name] = members
        self.changes.append(Change(path_of(here), text_of(item), text_of(members), "brackets"))

    def _differing(self, here: Steps, before: list[Tree], after: list[Tree]) -> Tree:
        """The list as it is mended; the change is told of the one entry that differs, or else of the list."""
        if text_of(before) == text_of(after):
            return after
        differing = [
            at for at, (one, two) in enumerate(zip(before, after, strict=False)) if text_of(one) != text_of(two)
        ]
        nested = any(isinstance(entry, list) for entry in before)
        if len(before) == len(after) and len(differing) == 1:
            at = differing[0]
            mistake: Mistake = "wildcard" if _is_wildcard(after[at]) else "operator"
            self._changed((*here, at), before[at], after[at], "brackets" if nested else mistake)
            return after
        return self._changed(here, before, after, "brackets" if nested else "operator")

    def _changed(self, here: Steps, before: Tree, after: Tree, mistake: Mistake) -> Tree:
        self.changes.append(Change(path_of(here), text_of(before), text_of(after), mistake))
        return after


def _is_or(name: str, item: Tree) -> bool:
    if name == "$or":
        return isinstance(item, dict | list)
    return (
        name.strip("$").lower() == "or"
        and isinstance(item, list)
        and len(item) > 1
        and all(isinstance(branch, dict) and not _is_operator(branch) for branch in item)
    )


def _are_objects(tree: Tree) -> bool:
    """Whether a list holds objects with fields where it should hold values."""
    return isinstance(tree, list) and bool(tree) and all(isinstance(one, dict) and _holds_lists(one) for one in tree)


def _holds_lists(tree: dict[str, Tree]) -> bool:
    return bool(tree) and all(
        operator_of(name) is None and name not in RESERVED and isinstance(item, list | dict)
        for name, item in tree.items()
    )


def _is_operator(tree: Tree) -> bool:
    """Whether an object is an operator that stands where a list should: its argument is no list of values."""
    if not isinstance(tree, dict) or len(tree) != 1:
        return False
    ((name, argument),) = tree.items()
    if name not in RESERVED and operator_of(name) is None:
        return False
    return not isinstance(argument, dict | list) or (name == "numeric" and isinstance(argument, list))


def _are_matchers(tree: Tree) -> bool:
    return isinstance(tree, list) and bool(tree) and all(not isinstance(e, dict) or _is_operator(e) for e in tree)


def _is_wildcard(tree: Tree) -> bool:
    return isinstance(tree, dict) and (
        "wildcard" in tree or any(isinstance(inner, dict) and "wildcard" in inner for inner in tree.values())
    )
