"""The variables that handlers pass on (`env=[…]`), as the versions that are live have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from busway.errors import ServerRefused
from busway.road.connection import Connection
from busway.road.manifest import Manifest, function_name
from busway.road.release.changes import Difference
from busway.road.release.plan import LIVE


@dataclass(frozen=True, slots=True)
class Variables:
    """Values by variable, by handler. A version keeps its own, so each of them is as it was deployed."""

    by_handler: Mapping[str, Mapping[str, str]]

    @property
    def all(self) -> dict[str, str]:
        """What stays, where whoever deploys says nothing else."""
        return {name: value for each in self.by_handler.values() for name, value in each.items()}

    def differences(self, to: Mapping[str, str]) -> dict[str, list[Difference]]:
        """The variables of each handler that get another value. Not the values: they may be nobody's business."""
        return {
            handler: [
                Difference(f"variable {name}", None, None) for name, value in each.items() if to.get(name) != value
            ]
            for handler, each in self.by_handler.items()
        }


def variables_of(manifest: Manifest, connection: Connection) -> Variables:
    """Raises ServerUnreachable, ServerRefused."""
    found: dict[str, dict[str, str]] = {}
    for entry in (one for one in manifest.handlers if one.env):
        name = function_name(manifest.project, entry.name)
        try:
            told = connection.call("lambda", "GetFunctionConfiguration", {"FunctionName": name, "Qualifier": LIVE})
        except ServerRefused as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            continue
        variables = told.get("Environment", {}).get("Variables", {})
        found[entry.name] = {variable: variables[variable] for variable in entry.env if variable in variables}
    return Variables(found)
