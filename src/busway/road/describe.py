"""A project's manifest from a process of its own, so that nothing of the project stays loaded between two saves."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from busway.errors import BrokenProject, BuswayError
from busway.road.manifest import Manifest
from busway.road.project import load_project


class _Fault(msgspec.Struct):
    error: str
    hint: str = ""


async def describe(root: Path) -> Manifest:
    """The manifest of the project as it lies on disk now. Raises BrokenProject with the project's own fault."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "busway.road.describe", str(root)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    # What the project's modules print while they are imported comes before; the answer is the last line.
    answer = output.rsplit(b"\n", 1)[-1]
    if process.returncode == 0:
        return msgspec.json.decode(answer, type=Manifest)
    if process.returncode == 1 and answer.startswith(b"{"):
        fault = msgspec.json.decode(answer, type=_Fault)
        raise BrokenProject(fault.error, fault.hint)
    raise BrokenProject(f"{root} cannot be described: {complaints.decode(errors='replace').strip()[-2000:]}")


def main(root: str) -> int:
    """Write the manifest, or what is wrong with the project, as the last line of stdout."""
    try:
        answer, code = msgspec.json.encode(load_project(Path(root)).manifest), 0
    except BuswayError as error:
        answer, code = msgspec.json.encode(_Fault(str(error), error.hint)), 1
    sys.stdout.buffer.write(b"\n" + answer)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
