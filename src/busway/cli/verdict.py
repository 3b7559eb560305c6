"""Shows what a pattern made of an event, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from busway.cli.output import styled, table


def show_fields(fields: Sequence[Mapping[str, Any]]) -> None:
    """A row for each field of a pattern: what was found, what was wanted, and a guess at what was meant."""
    table(("", "field", "found", "wanted", ""), [_row(field) for field in fields])


def _row(field: Mapping[str, Any]) -> tuple[Any, ...]:
    found = ", ".join(str(value) for value in field.get("found") or ()) or "nothing"
    if field.get("matched"):
        return (styled("✓", "green"), field["path"], found, styled(str(field.get("wanted", "")), "dim"), "")
    remark = str(field.get("clash") or field.get("suggestion") or "")
    return (
        styled("✗", "red"),
        styled(str(field["path"]), "bold"),
        styled(found, "red"),
        styled(str(field.get("wanted", "")), "green"),
        styled(remark, "yellow"),
    )
