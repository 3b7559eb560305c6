"""What a pushed project is written in and asks for, as `unpack` writes it down; and how large one may be."""

from __future__ import annotations

import msgspec

from busway.road.root import Language

# Ours: files and folders, their bytes together, packages to install, handlers and rules.
FILES_MAX = 20_000
BYTES_MAX = 268_435_456
PACKAGES_MAX = 200
ENTRIES_MAX = 200


class Asked(msgspec.Struct, frozen=True):
    """`problem`, if any, is why the push is refused. `locked`: npm has a lock file to go by.

    `project` is its name.
    """

    languages: list[Language] = []
    packages: list[str] = []
    locked: bool = False
    project: str = ""
    problem: str = ""
    hint: str = ""
