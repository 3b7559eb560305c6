"""The development loop: describe, deploy, wait for a save, again. A fault of the project is told and ends nothing."""

from __future__ import annotations

import asyncio
import importlib
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from busway.errors import BuswayError, MissingSecret
from busway.road.connection import Connection
from busway.road.deploy import deploy, refuse_a_namesake, retire_missing, target_problems
from busway.road.describe import describe
from busway.road.manifest import Manifest, function_name
from busway.road.root import NODE_SUFFIXES, is_test, other_handlers, read_config
from busway.road.secrets import is_sealed

# Several files saved at once are one change.
DEBOUNCE_MS = 120
# Ours: how soon a secret that was missing is noticed.
SECRET_MS = 1_000
# What a Node.js handler's function is called everywhere.
ENTRY = "handler"
_IGNORED = {".busway", ".venv", "venv", "__pycache__", ".git", ".pytest_cache", ".ruff_cache", "node_modules"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deploy is made with: where from, where to, and how the code gets there."""

    root: Path
    connection: Connection
    code: Callable[[Path], Mapping[str, Any]]
    environment: Mapping[str, str]
    say: Callable[[str], None]
    # Files of which it was said that they are not deployed: once is enough.
    told: set[Path] = field(default_factory=set[Path])


async def deploy_once(deployment: Deployment) -> Manifest:
    """Deploy the project as it is now, and end the handlers that it has no more."""
    _tell_of_other_handlers(deployment)
    manifest = await describe(deployment.root)
    folders = {entry.code: deployment.code(deployment.root / entry.code) for entry in manifest.handlers}
    codes = {entry.name: folders[entry.code] for entry in manifest.handlers}
    await asyncio.to_thread(refuse_a_namesake, manifest.project, deployment.root, deployment.connection)
    await asyncio.to_thread(deploy, manifest, codes, deployment.connection, deployment.environment, deployment.say)
    for name in await asyncio.to_thread(retire_missing, manifest, deployment.connection):
        deployment.say(f"{name} is gone; its dead letters are kept")
    for problem in await asyncio.to_thread(target_problems, manifest, deployment.connection):
        deployment.say(f"warning: {problem}")
    return manifest


def _tell_of_other_handlers(deployment: Deployment) -> None:
    project = read_config(deployment.root).name
    for file in other_handlers(deployment.root):
        if file not in deployment.told:
            deployment.told.add(file)
            deployment.say(by_hand(deployment.root, file, project, deployment.connection.endpoint))


def by_hand(root: Path, file: Path, project: str, endpoint: str) -> str:
    """How a handler of another kind is deployed: as any function is."""
    name = function_name(project, file.parent.name.replace("_", "-"))
    return (
        f"{file.relative_to(root)} is not deployed: a project's handlers are handler.py, and handler.ts where "
        "`busway init --language typescript` made a package.json. "
        f"As a function of its own, which runs what you save, and which a rule may have as its target:\n"
        f"  aws --endpoint-url {endpoint} lambda create-function --function-name {name} --runtime nodejs22.x "
        f"--handler handler.{ENTRY} --role arn:aws:iam::000000000000:role/any "
        f"--code S3Bucket=hot-reload,S3Key={shlex.quote(str(file.parent.resolve()))}"
    )


async def deploy_on_save(
    deployment: Deployment, failed: Callable[[BuswayError], None], missing: MissingSecret | None = None
) -> None:
    """Deploy after each save, and when a secret for want of which that failed is set, for ever.

    `missing`: what the deploy before this failed by.
    """
    async for files in saved_files(deployment.root):
        if not files and not (missing and await asyncio.to_thread(is_sealed, missing.name, deployment.connection)):
            continue
        deployment.say(f"saved {', '.join(files)}" if files else "the secret is set")
        missing = None
        try:
            await deploy_once(deployment)
        except BuswayError as error:
            missing = error if isinstance(error, MissingSecret) else None
            failed(error)
            deployment.say("what was deployed before goes on")


async def saved_files(root: Path) -> AsyncIterator[list[str]]:
    """The names of files that were written or removed, batch by batch, for ever; none after a second without any."""
    # Loaded when first used (it is compiled code); its type has a hole that is closed here.
    awatch: Any = importlib.import_module("watchfiles").awatch
    quiet = {"rust_timeout": SECRET_MS, "yield_on_timeout": True}
    async for changes in awatch(root, debounce=DEBOUNCE_MS, step=20, recursive=True, **quiet):
        paths = [file for _, path in changes for file in _files_of(Path(path))]
        names = sorted({str(file.relative_to(root.resolve())) for file in paths})
        wanted = [name for name in names if deployable(name)]
        if wanted or not changes:
            yield wanted


def _files_of(path: Path) -> list[Path]:
    """What a change is about: of a new folder, what was in it before the system began to watch it."""
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def deployable(name: str) -> bool:
    """Whether a change of this file can change what runs. Tests don't; editors' own files don't."""
    path = Path(name)
    hidden = any(part in _IGNORED or part.startswith(".") for part in path.parts)
    return not hidden and not is_test(path.name) and path.suffix in (".py", ".toml", ".json", *NODE_SUFFIXES)
