"""Lists by pages: a token names the last item that was given. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def page_after(
    items: Sequence[T], name: Callable[[T], str], token: str | None, limit: int
) -> tuple[list[T], str | None]:
    """At most `limit` items after the one that `token` names, and the token of the next page.

    `items` are sorted by name. Raises ValueError for what is no token; each service has words of its own for that.
    """
    after = None if token is None else _read(token)
    rest = [item for item in items if after is None or name(item) > after]
    page = rest[:limit]
    return page, base64.b64encode(name(page[-1]).encode()).decode() if len(rest) > limit else None


def _read(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("not a token") from error
