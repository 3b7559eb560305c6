"""`busway rule lint`: faults of rules, and which of them have the same events, by their patterns alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from busway.cli.options import connect, is_json, read_given, server_options
from busway.cli.output import counted, line, print_text

if TYPE_CHECKING:
    from busway.cli.rule_files import NamedPattern
    from busway.errors import InvalidPattern
    from busway.pattern import Pattern
    from busway.pattern.findings import Finding
    from busway.pattern.rule_set import Report

LEVELS = ("error", "warning", "note")
STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
# Notes are many where many rules have the same events; --json has them all.
NOTES_SHOWN_MAX = 30


@click.command(short_help="Find rules that can never match, overlap, or mean something else.")
@click.argument("files", nargs=-1)
@click.option("--bus", help="Only rules of this bus; without FILES, of the server.  [default: all buses]")
@click.option(
    "--fail-on", type=click.Choice(LEVELS), default="error", show_default=True, help="Exit 1 for this, or for worse."
)
@click.option(
    "--level", type=click.Choice(LEVELS), default="note", show_default=True, help="Show this and worse, no less."
)
@server_options
def lint(files: Sequence[str], bus: str | None, fail_on: str, level: str, endpoint: str, as_json: bool) -> None:
    """Tell which rules can never match, which have the same events, and which patterns mean something else.

    FILES hold a pattern, a rule, or what `aws events list-rules` prints; - is stdin. Without FILES it is the rules
    and handlers of the project here; outside of one, or with --endpoint or --bus, those of the server.

    Exits 0 when there is no error and 1 when there is one, or something that --fail-on names.

    \b
    Example:
      busway rule lint rules/*.json
      busway rule lint --fail-on warning --level warning
      busway rule lint --endpoint http://127.0.0.1:4566 --bus shop --json
    """
    from busway.pattern import event_text

    source = click.get_current_context().get_parameter_source("endpoint")
    given = _given(files, bus, endpoint, source == ParameterSource.COMMANDLINE)
    wanted = [each for each in given if bus is None or each.bus == bus]
    if files and given and not wanted:
        known = ", ".join(sorted({each.bus for each in given}))
        raise click.UsageError(f"--bus {bus}: no rule in FILES is of this bus; they are of {known}")
    findings, reports = _linted(wanted)
    shown = [each for each in findings if each.level in _and_worse(level)]
    if as_json:
        # Not print_json: a pattern may hold what is no Unicode text, and that too is shown.
        print_text(event_text(_plain(wanted, shown, reports), step="  "))
    else:
        _show(wanted, findings, shown, reports)
    click.get_current_context().exit(1 if any(each.level in _and_worse(fail_on) for each in findings) else 0)


def _and_worse(level: str) -> Sequence[str]:
    return LEVELS[: LEVELS.index(level) + 1]


def _given(files: Sequence[str], bus: str | None, endpoint: str, asked_server: bool) -> list[NamedPattern]:
    from busway.cli.rule_files import patterns_in
    from busway.errors import ProjectNotFound
    from busway.road.root import find_root

    if files:
        return [each for file in files for each in patterns_in(read_given("FILES", file), _called(file))]
    if not asked_server and bus is None:
        try:
            root = find_root(Path.cwd())
        except ProjectNotFound:
            pass
        else:
            return _of_project(root)
    return _of_server(endpoint, bus)


def _called(file: str) -> str:
    """A file by its name; JSON that was given itself has none."""
    return "stdin" if file == "-" else "pattern" if is_json(file) else file


def _of_project(root: Path) -> list[NamedPattern]:
    """Rules as their files are written, so that what a repeated name hides is found too."""
    import msgspec

    from busway.cli.rule_files import NamedPattern, patterns_in
    from busway.road.describe import describe

    manifest = asyncio.run(describe(root))
    found = [
        NamedPattern(f"handler {entry.name}", msgspec.json.encode(entry.pattern).decode(), manifest.bus)
        for entry in manifest.handlers
        if not entry.schedule
    ]
    for entry in manifest.rules:
        text = read_given("rule", str(root / entry.file))
        found += [NamedPattern(entry.file, each.text, manifest.bus) for each in patterns_in(text, entry.file)]
    return found


def _of_server(endpoint: str, bus: str | None) -> list[NamedPattern]:
    """Raises UsageError for a bus that there is not."""
    from busway.cli.rule_files import NamedPattern

    told = connect(endpoint).get("/_busway/status")
    # The default bus is there before anybody has asked for it.
    known = sorted({"default", *(each["name"] for each in told["buses"])})
    if bus is not None and bus not in known:
        raise click.UsageError(f"--bus {bus}: the server has no such bus; it has {', '.join(known)}")
    return [NamedPattern(rule["name"], rule["pattern"], rule["bus"]) for rule in told["rules"] if rule["pattern"]]


def _linted(wanted: Sequence[NamedPattern]) -> tuple[list[Finding], list[Report]]:
    """Bus by bus, since rules of two buses never see the same event. A pattern that does not compile is a finding."""
    from busway.errors import InvalidPattern
    from busway.pattern import parse
    from busway.pattern.findings import Finding, worst_first
    from busway.pattern.rule_set import lint as lint_rules

    buses: dict[str, dict[str, Pattern]] = {}
    findings: list[Finding] = []
    for each in wanted:
        patterns = buses.setdefault(each.bus, {})
        name = _free_name(each.name, patterns)
        try:
            patterns[name] = parse(each.text)
        except InvalidPattern as error:
            findings.append(Finding("error", "invalid", (name,), _refused(error, each.text)))
    reports = [lint_rules(patterns) for patterns in buses.values()]
    findings += [finding for report in reports for finding in report.findings]
    return sorted(findings, key=worst_first), reports


def _refused(refusal: InvalidPattern, text: str) -> str:
    """Why a pattern is refused, where, and how it was probably meant: on a line."""
    from busway.cli.verdict import DOCUMENT_CHARS_MAX
    from busway.pattern import mend

    said = str(refusal).splitlines()[0]
    if refusal.position:
        said += " (line {}, column {} of the pattern)".format(*refusal.position)
    mended = mend(text)
    return (
        said if mended is None or len(mended.document) > DOCUMENT_CHARS_MAX else f"{said}; meant: {mended.document}"
    )


def _free_name(name: str, taken: dict[str, Pattern]) -> str:
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})" if name in taken else name


def _plain(wanted: Sequence[NamedPattern], findings: Sequence[Finding], reports: Sequence[Report]) -> dict[str, Any]:
    return {
        "rules": len(wanted),
        "findings": [finding.as_dict() for finding in findings],
        "pairs": sum(report.pairs for report in reports),
        "pairs_left": sum(report.pairs_left for report in reports),
        "events_left": sum(report.events_left for report in reports),
    }


def _show(
    wanted: Sequence[NamedPattern], findings: Sequence[Finding], shown: Sequence[Finding], reports: Sequence[Report]
) -> None:
    """What is to be shown, and the number of all that was found."""
    from busway.pattern import event_text

    counts = Counter(finding.level for finding in findings)
    notes = [finding for finding in shown if finding.level == "note"]
    hidden = notes[NOTES_SHOWN_MAX:]
    for finding in shown[: len(shown) - len(hidden)]:
        about = f"{finding.rules[0]}: " if len(finding.rules) == 1 else ""
        line((f"{finding.level:8}", STYLES[finding.level]), about, finding.message, (f"  {finding.code}", "dim"))
        if finding.event is not None:
            event = finding.event
            told = f"{event['detail-type']} from {event['source']}  {event_text(event['detail'])}"
            line("        for example ", (told, "dim"))
    if hidden:
        line((f"and {counted(len(hidden), 'more note')}: --json has all", "dim"))
    pairs = _plain(wanted, findings, reports)
    line(f"{counted(len(wanted), 'rule')}: ", ", ".join(counted(counts[level], level) for level in LEVELS))
    if pairs["pairs_left"]:
        line((f"{pairs['pairs_left']} pairs of rules were not compared, {pairs['pairs']} were", "yellow"))
    if pairs["events_left"]:
        line((f"of {pairs['events_left']} pairs it was not tried whether an event fits both", "yellow"))
