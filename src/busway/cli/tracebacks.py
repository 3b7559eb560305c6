"""What a handler printed, with its tracebacks cut to the lines that its author wrote. Pure.

Traceback (most recent call last):
  File ".../json/decoder.py", line 337, in decode       -> left out, with the line of code below it
ERROR Invoke Error {"errorType":…,"stack":[…]}          -> TypeError: no such table, and its place in the project
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

_FRAME = re.compile(r'  File "(?P<file>[^"]+)", line \d+')
# Where code lies that the author of a handler did not write.
_FOREIGN = re.compile(
    r"/lib/python3|/site-packages/|/busway/function/runtimes/|<frozen |node_modules|node:|/\.busway/npm/"
)
_NODE_ERROR = re.compile(
    r"(?:^|\t| )ERROR\s+(?:Invoke|Unhandled[A-Za-z ]*|Uncaught[A-Za-z ]*) ?\w*\s+(?P<json>\{.*\})$"
)


def brief_lines(lines: Sequence[str]) -> Iterator[str]:
    """The lines, those that only tell of other people's code left out."""
    place = 0
    while place < len(lines):
        text = lines[place]
        frame = _FRAME.match(text)
        if frame and _FOREIGN.search(frame["file"]):
            # The code below a frame is indented by two more; there may be none.
            place += 1
            while place < len(lines) and lines[place].startswith("    "):
                place += 1
            continue
        yield from _node_error(text) or [text]
        place += 1


def _node_error(text: str) -> list[str]:
    """An error of Node.js in words; none for any other line."""
    found = _NODE_ERROR.search(text)
    if found is None:
        return []
    try:
        told = msgspec.json.decode(found["json"], type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []
    stack = [str(one).strip() for one in told.get("stack", [])]
    own = [one for one in stack[1:] if one.startswith("at ") and not _FOREIGN.search(one)]
    return [f"{told.get('errorType', 'Error')}: {told.get('errorMessage', '')}", *(f"    {one}" for one in own)]
