"""The events of a project in whatever language, without its handlers: they can be sent while one is being written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from busway.event import Event, names_by_wire
from busway.road import project
from busway.road.manifest import EventEntry
from busway.road.root import is_node, is_python
from busway.road.typescript.read import check_fit, read_events


@dataclass(frozen=True, slots=True)
class ProjectEvent:
    """An event, and for one in Python its class."""

    root: Path
    entry: EventEntry
    event_class: type[Event] | None = None

    def wire_names(self) -> Mapping[str, str] | None:
        """What each field is called on the wire, by its name in the definition; None where any name may stand."""
        if self.event_class is None:
            return {name: name for name in cast(dict[str, Any], self.entry.json_schema.get("properties", {}))}
        if self.event_class.model_config.get("extra") == "allow":
            return None
        return {name: on_wire for on_wire, name in names_by_wire(self.event_class).items()}

    def check(self, envelope: Mapping[str, Any]) -> None:
        """Raises EventMismatch, as a handler would that got this envelope."""
        if self.event_class is None:
            asyncio.run(check_fit(self.root, self.entry, envelope))
        else:
            self.event_class.from_envelope(envelope)


def load_events(root: Path) -> list[ProjectEvent]:
    """All of them by name; one that is defined in both languages as in Python. Raises BrokenProject."""
    found = (
        {entry.name: ProjectEvent(root, entry) for entry in asyncio.run(read_events(root))} if is_node(root) else {}
    )
    if is_python(root):
        found |= {name: ProjectEvent(root, entry, cls) for name, (entry, cls) in project.load_events(root).items()}
    return [found[name] for name in sorted(found)]
