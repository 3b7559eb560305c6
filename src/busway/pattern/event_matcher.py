"""The seam behind which rules are matched, so that a compiled matcher can take the place of the one in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple, Protocol

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
    KeyError for an unknown name, `EngineNotInstalled` for one whose package is not there, or is not the one wanted.
    """
    wanted = implementation or default_implementation()[0]
    module, _, name = IMPLEMENTATIONS[wanted].partition(":")
    make: Callable[[Iterable[str] | None], EventMatcher] = getattr(import_module(module), name)
    if wanted == "compiled" and not (found := _compiled()).version:
        raise EngineNotInstalled(wanted, found.problem)
    return make(members)


@cache
def default_implementation() -> tuple[str, str]:
    """The name of the implementation that is taken by default, and words for people: which it is, or why it is."""
    found = _compiled()
    if found.version:
        return "compiled", f"compiled {found.version}"
    return "python", "python" if found.problem == _NO_MODULE else f"python ({found.problem})"


class _Compiled(NamedTuple):
    """The package of the compiled matcher: its version, or "" and why it cannot be taken."""

    version: str
    problem: str = ""


_NO_MODULE = "there is no module busway_matcher"


def _compiled() -> _Compiled:
    try:
        version = str(getattr(import_module("busway_matcher"), "__version__", "without a version"))
    except ModuleNotFoundError as missing:
        return _Compiled("", _NO_MODULE if missing.name == "busway_matcher" else _broken(missing))
    except ImportError as problem:
        return _Compiled("", _broken(problem))
    if not version.startswith(COMPILED_VERSION):
        return _Compiled("", f"busway-matcher {version} is installed, {COMPILED_VERSION}x is wanted")
    return _Compiled(version)


def _broken(problem: ImportError) -> str:
    return f"busway-matcher is installed but cannot be imported: {problem}"
