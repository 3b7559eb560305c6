"""The sample events that lie beside a project's handlers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from busway.errors import BrokenProject
from busway.road.root import handler_files


def find_sample(root: Path, source: str, detail_type: str) -> dict[str, Any] | None:
    """The sample of a handler that is of this event: the first with resources, as handlers may rely on them."""
    samples = [sample for _, sample in samples_of(root, source, detail_type)]
    return next((sample for sample in samples if sample.get("resources")), samples[0] if samples else None)


def samples_of(root: Path, source: str, detail_type: str) -> list[tuple[Path, dict[str, Any]]]:
    """The samples of all handlers that are of this event, each with its file."""
    folders = dict.fromkeys(file.parent.name for file in handler_files(root))
    samples = ((file, _sample(file)) for folder in folders for file in handler_samples(root, folder))
    return [
        found for found in samples if (found[1].get("source"), found[1].get("detail-type")) == (source, detail_type)
    ]


def handler_samples(root: Path, name: str) -> list[Path]:
    """A handler's sample events: `sample.json` first, then those in its `events/`."""
    folder = root / "handlers" / name
    return [file for file in (folder / "sample.json", *sorted((folder / "events").glob("*.json"))) if file.is_file()]


def own_sample(root: Path, name: str) -> dict[str, Any] | None:
    """The sample that a handler in the folder of this name has already."""
    files = handler_samples(root, name)
    return _sample(files[0]) if files else None


def _sample(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BrokenProject(f"{file} is not an event: {error}; wanted a JSON object") from error
