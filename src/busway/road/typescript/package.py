"""The npm package `busway`, put where a project's package.json says it is: in `.busway/npm`.

It comes with this version of Busway and from no registry; a link in node_modules is what npm itself makes of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from busway.errors import BrokenProject

SOURCE = Path(__file__).parents[1] / "npm"
PLACE = Path(".busway", "npm")


def put_package(root: Path) -> None:
    """Write the package unless it is there as it should be, and link it unless something else has its place."""
    place, link = root / PLACE, root / "node_modules" / "busway"
    for file in SOURCE.iterdir():
        target = place / file.name
        if not target.is_file() or target.read_bytes() != file.read_bytes():
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    # Without node_modules nothing is installed yet, and npm will make the link.
    if link.parent.is_dir() and not link.is_symlink() and not link.exists():
        link.symlink_to(Path("..") / PLACE, target_is_directory=True)


def find_tool(root: Path, name: str) -> Path:
    """A program that the project's packages bring, here or in a folder above. Raises BrokenProject."""
    for folder in (root, *root.parents):
        # esbuild's own executable starts in a third of the time of the script that finds it.
        for file in (*folder.glob(f"node_modules/@{name}/*/bin/{name}"), folder / "node_modules" / ".bin" / name):
            if file.is_file():
                return file
    raise BrokenProject(
        f"{root} has no {name} in node_modules: its packages are not installed", f"npm install, in {root}"
    )
