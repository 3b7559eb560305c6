"""JSON that somebody else wrote, as far as it can be read. Pure."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_json(text: str | bytes | msgspec.Raw, wanted: type[T], *, strict: bool = True) -> T | None:
    """None for what is no JSON, is nested too deeply, or is something else."""
    try:
        return msgspec.json.decode(text, type=wanted, strict=strict)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
