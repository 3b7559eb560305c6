"""Where a project begins, what it is called, and which files in it are its handlers. Imports nothing of it.

A project in Python has its settings in pyproject.toml, `[tool.busway]`, one in TypeScript in package.json,
`"busway"`; both may lie in one folder, and then pyproject.toml says what the project is called.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from busway.errors import BrokenProject, ProjectNotFound

PYTHON, NODE = "pyproject.toml", "package.json"
# Where a handler lies in its folder, by language.
PYTHON_HANDLER, NODE_HANDLER = "handler.py", "handler.ts"
Language = Literal["python", "typescript"]
SUFFIXES: dict[Language, str] = {"python": ".py", "typescript": ".ts"}
NODE_SUFFIXES = (".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs")


# The target of an environment that is no Busway server.
AWS = "aws"


# What CloudWatch Logs takes.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LogDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]


class _Environment(msgspec.Struct, forbid_unknown_fields=True):
    target: str


class AwsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a project lies on AWS. What is None is found out when it is deployed: the shell's region, its account.

    `account`: deploying to another one is refused. `bucket`: where code and templates lie, instead of one that is
    made for it. `create_bus`: whether the stack has the bus, or finds it there. `bus_logs`: the level of
    its log. `python`: the version on Lambda.
    """

    target: Literal["aws"] = "aws"
    region: str | None = None
    account: str | None = None
    bucket: str | None = None
    stack: str | None = None
    create_bus: bool = True
    bus_logs: Literal["error", "info", "trace"] | None = None
    log_days: LogDays = 30
    architecture: Literal["arm64", "x86_64"] = "arm64"
    python: Literal["3.11", "3.12", "3.13", "3.14"] = "3.13"


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """`name` begins the names of all that is deployed. `targets`: by environment, "aws" or a server's address.

    `aws`: what is set of the environments on AWS.
    """

    name: str
    bus: str = "default"
    targets: Mapping[str, str] = field(default_factory=dict[str, str])
    aws: Mapping[str, AwsSettings] = field(default_factory=dict[str, AwsSettings])
    alarms: bool = True


def find_root(start: Path) -> Path:
    """The folder upwards of `start` that is a project. Raises ProjectNotFound."""
    for folder in (start.resolve(), *start.resolve().parents):
        if is_python(folder) or is_node(folder):
            return folder
    raise ProjectNotFound(str(start))


def is_python(root: Path) -> bool:
    """Whether the folder is a project that may have Python in it."""
    return (root / PYTHON).is_file() and "busway" in _toml(root / PYTHON).get("tool", {})


def is_node(root: Path) -> bool:
    """Whether the folder is a project that may have TypeScript in it."""
    return (root / NODE).is_file() and "busway" in read_package(root)


def languages(root: Path) -> list[Language]:
    """What handlers of the project may be written in."""
    found: dict[Language, bool] = {"python": is_python(root), "typescript": is_node(root)}
    return [language for language, may in found.items() if may]


def read_config(root: Path) -> ProjectConfig:
    """Raises BrokenProject naming the key, what was found and what was wanted."""
    if is_python(root):
        document = _toml(root / PYTHON)
        file, where = root / PYTHON, "[tool.busway]"
        table, project = document["tool"]["busway"], document.get("project", {})
    else:
        project = read_package(root)
        file, where, table = root / NODE, '"busway"', project["busway"]
    if not isinstance(table, dict):
        raise BrokenProject(f"{file}: {where} is {table!r}; wanted a table with name, bus and env, or an empty one")
    settings = cast(dict[str, Any], table)
    unknown = sorted(set(settings) - {"name", "bus", "env", "alarms"})
    if unknown:
        raise BrokenProject(f"{file}: {where} has {unknown[0]!r}; it knows name, bus, alarms and env")
    # A package of an npm scope is called @scope/name.
    name = settings.get("name", str(project.get("name", root.name)).rpartition("/")[2])
    bus = settings.get("bus", "default")
    for key, value in (("name", name), ("bus", bus)):
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
            raise BrokenProject(f"{file}: {key} is {value!r}; wanted letters, digits, ., - and _")
    on_aws, others = _on_aws(file, settings.get("env", {}))
    targets = {**_targets(file, others), **dict.fromkeys(on_aws, AWS)}
    alarms = settings.get("alarms", True)
    if not isinstance(alarms, bool):
        raise BrokenProject(f"{file}: alarms is {alarms!r}; wanted true or false")
    return ProjectConfig(re.sub(r"\.", "-", name), bus, targets, on_aws, alarms)


