"""What tests of functions upload and install: zips of several files, wheels and npm packages made on the spot."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import NoReturn

import pytest

from busway.function.build.tools import ESBUILD, ESBUILD_LOCK

ROOT = Path(__file__).parents[2]
# Kept between runs, like the environment; `make clean` removes it.
CACHE = ROOT / ".build"
INSTALL_S = 300
NODE_MIN = 20


def packed(files: Mapping[str, str | bytes]) -> bytes:
    """A zip of these files; those called `bootstrap` may be run."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name == "bootstrap" else 0o644) << 16
            archive.writestr(entry, dedent(content) if isinstance(content, str) else content)
    return buffer.getvalue()


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """The folder, with these files in it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def wheel(folder: Path, name: str, version: str, source: str) -> Path:
    """A Python package of one module, as pip's registries have them."""
    about = f"{name}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return path


def npm_package(folder: Path, name: str, source: str, **members: object) -> Path:
    """An npm package of one file, as the registry has them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.tgz"
    about = json.dumps({"name": name, "version": "1.0.0", "main": "index.js", **members})
    with tarfile.open(path, "w:gz") as archive:
        for file, text in (("package.json", about), ("index.js", source)):
            entry = tarfile.TarInfo(f"package/{file}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def npm_installed(name: str, source: Path) -> Path:
    """A folder with what `source`'s lock file names. Skips where npm can't have it, or fails where it is required."""
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(found.removeprefix("v").split(".")[0]) < NODE_MIN:
        unavailable(f"needs Node.js {NODE_MIN} or newer, found {found}")
    if shutil.which("npm") is None:
        unavailable("needs npm: it comes with Node.js")
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    lock, done = (source / "package-lock.json").read_bytes(), folder / "installed.json"
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not done.exists() or done.read_bytes() != lock:
            for file in ("package.json", "package-lock.json"):
                shutil.copyfile(source / file, folder / file)
            _npm_ci(folder)
            done.write_bytes(lock)
    return folder


def _npm_ci(folder: Path) -> None:
    npm = subprocess.run(
        ["npm", "ci", "--omit-lockfile-registry-resolved", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False,
    )  # fmt: skip
    if npm.returncode:
        unavailable(f"packages could not be installed: npm ci ended with {npm.returncode}\n{npm.stderr[-2_000:]}")


def unavailable(reason: str) -> NoReturn:
    if "node" in os.environ.get("BUSWAY_REQUIRED", "").split(","):
        pytest.fail(f"{reason} (node is listed as required)", pytrace=False)
    pytest.skip(reason)


def put_esbuild(data: Path) -> None:
    """Give a server's data folder the bundler that it would fetch itself the first time."""
    fetched = npm_installed(f"esbuild-{ESBUILD}", ESBUILD_LOCK)
    shutil.copytree(fetched, data / "tools" / f"esbuild-{ESBUILD}", symlinks=True)


def put_road_packages(project: Path) -> None:
    """Give a generated project in TypeScript the packages that `npm install` would; npm itself is not waited for."""
    fetched = npm_installed("road", ROOT / "tests" / "node" / "road") / "node_modules"
    modules = project / "node_modules"
    modules.mkdir()
    for package in fetched.iterdir():
        (modules / package.name).symlink_to(package)
    # As npm does for a package that is a folder.
    (modules / "busway").symlink_to(Path("..", ".busway", "npm"))


def put_eventbridge_client(project: Path) -> None:
    """As `npm install @aws-sdk/client-eventbridge` does, after `put_road_packages`."""
    scope = project / "node_modules" / "@aws-sdk"
    others = list(scope.iterdir())
    scope.unlink()
    scope.mkdir()
    fetched = npm_installed("node", ROOT / "tests" / "node") / "node_modules" / "@aws-sdk" / "client-eventbridge"
    for package in (fetched, *others):
        (scope / package.name).symlink_to(package.resolve())
