"""What differs between two templates, property by property. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

_MISSING = object()
# What is of interest to whoever deploys; descriptions and metadata change nothing that runs.
SECTIONS = ("Resources", "Parameters", "Conditions", "Mappings", "Outputs")


class Change(msgspec.Struct, frozen=True):
    """One place that differs: `Resources.NotifyCustomerFunction.Properties.Timeout`. None: it is not there."""

    where: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.where}: {_shown(self.after)}"
        if self.after is None:
            return f"- {self.where}"
        return f"~ {self.where}: {_shown(self.before)} -> {_shown(self.after)}"


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """In the order of the template that is to be, then what goes. Whole resources are one change."""
    return [
        change
        for section in SECTIONS
        for change in _changes(before.get(section, {}), after.get(section, {}), section)
    ]


def _changes(before: Any, after: Any, where: str) -> Iterator[Change]:
    if before == after:
        return
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        yield Change(where, before, after)
        return
    old, new = cast(Mapping[str, Any], before), cast(Mapping[str, Any], after)
    for name in [*new, *(name for name in old if name not in new)]:
        found, wanted = old.get(name, _MISSING), new.get(name, _MISSING)
        if found is _MISSING or wanted is _MISSING:
            yield Change(f"{where}.{name}", *(None if one is _MISSING else one for one in (found, wanted)))
        else:
            yield from _changes(found, wanted, f"{where}.{name}")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "Type" in value:
        return str(cast(Mapping[str, Any], value)["Type"])
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 100 else f"{text[:99]}…"
