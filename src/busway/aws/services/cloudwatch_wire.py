"""What alarms and metrics have in common at CloudWatch's door: dimensions, and lists by pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from busway.aws.errors import AwsError

T = TypeVar("T")


def dimensions(request: Mapping[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in request.get("Dimensions", ())}


def described(given: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Dimensions as they are told."""
    return [{"Name": name, "Value": value} for name, value in given]


def page_of(
    items: Sequence[T], name: Callable[[T], str], token: str | None, limit: int
) -> tuple[list[T], dict[str, str]]:
    """At most `limit` items after `token`, and the member that leads to the next page. `items` are sorted by name."""
    after = "" if token is None else _read(token)
    rest = [item for item in items if token is None or name(item) > after]
    page = rest[:limit]
    last = base64.urlsafe_b64encode(name(page[-1]).encode()).decode() if len(rest) > limit else None
    return page, {} if last is None else {"NextToken": last}


def _read(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise AwsError("InvalidNextToken", "The next token specified is invalid.", 400) from error
