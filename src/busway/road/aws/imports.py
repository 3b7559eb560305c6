"""Which files a handler needs: what it imports, and what that imports, read from the files. Nothing is run.

Of the project's `events` and `handlers` a handler gets the modules that it imports; of any other package of the
project all files, as those may read one another. Of Busway it gets what a handler imports, and no server part.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import busway
from busway.road.deploy import shipped_files

# These are taken module by module.
_BY_MODULE = ("events", "handlers", "busway")
# Beside a handler, and of no use to it where it runs.
_LEFT_OUT = ("sample.json", ".ts")


@dataclass(slots=True)
class Needed:
    """Files by their place in the zip. `steps`: some module of the project calls `once`."""

    files: dict[str, Path] = field(default_factory=dict[str, Path])
    steps: bool = False


def needed_by(root: Path, modules: Iterable[str]) -> Needed:
    """What modules of the project, or of Busway, need. Raises SyntaxError for a file that is no Python."""
    needed = Needed()
    waiting = [file for module in modules for file in _files_of(root, module)]
    while waiting:
        name, file = waiting.pop()
        if name in needed.files:
            continue
        needed.files[name] = file
        if file.suffix != ".py":
            continue
        tree = ast.parse(file.read_bytes(), str(file))
        ours = name.startswith("busway/")
        needed.steps = needed.steps or (not ours and _calls_once(tree))
        for module in _imported(tree, name):
            waiting += _files_of(root, module)
    return needed


def beside(root: Path, handler: Path) -> dict[str, Path]:
    """What lies in a handler's folder and is no test: it may read it."""
    files = (file for file in shipped_files(handler.parent) if not file.name.endswith(_LEFT_OUT))
    return {str(file.relative_to(root)): file for file in files}


def _files_of(root: Path, module: str) -> list[tuple[str, Path]]:
    """(place in the zip, file) of a module and the packages around it; none for what is not the project's or ours."""
    parts = module.split(".")
    place = Path(busway.__file__).parents[1] if parts[0] == "busway" else root
    if parts[0] not in _BY_MODULE and (place / parts[0]).is_dir():
        # Hidden and foreign folders are no packages.
        own = any((place / parts[0]).glob("**/*.py"))
        return [(str(file.relative_to(place)), file) for file in shipped_files(place / parts[0])] if own else []
    bases = [place.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    files = [file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py")]
    return [(str(file.relative_to(place)), file) for file in files if file.is_file()]


def _imported(tree: ast.Module, name: str) -> Iterator[str]:
    """The modules that a file may import, at its top or within functions; not those for the type checker alone."""
    package = name.removesuffix("/__init__.py").removesuffix(".py").split("/")
    if not name.endswith("/__init__.py"):
        package = package[:-1]
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module:
                yield module
                # What is imported may be a module itself.
                yield from (f"{module}.{alias.name}" for alias in node.names)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from (other, *_nodes(other))
            continue
        yield child
        yield from _nodes(child)


def _calls_once(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("busway", "busway.idempotent"):
            if any(alias.name == "once" for alias in node.names):
                return True
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "busway.once":
            return True
    return False
