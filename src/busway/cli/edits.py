"""A dead letter's event edited before it is sent back: by `--set`, or in $EDITOR; checked against its class first."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from busway.cli.changes import as_on_the_wire, changed
from busway.cli.options import project_root
from busway.cli.output import say
from busway.cli.prompts import may_ask

if TYPE_CHECKING:
    from busway.road.events import ProjectEvent

# Ours: so many changed members are named.
NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Editing:
    """How an event is edited. `raw` sends it though it does not fit its class."""

    editor: bool
    changes: tuple[str, ...]
    raw: bool

    @property
    def wanted(self) -> bool:
        return self.editor or bool(self.changes)


@dataclass(frozen=True, slots=True)
class Edited:
    """The new text, and the names of the members that differ."""

    text: str
    changed: str


def edit(payload: str, how: Editing) -> Edited | None:
    """What the handler gets instead of `payload`; None when nothing was changed.

    Raises EventMismatch for what does not fit the event's class in the project here, before anything is sent.
    """
    import msgspec

    before = content_of(payload)
    known = None if how.raw else _known(before)
    text = payload
    if how.changes:
        detail = before.get("detail")
        within = cast(dict[str, Any], detail) if isinstance(detail, dict) else before
        named = as_on_the_wire(known, how.changes) if known is not None else how.changes
        made = changed(within, named)
        whole = {**before, "detail": made} if within is not before else made
        text = msgspec.json.Encoder(decimal_format="number").encode(whole).decode()
    if how.editor:
        text = _in_editor(text, before, known)
    else:
        check(text, before, known)
    names = list(differences(before, content_of(text)))
    if not names:
        return None
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return Edited(text, ", ".join(names[:NAMED_MAX]) + more)


def content_of(text: str) -> dict[str, Any]:
    """A JSON object with its numbers as they are written. Raises EventMismatch."""
    import msgspec

    from busway.errors import EventMismatch

    try:
        return msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise EventMismatch(f"the event is no JSON object: {error}") from error


def check(text: str, before: dict[str, Any], known: ProjectEvent | None) -> None:
    """Raises EventMismatch for what is no event of this class, and for another event than `before`."""
    import msgspec

    from busway.errors import EventMismatch

    if content_of(text).get("id") != before.get("id"):
        raise EventMismatch(f"the event's id stays {before.get('id')!r}, by which it is found")
    if known is None:
        return
    try:
        known.check(msgspec.json.decode(text, type=dict[str, Any]))
    except EventMismatch as error:
        error.hint = "nothing was sent; --raw sends it all the same"
        raise


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The paths of what differs, the outermost that are not both objects: `detail.location`."""
    if isinstance(before, dict) and isinstance(after, dict):
        left, right = cast(dict[str, Any], before), cast(dict[str, Any], after)
        for name in dict.fromkeys([*left, *right]):
            inner = f"{path}.{name}" if path else name
            if name not in left or name not in right:
                yield inner
            else:
                yield from differences(left[name], right[name], inner)
    elif before != after:
        yield path or "all of it"


def _known(content: dict[str, Any]) -> ProjectEvent | None:
    """The event's class, where the command runs in a project that has it. Raises BrokenProject."""
    from busway.errors import ProjectNotFound
    from busway.road.events import load_events

    try:
        root = project_root()
    except ProjectNotFound:
        return None
    identity = (content.get("source"), content.get("detail-type"))
    events = (event for event in load_events(root) if (event.entry.source, event.entry.detail_type) == identity)
    return next(events, None)


def _in_editor(text: str, before: dict[str, Any], known: ProjectEvent | None) -> str:
    """What was saved in the user's editor; where it does not fit, that is offered again, and nothing is lost."""
    import msgspec

    from busway.errors import EventMismatch

    shown = msgspec.json.format(text, indent=2) + "\n"
    while True:
        saved = click.edit(shown, extension=".json", require_save=False) or shown
        try:
            check(saved, before, known)
            return saved
        except EventMismatch as error:
            if may_ask():
                say(f"error: {error}")
                if click.confirm("Edit it again?", default=True, err=True):
                    shown = saved
                    continue
            error.hint = f"nothing was sent; what you wrote is in {_kept(saved)}; --raw sends it all the same"
            raise


def _kept(text: str) -> Path:
    handle, name = tempfile.mkstemp(prefix="busway-event-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)
