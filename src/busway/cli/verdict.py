"""Shows what patterns made of an event, field by field.

✓ source         "com.benlimmer.Monolith"
✗ detail-type    "Customer Nofication"
                 wanted "Customer Notification"
                 the event's "Customer Nofication" and the pattern's "Customer Notification" differ by a typo
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from busway.cli.output import console, counted, line

# What a mistake is called, by the word that an edit has for it.
MISTAKES: Mapping[str, str] = {
    "typo": "a typo",
    "case": "upper and lower case",
    "space": "a space too many",
    "unseen": "what nobody sees",
    "encoded": "a string that holds JSON, not an object",
    "type": "a string never equals a number, true, false or null",
    "brackets": "brackets are missing or too many",
    "operator": "an operator was meant",
    "wildcard": "what * and \\ mean in a wildcard",
    "level": "one level off",
    "place": "the event has it elsewhere",
    "or-level": "the $or is at the wrong level",
    "elements": "the fields must fit in one element of the list",
    "syntax": "not JSON",
}
# A longer document fills the screen and hides what was changed.
DOCUMENT_CHARS_MAX = 1_000
# A rule that missed by more fields than the first few did was not meant.
CLOSEST_SHOWN = 3


def show_fields(fields: Sequence[Mapping[str, Any]], indent: str = "") -> None:
    """Each field of a pattern with what was found; one that was missed also with what was wanted, and a guess."""
    from busway.pattern.unseen import escaped

    width = max((len(escaped(field["path"])) for field in fields), default=0)
    for field in fields:
        found = ", ".join(str(value) for value in field.get("found") or ()) or "nothing"
        path = f"{escaped(field['path']):{width}}  "
        if field.get("matched"):
            line(indent, ("  ✓ ", "green"), path, (found, "dim"), (_decided(field), "dim"))
            continue
        below = indent + " " * (4 + len(path))
        line(indent, ("  ✗ ", "bold red"), (path, "bold"), (found, "red"))
        line(below, "wanted ", (str(field.get("wanted", "")), "green"))
        for remark in (field.get("clash"), field.get("suggestion")):
            if remark:
                line(below, (str(remark), "yellow"))


def _decided(field: Mapping[str, Any]) -> str:
    """The matcher that took the value, where it does not read as the value itself."""
    decided = str(field.get("decided_by") or "")
    return f"  is {decided}" if decided and decided not in field.get("found", ()) else ""


def show_explanation(told: Mapping[str, Any]) -> None:
    """The fields of a pattern; with `$or` those outside of it, then each branch's own."""
    show_fields(told.get("outside", told["fields"]))
    for branch in told.get("branches", ()):
        mark = ("✓", "green") if branch["matched"] else ("✗", "bold red")
        line("  ", mark, (f" {branch['branch']}", "bold"))
        show_fields(branch["fields"], indent="    ")


def show_edits(edits: Sequence[Mapping[str, Any]], *, whole: bool) -> None:
    """What would make it match; `whole` also shows the document that comes of it."""
    for number, edit in enumerate(edits):
        line(("or " if number else "", "dim"), (f"edit the {edit['where']}", "bold"), " so that it matches:")
        for change in (edit, *edit.get("further", ())):
            mistake = MISTAKES.get(change["mistake"] or "", "")
            line("    ", (changed_in_words(change), "green"), (f"  ({mistake})" if mistake else "", "yellow"))
        document = str(edit["document"])
        if whole and len(document) <= DOCUMENT_CHARS_MAX:
            line("    ", (document, "dim"))
        elif whole:
            line(("    --json has the whole document", "dim"))


def changed_in_words(change: Mapping[str, Any]) -> str:
    from busway.pattern.unseen import escaped

    before, after, path = change["from"], change["to"], escaped(change["path"])
    if change["moved"]:
        return f"{escaped(before)} becomes {escaped(after)}"
    if before is None:
        return f"{path}: add {after}"
    if after is None:
        return f"{path}: take out {before}"
    return f"{path}: {before} becomes {after}" if path else f"{before} becomes {after}"


def show_notes(notes: Sequence[str]) -> None:
    for note in notes:
        line(("note: ", "yellow"), note)


def missed_in_words(told: Mapping[str, Any]) -> str:
    return f"{told['missed']} of {len(told.get('fields', []))} fields did not match"


def show_verdicts(rules: Sequence[Mapping[str, Any]], title: str) -> None:
    """Rules that did not match; those with the same pattern together."""
    for _, alike in groupby(rules, lambda rule: rule.get("pattern")):
        rule, *others = alike
        fields = f": {missed_in_words(rule)}" if rule.get("missed") else ""
        disabled = " (disabled)" if rule.get("enabled") is False else ""
        console().print()
        names = ", ".join(str(each["rule"]) for each in (rule, *others))
        line((f"{title}: ", "bold"), f"rule{'s' if others else ''} {names}{disabled}{fields}")
        show_explanation({"fields": [], **rule})
        show_edits(rule.get("edits") or (), whole=False)


def show_missed(
    missed: Sequence[Mapping[str, Any]], closest: Sequence[Mapping[str, Any]], every: bool, matched: bool
) -> None:
    """Rules that did not match: `every` one, or the closest where none `matched`; and how many there are besides."""
    if every:
        show_verdicts(missed, "Not matched")
    elif matched:
        near = sum(rule.get("missed") == 1 for rule in missed)
        if near:
            line((f"{counted(near, 'other rule')} missed by one field: --all", "dim"))
    else:
        show_verdicts(closest[:CLOSEST_SHOWN], "Closest")
        left = len(missed) - CLOSEST_SHOWN
        if left > 0:
            line((f"and {left} more: --all", "dim"))
