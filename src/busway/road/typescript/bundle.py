"""esbuild, run on a project: each handler becomes one file of JavaScript, with all that it imports."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from busway.errors import BrokenProject
from busway.road.schemas.typescript import literal
from busway.road.typescript.package import find_tool

# The oldest Node.js of AWS's list that is still updated, and the oldest that Busway runs.
TARGET = "node20"
# Packages that are CommonJS ask for Node's own modules by a function that a module has to make for itself.
_REQUIRE = 'import { createRequire as __busway } from "node:module"; const require = __busway(import.meta.url);'
_SAID_MAX = 3_000


async def bundle_handlers(root: Path, files: Sequence[Path], out: Path) -> None:
    """`handlers/x/handler.ts` becomes `out/x/handler.mjs`. Raises BrokenProject with what esbuild says."""
    # Beside its place, as a worker may be starting from what is there, and another command may do the same.
    scratch = out.with_name(f"{out.name}-{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    names = [str(file.relative_to(root)) for file in files]
    await _esbuild(root, *names, f"--outbase={root / 'handlers'}", f"--outdir={scratch}", f"--banner:js={_REQUIRE}")
    for file in sorted(scratch.rglob("*.*")):
        target = out / file.relative_to(scratch)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    shutil.rmtree(scratch)


async def bundle_loader(root: Path, files: Sequence[Path], out: Path) -> None:
    """One file whose default export loads each of these by its name; packages stay outside of it."""
    names = [str(file.relative_to(root)) for file in files]
    members = ",\n".join(f"{literal(name)}: () => import({literal(f'./{name}')})" for name in names)
    await _esbuild(root, f"--outfile={out}", "--packages=external", given=f"export default {{\n{members}\n}};\n")


async def bundle_tests(root: Path, files: Sequence[Path], out: Path) -> list[Path]:
    """Each test as a file that Node runs by itself; packages stay outside of it."""
    shutil.rmtree(out, ignore_errors=True)
    names = [str(file.relative_to(root)) for file in files]
    await _esbuild(root, *names, f"--outbase={root}", f"--outdir={out}", "--packages=external")
    return [(out / name).with_suffix(".mjs") for name in names]


async def _esbuild(root: Path, *words: str, given: str = "") -> None:
    command = (
        str(find_tool(root, "esbuild")), *words, "--bundle", "--platform=node", "--format=esm", f"--target={TARGET}",
        "--out-extension:.js=.mjs", "--sourcemap", "--sources-content=false", "--log-level=warning", "--color=false",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=root,
        # A module that is given names its imports as from the project's folder.
        env={**os.environ, "NODE_PATH": ""},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate(given.encode())
    if process.returncode:
        problem = said.decode(errors="replace").strip()[-_SAID_MAX:]
        hint = f"npm install, in {root}" if "Could not resolve" in problem else ""
        raise BrokenProject(f"the project's TypeScript cannot be bundled:\n{problem}", hint)
