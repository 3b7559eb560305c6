"""A project and a server: what deploying would do, doing it, and going back."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from busway.errors import BrokenProject, ServerRefused
from busway.road.aws.imports import needed_by
from busway.road.connection import Connection
from busway.road.deploy import deployed_tags, say_unknown_routes, zip_code
from busway.road.describe import describe
from busway.road.function_plan import Ground
from busway.road.manifest import HANDLER_TAG, HandlerEntry, Manifest, function_name
from busway.road.plan import plan as steps_of
from busway.road.release.changes import Change, changes
from busway.road.release.drift import Drift, drift, strays
from busway.road.release.execute import end, execute
from busway.road.release.history import Deployment, History, Journal, is_gone, maker, read_history
from busway.road.release.ownership import check_ownership
from busway.road.release.plan import LIVE, Plan, back, forward, outlived
from busway.road.release.variables import variables_of
from busway.road.root import handler_files
from busway.road.rule_plan import rule_plan
from busway.road.rules import FOLDER as RULES
from busway.road.secrets import seal_secrets

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Project:
    """A project as it is to be deployed: `codes` by handler, as Lambda takes them."""

    manifest: Manifest
    codes: Mapping[str, Mapping[str, Any]]
    commit: str = ""

    @property
    def shas(self) -> dict[str, str]:
        """CodeSha256 by handler."""
        return {name: _sha256(code["ZipFile"]) for name, code in self.codes.items()}


@dataclass(frozen=True, slots=True)
class Review:
    """What deploying would do: the changes, what is drifted on the server, and the stages."""

    project: Project
    history: History
    changes: Sequence[Change]
    drift: Sequence[Drift]
    plan: Plan

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.drift and not self.history.unfinished and all(one.kind == "same" for one in self.changes)


async def read_project(root: Path) -> Project:
    """Raises BrokenProject."""
    manifest = await describe(root)
    return Project(manifest, {entry.name: code_of(root, entry) for entry in manifest.handlers}, commit_of(root))


def code_of(root: Path, entry: HandlerEntry) -> dict[str, Any]:
    """A handler's zip: its bundle, or the project without the other handlers, whose changes are none of its own."""
    if entry.code:
        return zip_code(root / entry.code)
    needed = needed_by(root, [entry.entry_point.rpartition(".")[0]]).files
    others = [file.parent for file in handler_files(root) if file != root / entry.file]

    def is_anothers(file: Path) -> bool:
        rules = file.parent == root / RULES and file.suffix == ".json"
        return (rules or any(map(file.is_relative_to, others))) and str(file.relative_to(root)) not in needed

    return zip_code(root, is_anothers)


def commit_of(root: Path) -> str:
    """Git's, with a + where files of the project differ from it or are not in it; "" where there is none."""
    name = _git(root, "rev-parse", "--short=12", "HEAD")
    return f"{name}+" if name and _git(root, "status", "--porcelain", "--", ".") else name


def _git(root: Path, *words: str) -> str:
    """What git says; "" where it fails, or is not there."""
    try:
        told = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


def review(project: Project, connection: Connection, environment: Mapping[str, str]) -> Review:
    """Asks the server, and changes nothing. Raises BrokenProject, ServerUnreachable, ServerRefused."""
    manifest = project.manifest
    history, deployed = read_history(connection, manifest.project), variables_of(manifest, connection)
    ground = _ground(connection, {**deployed.all, **environment})
    live = history.live
    released = live.released if live else {}
    check_ownership(manifest, connection)
    others = deployed.differences(ground.environment)
    found = changes(live.manifest if live else None, released, manifest, project.shas, others)
    same = {(one.what, one.name) for one in found if one.kind == "same"}
    steps = [one for one in steps_of(manifest, project.codes, ground) if ("handler", one.name) in same]
    steps += [one for one in rule_plan(manifest, ground.scope, LIVE) if ("rule", one.name) in same]
    drifted = drift(connection, steps, manifest, released)
    redo = {one.name for one in drifted} | _touched(history.unfinished)
    before = [one.manifest for one in (*history.unfinished, *([live] if live else []))]
    plan = forward(manifest, project.codes, ground, found, before, frozenset(redo), strays(drifted))
    return Review(project, history, found, drifted, plan)


