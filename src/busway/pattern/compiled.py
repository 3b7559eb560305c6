"""The compiled matcher behind the seam: patterns go in as text, after the reference has read them.

The reference says what is wrong with a pattern, in AWS's words; the compiled parser only has to take the same texts.
So it repeats none of AWS's messages, and no second form of a pattern has to be kept equal on both sides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from busway.errors import InvalidEvent
from busway.pattern.matcher import Matcher
from busway.pattern.rule_pattern import Pattern

log = logging.getLogger(__name__)


class CompiledMatcher:
    """An `EventMatcher` in Rust: the package `busway-matcher`."""

    def __init__(self, members: Iterable[str] | None = None) -> None:
        """Raises ImportError where the package is not installed. `members` tells it nothing that it needs."""
        module: Any = import_module("busway_matcher")
        self._invalid_event: type[Exception] = module.InvalidEvent
        self._invalid_pattern: type[Exception] = module.InvalidPattern
        self._compiled: Any = module.Matcher()
        # What the compiled parser refuses though the reference took it: none is known, and no rule may be lost.
        self._refused = Matcher()

    def __len__(self) -> int:
        return len(self._compiled) + len(self._refused)

    def add(self, key: str, pattern: Pattern) -> None:
        """Take a pattern in under `key`, in place of the one it had."""
        self.remove(key)
        try:
            # Half a character can be no UTF-8; as an escape of JSON it means the same.
            self._compiled.add(key, pattern.text.encode("utf-8", "backslashreplace"))
        except self._invalid_pattern as wrong:
            log.error("the compiled matcher leaves pattern %s to the one in Python: %s", key, wrong)
            self._refused.add(key, pattern)

    def remove(self, key: str) -> None:
        """Forget a key; an unknown one changes nothing."""
        self._compiled.remove(key)
        self._refused.remove(key)

    def match(self, event: bytes) -> list[str]:
        """The keys whose pattern matches, each once. Raises `InvalidEvent` unless the event is a JSON object."""
        try:
            found: list[str] = self._compiled.match(event)
        except self._invalid_event as wrong:
            raise InvalidEvent(str(wrong)) from wrong
        return found if not len(self._refused) else [*found, *self._refused.match(event)]
