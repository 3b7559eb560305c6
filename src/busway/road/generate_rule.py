"""The generator of rules: `rules/NAME.json` and its test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from busway.errors import GeneratorRefused
from busway.handling import pattern_of
from busway.pattern import parse
from busway.road.event_files import EventSpec, class_and_sample, module_of
from busway.road.generator import write_generated
from busway.road.layout import import_line
from busway.road.rendering import render
from busway.road.root import Language
from busway.road.rules import FOLDER, KINDS, RuleFile, RuleTarget, checked_rule
from busway.road.samples import find_sample
from busway.road.schemas.typescript import literal
from busway.road.typescript.texts import event_file


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """All that `busway add rule` has to know. `event` is one that the project has."""

    name: str
    event: EventSpec
    targets: Sequence[RuleTarget]
    filter: Mapping[str, Any]
    alert: str | None = None
    language: Language = "python"


def rule_target(text: str) -> RuleTarget:
    """`"queue:audit"` or an ARN. Raises GeneratorRefused."""
    kind, _, name = ("arn", "", text) if text.startswith("arn:") else text.partition(":")
    if kind.title() not in KINDS:
        raise GeneratorRefused(
            f"{text!r} is no target; wanted queue:NAME, stream:NAME, bus:NAME, handler:NAME or an ARN",
            "for example: --to queue:audit",
        )
    target = msgspec.convert({kind.title(): name}, RuleTarget)
    try:
        _ = target.place
    except ValueError as error:
        raise GeneratorRefused(f"{text!r}: {error}", "for example: --to queue:audit") from error
    return target


def add_rule(root: Path, spec: RuleSpec) -> list[Path]:
    """Write the rule and its test; return the files. Raises GeneratorRefused when it could not be used, or exists."""
    return write_generated(root, "rule", spec.name.replace("_", "-"), spec, rule_texts(root, spec))


def rule_texts(root: Path, spec: RuleSpec) -> dict[str, str]:
    """The files of a rule, below the project. Raises as `add_rule`."""
    event_class, known = class_and_sample(root, spec.event)
    rule = RuleFile(
        event_pattern=pattern_of(event_class, spec.filter), targets=list(spec.targets), alert=spec.alert or None
    )
    text = msgspec.json.format(msgspec.json.encode(rule), indent=2).decode() + "\n"
    try:
        checked_rule(text.encode())
    except ValueError as error:
        raise GeneratorRefused(f"rule {spec.name}: {error}") from error
    sample = find_sample(root, event_class.event_source, event_class.event_detail_type) or known
    sample = sample or event_class.sample().envelope.raw
    pattern = parse(msgspec.json.encode(rule.event_pattern).decode())
    facts = {
        "name": spec.name,
        "rule": spec.name.replace("_", "-"),
        "event_class": spec.event.class_name,
        "event_import": import_line(module_of(spec.event), spec.event.class_name),
        "event_file": literal(f"../{event_file(spec.event)}"),
        "sent": len(spec.targets) if pattern.matches(msgspec.json.encode(sample)) else 0,
    }
    kind, test = ("py", f"test_{spec.name}.py") if spec.language == "python" else ("ts", f"{facts['rule']}.test.ts")
    return {
        f"{FOLDER}/{facts['rule']}.json": text,
        f"{FOLDER}/{test}": render(root, f"rule/rule_test.{kind}.jinja", **facts),
    }
