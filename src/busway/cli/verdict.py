"""Shows what a pattern made of an event, field by field.

✓ source         "com.benlimmer.Monolith"
✗ detail-type    "Customer Nofication"
                 wanted "Customer Notification"
                 did you mean "Customer Notification"?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from busway.cli.output import line


def show_fields(fields: Sequence[Mapping[str, Any]]) -> None:
    """Each field of a pattern with what was found; one that was missed also with what was wanted, and a guess."""
    width = max((len(str(field["path"])) for field in fields), default=0)
    for field in fields:
        found = ", ".join(str(value) for value in field.get("found") or ()) or "nothing"
        path = f"{field['path']:{width}}  "
        if field.get("matched"):
            line(("  ✓ ", "green"), path, (found, "dim"))
            continue
        indent = " " * (4 + len(path))
        line(("  ✗ ", "bold red"), (path, "bold"), (found, "red"))
        line(indent, "wanted ", (str(field.get("wanted", "")), "green"))
        for remark in (field.get("clash"), field.get("suggestion")):
            if remark:
                line(indent, (str(remark), "yellow"))
