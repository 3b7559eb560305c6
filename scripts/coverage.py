"""Write docs/coverage.md: every operation of each service that Busway has, as yes, partial or no.

    python scripts/coverage.py            write the page
    python scripts/coverage.py --check    exit 1 if the page is not up to date

The operations come from botocore's service models, what is implemented from the classes in `aws/services`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from busway.aws.services import SERVICES
from busway.aws.shapes import load_model

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
HEAD = """\
# What of AWS's APIs Busway answers

Made by `scripts/coverage.py` from botocore's service models; do not edit. An operation that is not here answers
`UnsupportedOperationException` (HTTP 501) with its name.
"""


class Anything:
    """Stands in for a room: whatever is asked of it is itself. Services only keep what they are handed."""

    def __getattr__(self, name: str) -> Anything:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Anything:
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def service_of(where: str) -> Any | None:
    """The service at `module:Class`, made with stand-ins; None when the module is not there."""
    module, _, name = where.partition(":")
    if importlib.util.find_spec(module) is None:
        return None
    kind = getattr(importlib.import_module(module), name)
    wanted = inspect.signature(kind).parameters.values()
    given = {p.name: Anything() for p in wanted if p.default is p.empty and p.kind is p.KEYWORD_ONLY}
    return kind(*(Anything() for p in wanted if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD), **given)


def section(name: str, service: Any | None) -> list[str]:
    """The lines of one service: a count, then a row for each operation."""
    model = load_model(name)
    implemented = set(service.operations) if service is not None else set[str]()
    partial: Mapping[str, str] = getattr(service, "partial", {})
    unknown = (implemented | set(partial)) - set(model.operations)
    if unknown:
        raise SystemExit(f"service {name}: {', '.join(sorted(unknown))}: not an operation of AWS's")
    lines = ["", f"## {model.metadata.service_full_name} (`{name}`)", ""]
    lines += [f"{len(implemented)} of {len(model.operations)} operations, {len(partial)} of them in part.", ""]
    lines += ["| operation | here | note |", "| --- | --- | --- |"]
    for operation in sorted(model.operations):
        here = "partial" if operation in partial else ("yes" if operation in implemented else "no")
        lines.append(f"| {operation} | {here} | {partial.get(operation, '')} |".replace("|  |", "| |"))
    return lines


def page() -> str:
    lines: list[str] = []
    for name, where in sorted(SERVICES.items()):
        lines += section(name, service_of(where))
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    text = page()
    if arguments.parse_args().check:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
