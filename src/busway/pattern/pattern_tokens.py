"""The tokens of a pattern's text, and the one way in which reading it fails: with AWS's reason and location."""

from __future__ import annotations

from typing import NoReturn

from busway.errors import InvalidPattern
from busway.pattern.json_text import Tokens, location


class PatternTokens(Tokens):
    """Tokens that know how to refuse the pattern they come from."""

    @property
    def here(self) -> str:
        """The second line of AWS's message: how far the pattern was read."""
        return f"\n at {location(self.source, self.consumed)}"

    def fail(self, reason: str) -> NoReturn:
        raise InvalidPattern(reason, self.here)

    def expect_end(self, reason: str) -> None:
        """Move past the operator's closing brace, or fail with `reason` if more members follow."""
        if self.next() != "}":
            self.fail(reason)
