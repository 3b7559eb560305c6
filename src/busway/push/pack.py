"""Writes down what of a project is to be deployed: `python -m busway.push.pack OUT`, in the project's folder.

OUT/manifest.json is the manifest, OUT/codes.json the zips' names by handler. It imports the project's modules,
so it runs where the project's tests did.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from busway.errors import BuswayError
from busway.road.release.release import read_project

MANIFEST, CODES = "manifest.json", "codes.json"


def main(out: str) -> int:
    try:
        project = asyncio.run(read_project(Path.cwd()))
    except BuswayError as error:
        print(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
        return 1
    names = {handler: f"code-{number}.zip" for number, handler in enumerate(sorted(project.codes))}
    for handler, name in names.items():
        Path(out, name).write_bytes(project.codes[handler]["ZipFile"])
    Path(out, MANIFEST).write_bytes(msgspec.json.encode(project.manifest))
    Path(out, CODES).write_bytes(msgspec.json.encode(names))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
