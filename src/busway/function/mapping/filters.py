"""Filter criteria: which messages of a source a mapping wants. Pure.

The patterns are those of rules; a message is wanted when one of them matches. What the sender wrote (`body` of a
queue's message, `data` of a stream's record) is matched as JSON by a pattern that looks inside, as text by one that
does not; a message of the other kind is not wanted.
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from busway.errors import InvalidEvent, InvalidFunction, InvalidPattern
from busway.pattern import Matcher, Pattern, parse
from busway.pattern.event_tree import Tree, read_event

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html: "up to five", ten on request
FILTERS_MAX = 10
PATTERN_CHARS_MAX = 4_096

Facts = Callable[[], dict[str, Tree]]
"""The other members of a message, asked for only when a pattern looks at them."""


class Filters:
    """Compiled filter criteria. `content` is the member that the sender wrote: `body` or `data`."""

    def __init__(self, patterns: Sequence[str], content: str) -> None:
        """Raises `InvalidFunction`, in AWS's words, for a pattern that is none."""
        self._content = content
        self._as_json, self._as_text = Matcher(), Matcher()
        self._facts = False
        for place, text in enumerate(patterns):
            pattern = _parse(text)
            paths = {path for alternative in pattern.alternatives for path, _ in alternative.fields}
            inside = any(path.startswith(f"{content}.") for path in paths)
            whole = content in paths
            self._facts = self._facts or any(path.split(".", 1)[0] != content for path in paths)
            if not whole:
                self._as_json.add(str(place), pattern)
            if not inside:
                self._as_text.add(str(place), pattern)
        self._any = bool(patterns)

    def __bool__(self) -> bool:
        return self._any

    def want(self, content: bytes, facts: Facts) -> bool:
        """Whether the message is wanted: any is, without patterns."""
        if not self._any:
            return True
        tree = _tree(content)
        event = facts() if self._facts else {}
        if tree is None:
            event[self._content] = content.decode(errors="replace")
            return bool(self._as_text.match_tree(event))
        event[self._content] = tree
        return bool(self._as_json.match_tree(event))


def _tree(content: bytes) -> dict[str, Tree] | None:
    """The JSON object, None for anything else."""
    if content.lstrip()[:1] != b"{":
        return None
    try:
        return read_event(content)
    except InvalidEvent:
        return None


def _parse(text: str) -> Pattern:
    if len(text) > PATTERN_CHARS_MAX:
        raise InvalidFunction(f"Invalid filter pattern definition. (Longer than {PATTERN_CHARS_MAX} characters.)")
    try:
        return parse(text)
    except InvalidPattern as wrong:
        raise InvalidFunction(f"Invalid filter pattern definition. ({wrong})") from wrong


def check_filters(patterns: Sequence[str], content: str) -> tuple[str, ...]:
    """The patterns. Raises `InvalidFunction`."""
    if len(patterns) > FILTERS_MAX:
        raise InvalidFunction(f"Filter criteria have {len(patterns)} filters; wanted at most {FILTERS_MAX}.")
    Filters(patterns, content)
    return tuple(patterns)
