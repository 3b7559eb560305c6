"""What is found in rules: how bad it is, which rules and which field it is about, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: something that was written has no effect. `warning`: it probably means something else than was meant.

    `note`: good to know. `code` is a name for programs; `event` is one that all of `rules` match, where that is
    what was found.
    """

    level: Level
    code: str
    rules: tuple[str, ...]
    message: str
    field: str | None = None
    event: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told: dict[str, Any] = {"level": self.level, "code": self.code, "rules": list(self.rules)}
        told |= {"field": self.field, "message": self.message}
        return told | ({"event": self.event} if self.event is not None else {})


def worst_first(finding: Finding) -> tuple[int, tuple[str, ...]]:
    """Sort key."""
    return LEVELS.index(finding.level), finding.rules
