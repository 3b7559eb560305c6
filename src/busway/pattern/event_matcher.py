"""The seam behind which rules are matched, so that a compiled matcher can take the place of the one in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol

from busway.errors import EngineNotInstalled
from busway.pattern.rule_pattern import Pattern

# Name -> "module:Class". The compiled one is a package of its own, which may not be there.
IMPLEMENTATIONS: Mapping[str, str] = {
    "python": "busway.pattern.matcher:Matcher",
    "compiled": "busway_matcher:Matcher",
}


class EventMatcher(Protocol):
    """Many patterns, asked at once."""

    def add(self, key: str, pattern: Pattern) -> None:
        """Take a pattern in under `key`, in place of the one it had."""
        ...

    def remove(self, key: str) -> None:
        """Forget a key; an unknown one changes nothing."""
        ...

    def match(self, event: bytes) -> list[str]:
        """The keys whose pattern matches, each once, in no promised order. Raises `InvalidEvent`.

        Agrees with `Pattern.matches`, for every key. Its cost may not grow with patterns that look at other fields,
        or at other values of the same fields.
        """
        ...


def new_matcher(implementation: str = "python") -> EventMatcher:
    """An empty matcher of the implementation named.

    Raises KeyError for an unknown name, `EngineNotInstalled` for one whose package is not there.
    """
    module, _, name = IMPLEMENTATIONS[implementation].partition(":")
    try:
        make: Callable[[], EventMatcher] = getattr(import_module(module), name)
    except ModuleNotFoundError as missing:
        if missing.name != module:
            raise
        raise EngineNotInstalled(implementation, module) from missing
    return make()
