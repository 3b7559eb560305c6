"""The generator of rules: `rules/NAME.json` and its test."""

from __future__ import annotations

import re
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
from busway.road.rule_jobs import service_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFlags:
    """What jobs are started with, as flags say it; `parameters` are `NAME=VALUE` of a pipeline."""

    job_definition: str | None = None
    job_name: str | None = None
    array_size: int | None = None
    job_attempts: int | None = None
    parameters: Sequence[str] = ()
    role: str | None = None


def rule_targets(texts: Sequence[str], flags: JobFlags) -> list[RuleTarget]:
    """Each is `"queue:audit"` or an ARN. Raises GeneratorRefused, also for flags that none of them has a use for."""
    services = {service_of(*_place(text)) for text in texts}
    batch = (flags.job_definition, flags.job_name, flags.array_size, flags.job_attempts)
    if any(flag is not None for flag in batch) and "batch" not in services:
        raise GeneratorRefused(
            f"no target of {', '.join(texts)} is a Batch job queue", "for example: --to job:nightly"
        )
    if flags.parameters and "sagemaker" not in services:
        raise GeneratorRefused(f"no target of {', '.join(texts)} is a pipeline", "for example: --to pipeline:train")
    return [rule_target(text, flags) for text in texts]


def rule_target(text: str, flags: JobFlags) -> RuleTarget:
    """Raises GeneratorRefused."""
    kind, name = _place(text)
    if kind not in KINDS:
        words = [word for word in WORDS.values() if word != "arn"]
        raise GeneratorRefused(
            f"{text!r} is no target; wanted {', '.join(f'{word}:NAME' for word in words)} or an ARN",
            "for example: --to queue:audit",
        )
    service = service_of(kind, name)
    try:
        target = msgspec.convert({kind: name, **_started_with(service, flags)}, RuleTarget)
        target.check()
    except ValueError as error:
        raise GeneratorRefused(
            f"{text!r}: {error}", _EXAMPLES.get(service, "for example: --to queue:audit")
        ) from error
    return target


# What the command line calls the kinds.
WORDS = {kind: re.sub("(?<=[a-z])(?=[A-Z])", "-", kind).lower() for kind in KINDS}
_EXAMPLES = {
    "batch": "for example: --to job:nightly --job-definition resize --job-name resize",
    "sagemaker": "for example: --to pipeline:train --parameter Day='$.detail.day'",
    "states": "for example: --to state-machine:ship",
    "glue": "for example: --to workflow:load",
}


def _place(text: str) -> tuple[str, str]:
    """(kind, name); the kind is "" where the word is none of ours."""
    if text.startswith("arn:"):
        return "Arn", text
    word, _, name = text.partition(":")
    return next((kind for kind, known in WORDS.items() if known == word), ""), name


def _started_with(service: str, flags: JobFlags) -> dict[str, Any]:
    """The members beside the place, as the file has them. Raises ValueError."""
    members: dict[str, Any] = {"RoleArn": flags.role} if flags.role and service else {}
    if service == "batch":
        if not flags.job_definition or not flags.job_name:
            raise ValueError("a Batch job queue needs --job-definition and --job-name")
        batch: dict[str, Any] = {"JobDefinition": flags.job_definition, "JobName": flags.job_name}
        if flags.array_size is not None:
            batch["ArrayProperties"] = {"Size": flags.array_size}
        if flags.job_attempts is not None:
            batch["RetryStrategy"] = {"Attempts": flags.job_attempts}
        members["BatchParameters"] = batch
    if service == "sagemaker" and flags.parameters:
        pairs = [parameter.partition("=") for parameter in flags.parameters]
        listed = [{"Name": name, "Value": value} for name, _, value in pairs]
        members["SageMakerPipelineParameters"] = {"PipelineParameterList": listed}
    return members


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
