"""Whose is what has one of our names: a project and a handler's name give together what may be another's already."""

from __future__ import annotations

from typing import Any

from busway.errors import BrokenProject, ServerRefused
from busway.road.connection import Connection
from busway.road.manifest import FOLDER_TAG, PROJECT_TAG, Manifest, function_name
from busway.road.plan import bus_of


def check_ownership(manifest: Manifest, connection: Connection) -> None:
    """Raises BrokenProject where a function or rule has the name of one of ours and is somebody else's."""
    scope, project = connection.scope, manifest.project
    for entry in manifest.handlers:
        name = function_name(project, entry.name)
        tags = _tags(connection, "lambda", "ListTags", {"Resource": scope.arn("lambda", f"function:{name}")})
        place = f"function {name} is on {connection.endpoint} already, and "
        _refuse_anothers(tags, project, place, "give this project another name, or deploy to another server")
    for entry in (*manifest.handlers, *manifest.rules):
        name = function_name(project, entry.name)
        bus = bus_of(manifest, entry)
        tags = _tags(connection, "events", "ListTagsForResource", {"ResourceARN": scope.rule_arn(bus, name)})
        place = f"rule {name} is on bus {bus} of {connection.endpoint} already, and "
        _refuse_anothers(tags, project, place, "give the handler or rule another name")


def _refuse_anothers(tags: dict[str, str] | None, project: str, place: str, hint: str) -> None:
    """`tags` is None for what is not there."""
    if tags is None or (tags.get(PROJECT_TAG) == project and FOLDER_TAG not in tags):
        return
    if FOLDER_TAG in tags:
        raise BrokenProject(f"{place}`busway dev` runs it", hint)
    whose = f"project {tags[PROJECT_TAG]!r}" if PROJECT_TAG in tags else "no project"
    raise BrokenProject(f"{place}it is of {whose}", hint)


def _tags(connection: Connection, service: str, operation: str, asked: dict[str, Any]) -> dict[str, str] | None:
    """In Lambda's form; None where the resource is not there."""
    try:
        found: dict[str, str] | list[dict[str, str]] = connection.call(service, operation, asked)["Tags"]
    except ServerRefused as refusal:
        if refusal.code != "ResourceNotFoundException":
            raise
        return None
    return found if isinstance(found, dict) else {tag["Key"]: tag["Value"] for tag in found}
