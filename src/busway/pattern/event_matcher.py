"""The seam behind which rules are matched, so that a compiled matcher can take the place of the one in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Protocol

from busway.errors import EngineNotInstalled
from busway.pattern.rule_pattern import Pattern

# Name -> "module:Class".
IMPLEMENTATIONS: Mapping[str, str] = {
    "python": "busway.pattern.matcher:Matcher",
    "compiled": "busway.pattern.compiled:CompiledMatcher",
}
# The versions of the package `busway-matcher` that were compared with the reference begin like this.
COMPILED_VERSION = "0.1."


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


def new_matcher(implementation: str | None = None, members: Iterable[str] | None = None) -> EventMatcher:
    """An empty matcher of the implementation named, by default the best that is there.

    `members`: the caller vouches that events have these members, each once, and no others; None: anything. Raises
    KeyError for an unknown name, `EngineNotInstalled` for one whose package is not there.
    """
    wanted = implementation or default_implementation()[0]
    module, _, name = IMPLEMENTATIONS[wanted].partition(":")
    make: Callable[[Iterable[str] | None], EventMatcher] = getattr(import_module(module), name)
    try:
        return make(members)
    except ModuleNotFoundError as missing:
        raise EngineNotInstalled(wanted, str(missing.name)) from missing


@cache
def default_implementation() -> tuple[str, str]:
    """The name of the implementation that is taken by default, and words for people: which it is, or why it is."""
    try:
        version: str = import_module("busway_matcher").__version__
    except ImportError:
        return "python", "python"
    if not version.startswith(COMPILED_VERSION):
        return "python", f"python (busway-matcher {version} is installed, {COMPILED_VERSION}x is wanted)"
    return "compiled", f"compiled {version}"
