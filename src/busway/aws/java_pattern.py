"""The models' regular expressions are Java's; here they become Python's. Pure."""

from __future__ import annotations

import functools
import re
import unicodedata

# Planes 0 to 3 hold every letter, mark, number, punctuation and symbol that Unicode has.
_UNICODE_END = 0x40000


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    r"""A model's pattern (Java's dialect) for Python: `\p{L}` and its like become the characters they stand for."""
    return re.compile(re.sub(r"\\p\{(\w+)\}", lambda m: _category(m[1]), pattern))


@functools.cache
def _category(prefix: str) -> str:
    """Character ranges of a Unicode category (`L`, `Zs`, …), for use between the brackets of a class."""
    ranges: list[list[int]] = []
    for code in range(_UNICODE_END):
        if unicodedata.category(chr(code)).startswith(prefix):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
