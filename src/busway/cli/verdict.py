"""Shows what patterns made of an event, field by field.

✓ source         "com.benlimmer.Monolith"
✗ detail-type    "Customer Nofication"
                 wanted "Customer Notification"
                 did you mean "Customer Notification"?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from busway.cli.output import console, line

# A rule that missed by more fields than the first few did was not meant.
CLOSEST_SHOWN = 3


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


def show_verdicts(rules: Sequence[Mapping[str, Any]], title: str) -> None:
    """Rules that did not match; those with the same pattern together."""
    for _, alike in groupby(rules, lambda rule: rule.get("pattern")):
        rule, *others = alike
        missed = rule.get("missed")
        counted = f": {missed} of {len(rule.get('fields', []))} fields did not match" if missed else ""
        disabled = " (disabled)" if rule.get("enabled") is False else ""
        console().print()
        names = ", ".join(str(each["rule"]) for each in (rule, *others))
        line((f"{title}: ", "bold"), f"rule{'s' if others else ''} {names}{disabled}{counted}")
        show_fields(rule.get("fields", []))
