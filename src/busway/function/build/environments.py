"""What functions need beyond their code: each thing a folder below the data folder, named by the hash of its making.

    environments/python-<hash>/packages/        what uv installed
    environments/npm-<hash>/node_modules/       what npm installed
    environments/bundle-<hash>/                 a TypeScript handler and what it imports, as one JavaScript file
    environments/code-<hash>/app/               JavaScript that needs packages, copied to where Node finds them
    tools/esbuild-<version>/                    the bundler

A folder is made beside its place, synced and renamed, so it is whole or not there; functions that need the same share
it. Nothing is changed in a function's own code folder.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from busway.clock import Clock, Entropy
from busway.errors import BuildFailed, StorageFull
from busway.function.build import Built, node as javascript, python
from busway.function.build.examined import examine
from busway.function.build.tools import (
    ESBUILD,
    ESBUILD_LOCK,
    HINT_ESBUILD,
    HINT_NODE,
    NPM_OPTIONS,
    Job,
    Machine,
    Tools,
    esbuild_in,
    find_uv,
    need_npm,
)
from busway.function.runtimes import runtime_kind
from busway.function.runtimes.node import Node, find_node

_SCRATCH = ".new-"
_PYTHON, _NPM, _BUNDLE, _CODE = "python-", "npm-", "bundle-", "code-"
_APP, _PACKAGES = "app", "packages"
# uv leaves out what is overridden with a condition that is never true, also below other packages.
_LEFT_OUT = f"{python.OURS} ; sys_platform == 'never'\n"


@dataclass(frozen=True, slots=True)
class Wish:
    """What one function asks for. `key` names all of it."""

    key: str
    requirements: python.Requirements | None = None
    own_environment: Path | None = None
    packages: javascript.Packages | None = None
    typescript: Path | None = None


class Environments:
    """The `Builder` of a server. `data` is its folder; code outside of it is a user's own, as in development."""

    def __init__(
        self, data: Path, machine: Machine, clock: Clock, entropy: Entropy, sync_tree: Callable[[Path], None]
    ) -> None:
        self._data, self._folder = data, data / "environments"
        self._tools = Tools(data / "tools", data / "tmp", machine)
        self._clock, self._entropy, self._sync_tree = clock, entropy, sync_tree
        self._environment = machine.environment
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        # When each folder was last asked for: none of them is swept while that is recent.
        self._asked: dict[Path, float] = {}

    # --- the seam ---

    def key(self, code: Path, runtime: str, handler: str) -> str | None:
        try:
            wish = self._wish(code, runtime, handler)
        except BuildFailed as failure:
            # `build` says it again, as the reason of the function's state.
            return hashlib.sha256(f"{code} {failure.reason}".encode()).hexdigest()
        return None if wish is None else wish.key

    async def build(self, code: Path, runtime: str, handler: str) -> Built:
        wish = await asyncio.to_thread(self._wish, code, runtime, handler)
        if wish is None:
            return Built()
        if wish.own_environment is not None:
            return Built(python_path=(str(wish.own_environment),))
        if wish.requirements is not None:
            return Built(python_path=(await self._python_packages(wish.requirements, code),))
        modules = None if wish.packages is None else await self._node_packages(wish.packages)
        if wish.typescript is not None:
            bundle = await self._bundle(wish, code, modules)
            # Packages are kept though they are in the bundle: that of changed code needs them again.
            return Built(node_path=() if modules is None else (str(modules),), entry=bundle)
        assert modules is not None
        folder = await self._beside(wish, code, modules)
        # The link too: a worker that sees only what is named must be able to follow it.
        return Built(node_path=(str(modules), str(folder / javascript.MODULES)), entry=str(folder / _APP))

    async def sweep(self, used: Iterable[Built], unused_s: float) -> None:
        kept = {
            Path(path).relative_to(self._folder).parts[0]
            for built in used
            for path in (*built.python_path, *built.node_path, built.entry)
            if path and Path(path).is_relative_to(self._folder)
        }
        now = self._clock.monotonic()
        recent = {path.name for path, at in self._asked.items() if unused_s > 0 and now - at < unused_s}
        self._asked = {path: at for path, at in self._asked.items() if path.name in recent}
        await asyncio.to_thread(_remove_others, self._folder, kept | recent, scratch=unused_s <= 0)
        await asyncio.to_thread(_remove_others, self._tools.folder, {f"esbuild-{ESBUILD}"}, scratch=unused_s <= 0)

    # --- what is wanted ---

    def _wish(self, code: Path, runtime: str, handler: str) -> Wish | None:
        kind = runtime_kind(runtime)
        if kind == "python3":
            return self._python_wish(code)
        return _node_wish(code, handler) if kind == "nodejs" else None

    def _python_wish(self, code: Path) -> Wish | None:
        live = not code.is_relative_to(self._data)
        wanted = python.requirements_of(code, live=live)
        if wanted is None:
            return None
        own = python.own_environment(code) if live else None
        if own is not None:
            return Wish(f"own {own}", own_environment=own)
        return Wish(_PYTHON + wanted.digest, requirements=wanted)

    # --- making it ---

    async def _python_packages(self, wanted: python.Requirements, code: Path) -> str:
        uv = find_uv(self._environment)

        async def install(folder: Path) -> None:
            left_out, at = folder / "left-out.txt", code
            left_out.write_text(_LEFT_OUT, encoding="utf-8")
            if wanted.local:
                # Building a package writes into its folder.
                at = folder / "code"
                await asyncio.to_thread(_copy_source, code, at, self._data)
            said = wanted.told(code, at)
            file, bounds = folder / python.REQUIREMENTS, folder / "constraints.txt"
            file.write_text("\n".join(said.requirements) + "\n", encoding="utf-8")
            bounds.write_text("\n".join(said.constraints) + "\n", encoding="utf-8")
            # With hashes uv takes nothing that has none, an override neither.
            overrides = () if wanted.hashed else ("--overrides", str(left_out))
            command = (
                uv, "pip", "install", "--no-config", "--no-editable", "--quiet", "--no-progress", "--color", "never",
                "--python", sys.executable, "--target", str(folder / _PACKAGES), "--link-mode", "copy",
                "--compile-bytecode", "--requirements", str(file), "--constraints", str(bounds), *overrides,
            )  # fmt: skip
            await self._tools.run(Job("installing the Python dependencies", command, folder, at, (code,)))
            if wanted.local:
                await asyncio.to_thread(shutil.rmtree, at)
            await asyncio.to_thread(examine, folder, _PACKAGES)

        return str(await self._made(self._folder / (_PYTHON + wanted.digest), install) / _PACKAGES)

    async def _node_packages(self, wanted: javascript.Packages) -> Path:
        npm = need_npm(find_node())

        async def install(folder: Path) -> None:
            for name, data in wanted.files:
                (folder / name).write_bytes(data)
            how = "ci" if wanted.locked else "install"
            command = (*npm, how, *NPM_OPTIONS)
            await self._tools.run(Job("installing the npm dependencies", command, folder, folder))
            await asyncio.to_thread(examine, folder, javascript.MODULES)
            # npm makes none when every dependency is left out on this platform.
            (folder / javascript.MODULES).mkdir(exist_ok=True)

        return await self._made(self._folder / (_NPM + wanted.digest), install) / javascript.MODULES

    async def _bundle(self, wish: Wish, code: Path, modules: Path | None) -> str:
        assert wish.typescript is not None
        source = wish.typescript
        node, esbuild = _need_node(), await self._esbuild()

        async def bundle(folder: Path) -> None:
            out = (folder / source.relative_to(code)).with_suffix(".mjs")
            found = {"NODE_PATH": str(modules)} if modules is not None else {}
            command = (
                str(esbuild), str(source), "--bundle", "--platform=node", "--format=esm",
                f"--target=node{node.major}", f"--outfile={out}", "--sourcemap", "--sources-content=false",
                "--log-level=warning", "--color=false",
            )  # fmt: skip
            reads = () if modules is None else (modules,)
            what = f"bundling {source.relative_to(code)}"
            # In development packages may lie above the folder, or behind links: workspaces.
            own = not code.is_relative_to(self._data)
            await self._tools.run(Job(what, command, folder, code, reads, found, trusted=own))

        return str(await self._made(self._folder / wish.key, bundle))

    async def _esbuild(self) -> Path:
        npm = need_npm(find_node())

        async def install(folder: Path) -> None:
            shutil.copytree(ESBUILD_LOCK, folder, dirs_exist_ok=True)
            try:
                command = (*npm, "ci", *NPM_OPTIONS)
                await self._tools.run(Job(f"fetching esbuild {ESBUILD} from npm", command, folder, folder))
            except BuildFailed as failure:
                raise BuildFailed(f"{failure.reason}\n{HINT_ESBUILD}") from failure

        folder = await self._made(self._tools.folder / f"esbuild-{ESBUILD}", install)
        found = esbuild_in(folder)
        if found is None:
            raise BuildFailed(f"npm has no esbuild {ESBUILD} for this machine; write the handler in JavaScript")
        return found

    async def _beside(self, wish: Wish, code: Path, modules: Path) -> Path:
        """JavaScript that needs packages: Node finds them above the folder in which a file really lies."""

        async def copy(folder: Path) -> None:
            (folder / javascript.MODULES).symlink_to(modules, target_is_directory=True)
            await asyncio.to_thread(_copy, code, folder / _APP)

        return await self._made(self._folder / wish.key, copy)

    async def _made(self, target: Path, make: Callable[[Path], Awaitable[None]]) -> Path:
        """The folder, made now unless it is there. Whoever asks meanwhile waits for the same making."""
        self._asked[target] = self._clock.monotonic()
        lock = self._locks.setdefault(target, asyncio.Lock())
        async with lock:
            if target.is_dir():
                return target
            scratch = target.parent / f"{_SCRATCH}{self._entropy.token(8).hex()}"
            try:
                await asyncio.to_thread(scratch.mkdir, parents=True)
                await make(scratch)
                await asyncio.to_thread(self._put_in_place, scratch, target)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise StorageFull(f"no space for what the function needs below {target.parent}") from error
                raise BuildFailed(f"what the function needs can't be written: {error}") from error
            finally:
                await asyncio.to_thread(shutil.rmtree, scratch, True)
        return target

    def _put_in_place(self, scratch: Path, target: Path) -> None:
        self._sync_tree(scratch)
        scratch.rename(target)
        self._sync_tree(target)