def _touched(unfinished: Sequence[Deployment]) -> set[str]:
    """Whatever a deployment that did not get to its end may have left half done."""
    return {entry.name for one in unfinished for entry in (*one.manifest.handlers, *one.manifest.rules)}


def deploy(review: Review, connection: Connection, environment: Mapping[str, str], say: Say) -> Deployment:
    """Make it so; the deployment that runs now. Raises BrokenProject when a version fails its trial."""
    project, live = review.project, review.history.live
    seal_secrets(project.manifest, connection, environment, say)
    begun = Deployment(
        number=review.history.next_number, state="running", by=maker(), manifest=project.manifest,
        released=live.released if live else {}, commit=project.commit,
    )  # fmt: skip
    return _make(review.plan, begun, review.history, connection, say)


def roll_back(project: str, connection: Connection, say: Say) -> Deployment:
    """To what ran before; the deployment that runs now. Raises BrokenProject when there is none, or it is gone."""
    history = read_history(connection, project)
    to, live = history.before, history.live
    if to is None or live is None:
        raise BrokenProject(f"there is no earlier deployment of {project} on {connection.endpoint} to go back to")
    for name, released in to.released.items():
        _check_version(connection, function_name(project, name), released.version, to)
    others = [one.manifest for one in (*history.unfinished, live)]
    plan = back(to, _ground(connection, {}), others)
    begun = Deployment(
        number=history.next_number, state="running", by=maker(), manifest=to.manifest, released=to.released,
        commit=to.commit, again=to.again or to.number,
    )  # fmt: skip
    return _make(plan, begun, history, connection, say)


def _make(plan: Plan, begun: Deployment, history: History, connection: Connection, say: Say) -> Deployment:
    left = next((one.by for one in history.unfinished if one.state == "running" and is_gone(one.by)), "")
    journal = Journal(connection, begun, takes_over=left)
    execute(plan, connection, journal, say)
    _tidy(begun.manifest.project, connection, say)
    say_unknown_routes(begun.manifest, connection, say)
    return journal.deployment


def _tidy(project: str, connection: Connection, say: Say) -> None:
    """Delete versions and functions that no deployment has any more which a rollback could go back to."""
    kept = read_history(connection, project).deployments
    wanted = {entry.name for one in kept for entry in one.manifest.handlers}
    there = [tags[HANDLER_TAG] for tags in deployed_tags(project, connection) if HANDLER_TAG in tags]
    gone = sorted(set(there) - wanted)
    end(outlived(project, gone, _ground(connection, {})), connection, say)
    for name in sorted(set(there) & wanted):
        versions = {one.released[name].version for one in kept if name in one.released}
        _delete_versions(connection, function_name(project, name), versions)


def _delete_versions(connection: Connection, function: str, kept: set[str]) -> None:
    page: dict[str, Any] = {"FunctionName": function}
    found: list[str] = []
    while True:
        answer = connection.call("lambda", "ListVersionsByFunction", page)
        found += [str(one["Version"]) for one in answer["Versions"]]
        if not answer.get("NextMarker"):
            break
        page["Marker"] = answer["NextMarker"]
    newest = max((int(one) for one in found if one.isdigit()), default=0)
    for version in found:
        # The newest may be one that failed its trial: it goes when there is a newer one.
        if version.isdigit() and version not in kept and int(version) < newest:
            connection.call("lambda", "DeleteFunction", {"FunctionName": function, "Qualifier": version})


def _ground(connection: Connection, environment: Mapping[str, str]) -> Ground:
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Ground(connection.scope, runtime, environment, LIVE)


def _check_version(connection: Connection, function: str, version: str, to: Deployment) -> None:
    try:
        connection.call("lambda", "GetFunctionConfiguration", {"FunctionName": function, "Qualifier": version})
    except ServerRefused as refusal:
        if refusal.code != "ResourceNotFoundException":
            raise
        raise BrokenProject(
            f"version {version} of {function}, which ran in deployment {to.number}, is gone",
            f"deploy it again: git checkout {to.commit}" if to.commit else "deploy it again from its source",
        ) from refusal


def _sha256(data: bytes) -> str:
    """As AWS's CodeSha256."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