def _on_aws(file: Path, given: object) -> tuple[dict[str, AwsSettings], object]:
    """The environments on AWS, and all that is left. Raises BrokenProject."""
    if not isinstance(given, dict):
        return {}, given
    tables = cast(dict[str, Any], given)
    found = {name: cast(dict[str, Any], one) for name, one in tables.items() if isinstance(one, dict)}
    on_aws = {name: one for name, one in found.items() if one.get("target") == AWS}
    others = {name: one for name, one in tables.items() if name not in on_aws}
    # package.json writes as TypeScript does: logDays.
    settings = {
        name: {re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in one.items()}
        for name, one in on_aws.items()
    }
    for name in settings:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,30}", name):
            raise BrokenProject(f"{file}: env.{name}: wanted at most 30 letters, digits and - as its name")
    try:
        return msgspec.convert(settings, dict[str, AwsSettings]), others
    except msgspec.ValidationError as error:
        known = ", ".join(AwsSettings.__struct_fields__)
        raise BrokenProject(f"{file}: env: {error}", f"an environment on AWS has {known}: docs/aws.md") from error


def _targets(file: Path, given: object) -> dict[str, str]:
    """Where each environment is. Raises BrokenProject."""
    try:
        found = msgspec.convert(given, dict[str, _Environment])
    except msgspec.ValidationError as error:
        raise BrokenProject(f"{file}: env: {error}", 'for example: [tool.busway.env.prod] target = "aws"') from error
    for name, environment in found.items():
        if environment.target != AWS and not re.match(r"https?://[^/]", environment.target):
            raise BrokenProject(
                f"{file}: env.{name}: target is {environment.target!r}; wanted {AWS!r}, or a Busway server's address",
                'for example: target = "https://bus.example.com"',
            )
    return {name: environment.target for name, environment in found.items()}


def read_package(root: Path) -> dict[str, Any]:
    """package.json. Raises BrokenProject."""
    file = root / NODE
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BrokenProject(f"{file} is no JSON object: {error}") from error


def handler_files(root: Path) -> list[Path]:
    """The files of the project's handlers, in any language, sorted by folder."""
    names = [PYTHON_HANDLER, *([NODE_HANDLER] if is_node(root) else [])]
    return sorted(file for name in names for file in (root / "handlers").glob(f"*/{name}"))


def event_files(root: Path) -> list[Path]:
    """The files that may define events in TypeScript."""
    files = sorted((root / "events").glob("*.ts"))
    return [file for file in files if not (is_test(file.name) or file.name.endswith(".d.ts"))]


def is_test(name: str) -> bool:
    """Whether a file of this name is a test, in either language."""
    return name.startswith("test_") or ".test." in name


def handler_names(root: Path) -> set[str]:
    """What the handlers of the project are called, unless they say so themselves: as their folders, with hyphens."""
    return {file.parent.name.replace("_", "-") for file in handler_files(root)}


def other_handlers(root: Path) -> list[Path]:
    """Handlers in folders of their own that a project does not deploy."""
    deployed = {file.parent for file in handler_files(root)}
    found = [file for suffix in NODE_SUFFIXES for file in (root / "handlers").glob(f"*/handler{suffix}")]
    return sorted(file for file in found if file.parent not in deployed)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BrokenProject(f"{file} is not TOML: {error}") from error
