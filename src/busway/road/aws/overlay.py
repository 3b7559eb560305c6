"""`aws/overlay.json`: what a project adds to its template, or changes in it. A JSON merge patch (RFC 7386). Pure.

    {"Resources": {"NotifyCustomerFunction": {"Properties": {"MemorySize": 1024}},
                   "Receipts": {"Type": "AWS::S3::Bucket"}}}

Members of objects are merged, lists and values replaced, `null` takes away. https://www.rfc-editor.org/rfc/rfc7386
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from busway.errors import BrokenProject

FILE = Path("aws", "overlay.json")
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
SECTIONS = ("Conditions", "Description", "Mappings", "Metadata", "Outputs", "Parameters", "Resources", "Rules")


def read_overlay(root: Path) -> dict[str, Any]:
    """The project's overlay, {} without one. Raises BrokenProject."""
    file = root / FILE
    if not file.is_file():
        return {}
    try:
        overlay = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BrokenProject(f"{FILE} is no JSON object: {error}", "docs/aws.md shows one") from error
    unknown = next((name for name in overlay if name not in SECTIONS), None)
    if unknown:
        raise BrokenProject(f"{FILE} has {unknown!r}; wanted sections of a template: {', '.join(SECTIONS)}")
    return overlay


def overlaid(template: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The template with the overlay. Raises BrokenProject for a resource that is neither there nor new."""
    there = template.get("Resources", {})
    for name, resource in overlay.get("Resources", {}).items():
        if name not in there and not (isinstance(resource, Mapping) and "Type" in resource):
            meant = difflib.get_close_matches(name, there, 1)
            raise BrokenProject(
                f"{FILE}: the template has no resource {name!r}, and this one names no Type",
                f"was {meant[0]!r} meant?" if meant else "`busway synth` shows the resources",
            )
    return merged(template, overlay)


def merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    known: dict[str, Any] = dict(cast(Mapping[str, Any], target)) if isinstance(target, Mapping) else {}
    for name, value in cast(Mapping[str, Any], patch).items():
        if value is None:
            known.pop(name, None)
        else:
            known[name] = merged(known.get(name), value)
    return known
