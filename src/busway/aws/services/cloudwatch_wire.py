"""What alarms and metrics have in common at CloudWatch's door: dimensions, and lists by pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from busway.aws.errors import AwsError
from busway.aws.pages import page_after

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
    try:
        page, more = page_after(items, name, token, limit)
    except ValueError as error:
        raise AwsError("InvalidNextToken", "The next token specified is invalid.", 400) from error
    return page, {} if more is None else {"NextToken": more}
