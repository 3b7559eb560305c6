"""A project's manifest, each language from a process of its own: nothing of it stays loaded between two saves."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from busway.errors import BrokenProject, BuswayError
from busway.road.entries import refuse_twins
from busway.road.manifest import EventEntry, HandlerEntry, Manifest
from busway.road.project import load_project
from busway.road.root import is_node, is_python, read_config
from busway.road.rules import check_rules, read_rules
from busway.road.typescript.read import read_typescript


class _Fault(msgspec.Struct):
    error: str
    hint: str = ""


async def describe(root: Path) -> Manifest:
    """The manifest of the project as it lies on disk now. Raises BrokenProject with the project's own fault."""
    config = read_config(root)
    nothing = Manifest(project=config.name, bus=config.bus, events=[], handlers=[])
    python = await _python(root) if is_python(root) else nothing
    found = merged(python, *await read_typescript(root, config)) if is_node(root) else python
    check_rules(rules := read_rules(root, alarms=config.alarms), {entry.name: entry.file for entry in found.handlers})
    return msgspec.structs.replace(found, rules=rules)


def merged(python: Manifest, typed: list[EventEntry], handled: list[HandlerEntry]) -> Manifest:
    """One manifest of both languages. An event may be in both, if it is the same one; raises BrokenProject."""
    events = {event.name: event for event in python.events}
    for event in typed:
        twin = events.setdefault(event.name, event)
        if (twin.source, twin.detail_type) != (event.source, event.detail_type):
            raise BrokenProject(
                f"{event.file}: {event.name} is {event.detail_type!r} from {event.source!r}, "
                f"and in {twin.file} it is {twin.detail_type!r} from {twin.source!r}"
            )
    handlers = sorted([*python.handlers, *handled], key=lambda entry: entry.name)
    refuse_twins(handlers)
    return msgspec.structs.replace(python, events=[events[name] for name in sorted(events)], handlers=handlers)


async def _python(root: Path) -> Manifest:
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
