"""What a JavaScript or TypeScript function asks for: read from its files, nothing is run.

Packages are those of `package.json`, unless the code carries its `node_modules`. A handler's file that is TypeScript
is bundled with everything that it imports; one that is JavaScript runs as it is.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from busway.errors import BuildFailed

PACKAGE = "package.json"
LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
SETTINGS = ".npmrc"
MODULES = "node_modules"
_JAVASCRIPT = ("", ".js", ".mjs", ".cjs")
_TYPESCRIPT = (".ts", ".mts", ".cts", ".tsx")
# What of package.json says what is installed.
_WANTED = ("dependencies", "optionalDependencies")
_KEPT = (*_WANTED, "devDependencies", "peerDependencies", "peerDependenciesMeta", "overrides")
# https://docs.npmjs.com/cli/configuring-npm/package-json#dependencies
_FILE = re.compile(r"\s*(?:file:|link:|[./]|~/|[^:]*[/\\][^:]*\.(?:tgz|tar\.gz|tar)$)", re.IGNORECASE)
_LOCKED_FILE = re.compile(rb'"(?:resolved|version)"\s*:\s*"file:|"link"\s*:\s*true')
# npm's own note of what it installed: changes with it.
_INSTALLED = Path(MODULES, ".package-lock.json")


@dataclass(frozen=True, slots=True)
class Packages:
    """What npm is to install: files by name. With a lock file it installs exactly that."""

    digest: str
    files: tuple[tuple[str, bytes], ...]

    @property
    def locked(self) -> bool:
        return any(name in LOCKS for name, _ in self.files)


def packages_of(code: Path, node_major: int) -> Packages | None:
    """What the code asks for and does not carry; None for nothing. Raises `BuildFailed` for a file that is none."""
    file = code / PACKAGE
    if not file.is_file() or (code / MODULES).is_dir():
        return None
    try:
        package = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BuildFailed(f"{PACKAGE} is no JSON object: {error}") from error
    if not any(package.get(name) for name in _WANTED):
        return None
    kept = {"private": True, **{name: package[name] for name in _KEPT if name in package}}
    _check_places(package)
    files = [(PACKAGE, msgspec.json.encode(kept))]
    files += [(name, (code / name).read_bytes()) for name in (*LOCKS, SETTINGS) if (code / name).is_file()]
    _check_files(files)
    digest = hashlib.sha256(f"{node_major} {sysconfig.get_platform()}".encode())
    for name, data in files:
        digest.update(f"\n{name} {len(data)}\n".encode() + data)
    return Packages(digest.hexdigest()[:32], tuple(files))


def _check_places(package: dict[str, Any]) -> None:
    """npm runs in a folder of its own, and not for one function: files are not what it installs."""
    for group in _WANTED:
        try:
            wanted = msgspec.convert(package.get(group) or {}, dict[str, str])
        except msgspec.ValidationError as error:
            raise BuildFailed(f"{PACKAGE}: {group} are no names with versions: {error}") from error
        for name, place in wanted.items():
            if _FILE.match(place):
                raise BuildFailed(
                    f"{PACKAGE}: {name} is {place[:200]!r}, a file; wanted a version or an address, "
                    f"or its {MODULES} in the code"
                )


def _check_files(files: list[tuple[str, bytes]]) -> None:
    for name, data in files:
        if name == SETTINGS:
            for number, line in enumerate(data.splitlines(), 1):
                if b"${" in line and not line.lstrip().startswith((b"#", b";")):
                    raise BuildFailed(
                        f"{SETTINGS}, line {number}: asks for a variable of the environment; write what is meant"
                    )
        if name in LOCKS and _LOCKED_FILE.search(data):
            raise BuildFailed(f"{name} names a file to install; wanted addresses, or the {MODULES} in the code")


def typescript_of(code: Path, handler: str) -> Path | None:
    """The handler's file, below `code`, if it is TypeScript. As Node finds it, JavaScript comes first."""
    if ".." in handler:
        return None
    module = code / handler.rpartition("/")[0] / handler.rpartition("/")[2].partition(".")[0]
    if any(module.with_name(module.name + ending).is_file() for ending in _JAVASCRIPT):
        return None
    files = (module.with_name(module.name + ending) for ending in _TYPESCRIPT)
    return next((file for file in files if file.is_file()), None)


def code_digest(code: Path, *about: object) -> str:
    """A hash of the folder as it is now (names, sizes, times), of what npm installed in it, and of `about`."""
    digest = hashlib.sha256(f"{code} {about}".encode())
    for path in shipped_files(code):
        found = path.stat()
        digest.update(f"\n{path} {found.st_size} {found.st_mtime_ns}".encode(errors="surrogateescape"))
    if (code / _INSTALLED).is_file():
        digest.update((code / _INSTALLED).read_bytes())
    return digest.hexdigest()[:32]


def shipped_files(code: Path) -> Iterator[Path]:
    """The files of the code, without hidden ones and installed packages."""
    for path in sorted(code.iterdir()):
        if path.name.startswith(".") or path.name == MODULES or path.is_symlink():
            continue
        if path.is_dir():
            yield from shipped_files(path)
        elif path.is_file():
            yield path
