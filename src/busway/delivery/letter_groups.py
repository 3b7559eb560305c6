"""Dead letters by what failed and how, as people are told of them, here and of a project on AWS. Pure."""

from __future__ import annotations

import msgspec


class LetterGroup(msgspec.Struct):
    """Dead letters of one handler with one error in one queue. Times are Unix seconds."""

    handler: str
    queue: str
    error_code: str
    error_message: str
    count: int
    first_at: float
    last_at: float


class LetterGroups:
    """Of a letter only its number and group stay in memory."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str, str], LetterGroup] = {}

    def add(self, handler: str, queue: str, error_code: str, error_message: str, failed_at: float) -> None:
        key = (handler, queue, error_code, error_message)
        group = self._groups.setdefault(key, LetterGroup(*key, 0, failed_at, failed_at))
        group.count += 1
        group.first_at = min(group.first_at, failed_at)
        group.last_at = max(group.last_at, failed_at)

    def ordered(self) -> list[LetterGroup]:
        """The largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.handler))
