"""The files in `rules/`: events that go somewhere else than to a handler of their own. JSON, in AWS's words.

    {"EventPattern": {"source": ["shop"]}, "Targets": [{"Queue": "audit"}]}

A target is a `Queue`, a `Stream` or a `Bus` by its name, a `Handler` of the project by its own, a job on AWS
(`rule_jobs`), or whatever an `Arn` names. `Input`, `InputPath` and `InputTransformer` are those of PutTargets.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from busway.bus.job_targets import JOB_KINDS
from busway.delivery.parameters import pipeline_parameters
from busway.errors import BrokenProject, InvalidPattern
from busway.pattern import parse
from busway.road.rule_jobs import JOBS, BatchParameters, PipelineParameters, check_value, service_of

FOLDER = "rules"
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
TARGETS_MAX = 5
KINDS = ("Queue", "Stream", "Bus", "Handler", *JOBS, "Arn")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")
_OF_KIND = {
    "Queue": re.compile(r"[A-Za-z0-9_-]{1,80}"),
    "Stream": re.compile(r"[A-Za-z0-9_.-]{1,128}"),
    "Bus": re.compile(r"[A-Za-z0-9_./-]{1,256}"),
    "Handler": _NAME,
    **{kind: job.pattern for kind, job in JOBS.items()},
    "Arn": re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+"),
}
_ROLE = re.compile(r"arn:[^:]+:iam::[0-9]{12}:role/.+")
# Members of a file's target that are those of PutTargets.
_AS_PUT = ("Input", "InputPath", "InputTransformer", "BatchParameters", "SageMakerPipelineParameters", "RoleArn")


class Transformer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal", omit_defaults=True):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html"""

    input_template: str
    input_paths_map: dict[str, str] = {}


class RuleTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal", omit_defaults=True):
    """Where a rule's events go: exactly one of KINDS. `role_arn` is for targets that want a role other than ours."""

    queue: str = ""
    stream: str = ""
    bus: str = ""
    handler: str = ""
    job: str = ""
    workflow: str = ""
    pipeline: str = ""
    state_machine: str = ""
    arn: str = ""
    role_arn: str | None = None
    batch_parameters: BatchParameters | None = None
    sage_maker_pipeline_parameters: PipelineParameters | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: Transformer | None = None

    @property
    def place(self) -> tuple[str, str]:
        """(kind, name). Raises ValueError."""
        given = msgspec.to_builtins(self)
        named = [(kind, given[kind]) for kind in KINDS if kind in given]
        if len(named) != 1:
            found = " and ".join(kind for kind, _ in named) or "none"
            raise ValueError(f"a target has {found}; wanted one of {', '.join(KINDS)}")
        kind, name = named[0]
        if not _OF_KIND[kind].fullmatch(name):
            raise ValueError(f"{kind} is {name!r}; wanted {_OF_KIND[kind].pattern}")
        return kind, name

    @property
    def shaped(self) -> dict[str, Any]:
        """What of the target says how the event is handed over, as PutTargets takes it."""
        given = msgspec.to_builtins(self)
        return {name: given[name] for name in _AS_PUT if name in given}

    def check(self) -> None:
        """Raises ValueError for what could not be deployed."""
        kind, name = self.place
        job = JOB_KINDS.get(service_of(kind, name))
        for parameters in ("BatchParameters", "SageMakerPipelineParameters"):
            if parameters in self.shaped and (job is None or job.parameters != parameters):
                raise ValueError(f"{parameters} beside {kind} {name!r}; it takes none of these")
        if job is not None and job.required and job.parameters not in self.shaped:
            raise ValueError(f"{kind} {name!r} has no {job.parameters}; wanted JobDefinition and JobName in it")
        for parameter in pipeline_parameters(self.shaped):
            check_value(parameter["Name"], parameter["Value"])
        if self.role_arn is not None and not _ROLE.fullmatch(self.role_arn):
            raise ValueError(f"RoleArn is {self.role_arn!r}; wanted {_ROLE.pattern}")


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal", omit_defaults=True):
    """What is in a file. `alert` names the route that is told when an event cannot be handed over."""

    event_pattern: dict[str, Any]
    targets: list[RuleTarget]
    description: str = ""
    alert: str | None = None


class RuleEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the project, named as its file is."""

    name: str
    file: str
    rule: RuleFile
    alarms: bool = True


def read_rules(root: Path, *, alarms: bool = True) -> list[RuleEntry]:
    """The project's rules, by name. Raises BrokenProject naming the first file that cannot be used.

    `alarms`: whether the project wants them.
    """
    # What the generator remembers of its rules lies beside them, in hidden files.
    return [_read(root, file, alarms) for file in sorted((root / FOLDER).glob("[!.]*.json"))]


def _read(root: Path, file: Path, alarms: bool) -> RuleEntry:
    where = str(file.relative_to(root))
    if not _NAME.fullmatch(file.stem):
        raise BrokenProject(f"{where}: its name is the rule's: wanted at most 50 letters, digits, - and _")
    try:
        return RuleEntry(name=file.stem, file=where, rule=checked_rule(file.read_bytes()), alarms=alarms)
    except ValueError as error:
        raise BrokenProject(
            f"{where}: {error}",
            'for example: {"EventPattern": {"source": ["shop"]}, "Targets": [{"Queue": "audit"}]}',
        ) from error


def checked_rule(text: bytes) -> RuleFile:
    """Raises ValueError that says what was found and wanted."""
    rule = msgspec.json.decode(text.removeprefix(BOM_UTF8), type=RuleFile)
    try:
        parse(msgspec.json.encode(rule.event_pattern).decode())
    except InvalidPattern as error:
        raise ValueError(str(error)) from error
    if not 1 <= len(rule.targets) <= TARGETS_MAX:
        raise ValueError(f"{len(rule.targets)} targets; wanted 1 to {TARGETS_MAX}")
    for target in rule.targets:
        target.check()
    return rule


def check_rules(rules: Iterable[RuleEntry], handlers: Mapping[str, str]) -> None:
    """`handlers`: their files, by name. Raises BrokenProject for a rule that has a handler's name, or names none."""
    for entry in rules:
        if entry.name in handlers:
            raise BrokenProject(f"{entry.file}: {handlers[entry.name]} has the name {entry.name!r} too")
        for kind, name in (target.place for target in entry.rule.targets):
            if kind == "Handler" and name not in handlers:
                known = ", ".join(sorted(handlers)) or "none"
                raise BrokenProject(f"{entry.file}: there is no handler {name!r}; there are {known}")
