"""What a project's handlers in Python depend on, for Lambda's platform: resolved and installed by uv.

That is what pyproject.toml declares, without boto3 and botocore, which Lambda has, and without Busway, of which a
handler gets the few modules that it imports; these need pydantic. `uv.lock` pins the rest, where the project has one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from busway.errors import BrokenProject, BuildFailed
from busway.function.build.tools import find_uv
from busway.road.root import PYTHON, AwsSettings

# https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html (the SDK that is part of the runtime)
GIVEN = ("boto3", "botocore", "s3transfer")
# Amazon Linux 2023 has glibc 2.34: https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html
_PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
_NEEDED_BY_BUSWAY = "pydantic"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
PLACE = Path(".busway", "aws")
_SAID_MAX = 3_000
# What an installer leaves behind that says when and how, and nothing that runs.
_TRACES = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")


def requirements_of(root: Path) -> list[str]:
    """What is asked for, as pyproject.toml says it."""
    declared: list[str] = (
        tomllib.loads((root / PYTHON).read_text(encoding="utf-8")).get("project", {}).get("dependencies", [])
    )
    wanted = [line for line in declared if _name_of(line) not in (*GIVEN, "busway")]
    extras = {extra for line in declared if _name_of(line) == "busway" for extra in _extras_of(line)}
    ours = [line for line in requires("busway") or [] if _is_for(line, extras)]
    # What is asked for is asked for outright.
    return wanted + [line.partition(";")[0].strip() for line in ours]


def _is_for(requirement: str, extras: set[str]) -> bool:
    """Whether one of Busway's own requirements is for its modules in a zip, or for an extra that is asked for."""
    extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
    return extra[1] in extras if extra else _name_of(requirement) == _NEEDED_BY_BUSWAY


def _extras_of(requirement: str) -> list[str]:
    found = re.search(r"\[([^\]]*)\]", requirement)
    return [extra.strip() for extra in found[1].split(",")] if found else []


async def install(root: Path, settings: AwsSettings) -> Path:
    """The folder that holds them; made once for what they resolve to. Raises BrokenProject with what uv says."""
    place = root / PLACE
    place.mkdir(parents=True, exist_ok=True)
    platform = ("--python-version", settings.python, "--python-platform", _PLATFORMS[settings.architecture])
    pins = await _pins(root, place, platform)
    folder = place / f"packages-{hashlib.sha256(f'{platform} {pins}'.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    # Beside its place, so that what is there is whole, whenever this ends.
    scratch, listed = place / f"packages-{os.getpid()}", place / f"pins-{os.getpid()}.txt"
    shutil.rmtree(scratch, ignore_errors=True)
    listed.write_text(pins, encoding="utf-8")
    try:
        await _uv(
            root, "pip", "install", "--no-deps", "--target", str(scratch), *platform, "--only-binary", ":all:",
            "--link-mode", "copy", "--requirements", str(listed),
        )  # fmt: skip
    finally:
        listed.unlink()
    scratch.mkdir(exist_ok=True)
    scratch.rename(folder)
    return folder


def installed_files(folder: Path) -> dict[str, Path]:
    """By their place in the zip, without what only an installer reads."""
    found: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        hidden = name.startswith((".", "bin/")) or "__pycache__" in file.parts
        trace = file.parent.name.endswith(".dist-info") and file.name in _TRACES
        if file.is_file() and not hidden and not trace:
            found[name] = file
    return found


async def _pins(root: Path, place: Path, platform: tuple[str, ...]) -> str:
    files = {name: place / f"{name}-{os.getpid()}.txt" for name in ("wanted", "given", "locked")}
    try:
        files["wanted"].write_text("\n".join(requirements_of(root)), encoding="utf-8")
        files["given"].write_text("\n".join((*GIVEN, "busway")), encoding="utf-8")
        constraints: tuple[str, ...] = ()
        if (root / "uv.lock").is_file():
            files["locked"].write_text(
                await _uv(
                    root, "export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--no-annotate",
                    "--no-header",
                ),
                encoding="utf-8",
            )  # fmt: skip
            constraints = ("--constraints", str(files["locked"]))
        return await _uv(
            root, "pip", "compile", str(files["wanted"]), "--no-header", "--no-annotate", *platform,
            "--only-binary", ":all:", "--excludes", str(files["given"]), *constraints,
        )  # fmt: skip
    finally:
        for file in files.values():
            file.unlink(missing_ok=True)


async def _uv(root: Path, *words: str) -> str:
    """What uv writes. Raises BrokenProject."""
    try:
        uv = find_uv(os.environ)
    except BuildFailed as error:
        raise BrokenProject(str(error)) from error
    process = await asyncio.create_subprocess_exec(
        *(uv, *words, "--quiet", "--color", "never"),
        cwd=root,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, said = await process.communicate()
    if process.returncode == 0:
        return output.decode()
    problem = said.decode(errors="replace")[-_SAID_MAX:].strip()
    raise BrokenProject(
        f"{root / PYTHON}: its dependencies cannot be had for Lambda:\n{problem}",
        "a package without a wheel for this platform may have one for the other: architecture in docs/aws.md",
    )


def _name_of(requirement: str) -> str:
    found: Any = _NAME.match(requirement.strip())
    return found[0].lower().replace("_", "-") if found else ""