def _node_wish(code: Path, handler: str) -> Wish | None:
    node = find_node()
    major = 0 if node is None else node.major
    packages, typescript = javascript.packages_of(code, major), javascript.typescript_of(code, handler)
    if packages is None and typescript is None:
        return None
    about = (ESBUILD, major, handler, packages and packages.digest)
    digest = javascript.code_digest(code, *about)
    return Wish((_BUNDLE if typescript else _CODE) + digest, packages=packages, typescript=typescript)


def _need_node() -> Node:
    node = find_node()
    if node is None:
        raise BuildFailed(f"TypeScript needs Node.js; {HINT_NODE}")
    return node


def _copy(code: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for file in javascript.shipped_files(code):
        copied = target / file.relative_to(code)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copied)


def _copy_source(code: Path, target: Path, data: Path) -> None:
    """The folder, without what is no source, and without the server's data where that lies in it."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name in python.NO_SOURCE or Path(folder, name) == data]

    shutil.copytree(code, target, symlinks=True, ignore=left_out)


def _remove_others(folder: Path, kept: set[str], *, scratch: bool) -> None:
    """Remove what is not kept; what is half made only if nobody can be at it."""
    for path in folder.glob("*"):
        if path.name not in kept and (scratch or not path.name.startswith(_SCRATCH)):
            shutil.rmtree(path, ignore_errors=True)
