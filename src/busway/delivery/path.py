"""The JSON paths of InputPath and InputPathsMap: parse once, find in the event's own text. Pure.

What is found is a slice of that text, so a number keeps its digits and an object the order of its members. Known
are `$`, `.name`, `['name']`, `[n]` (from the end when negative), `[*]` and `.*`; several hits make one JSON array.
"""

from __future__ import annotations

import re

import msgspec

from busway.errors import InvalidTargetInput

Step = str | int | None
"""A member's name, an index, or None for `*`."""

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]*'"()?@$,\s][^.\[\]]*)      # .name, also .detail-type
      | \.(?P<all>\*)
      | \[(?P<index>-?\d{1,9})\]
      | \[(?P<every>\*)\]
      | \['(?P<single>[^']*)'\]
      | \["(?P<double>[^"]*)"\]""",
    re.VERBOSE,
)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse_path(text: str) -> tuple[Step, ...] | None:
    """The steps of a path; None for what is no path at all, which as on AWS is taken and never finds anything.

    Raises `InvalidTargetInput` for the parts of JSONPath that Busway doesn't read (`..`, filters, slices), because
    finding nothing there in silence would differ from AWS.
    """
    if not text.startswith("$"):
        return None
    steps: list[Step] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise InvalidTargetInput(f"Busway can't read the path {text} from character {at} on")
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["index"] is not None:
        return int(found["index"])
    if found["every"] is not None or found["all"] is not None:
        return None
    for group in ("name", "single", "double"):
        if found[group] is not None:
            return str(found[group])
    raise AssertionError(found)


def find(document: bytes, steps: tuple[Step, ...]) -> bytes | None:
    """The text of the value at the path, or None. With a `*` in it, an array of all hits, perhaps empty."""
    hits = [document]
    for step in steps:
        hits = [child for hit in hits for child in _children(hit, step)]
    if None in steps:
        return b"[" + b",".join(hits) + b"]"
    return hits[0] if hits else None


def _children(document: bytes, step: Step) -> list[bytes]:
    start = document.lstrip()[:1]
    if start == b"{" and not isinstance(step, int):
        members = _members(document)
        if step is None:
            return [bytes(value) for value in members.values()]
        return [bytes(members[step])] if step in members else []
    if start == b"[" and not isinstance(step, str):
        elements = _elements(document)
        if step is None:
            return [bytes(value) for value in elements]
        return [bytes(elements[step])] if -len(elements) <= step < len(elements) else []
    return []
