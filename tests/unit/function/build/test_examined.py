"""What packages' own code may leave behind where it is built."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from busway.errors import BuildFailed
from busway.function.build.examined import examine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "packages/six").mkdir(parents=True)
    (made / "packages/six/__init__.py").write_text("")
    (tmp_path / "secret").mkdir()
    return made


def test_files_folders_and_links_among_them_are_kept(folder: Path):
    (folder / "packages/bin").mkdir()
    (folder / "packages/bin/six").symlink_to("../six/__init__.py")
    (folder / "packages/alias").symlink_to("six")
    examine(folder, "packages")


def test_a_folder_that_nothing_was_put_into_is_no_fault(folder: Path):
    examine(folder, "node_modules")


def _swap(folder: Path) -> None:
    (folder / "packages").rename(folder / "away")
    (folder / "packages").symlink_to("away")


@pytest.mark.parametrize(
    "leave",
    [
        lambda folder: (folder / "packages/x").symlink_to("/etc/passwd"),
        lambda folder: (folder / "packages/x").symlink_to("../../secret"),
        lambda folder: (folder / "packages/x").symlink_to(folder / "packages/six"),
        lambda folder: (folder / "packages/x").symlink_to("x"),
        lambda folder: os.mkfifo(folder / "packages/x"),
        lambda folder: os.mkfifo(folder / "beside"),
        _swap,
    ],
    ids=["link out", "link up", "absolute link", "circle", "pipe", "pipe beside", "swapped"],
)
def test_anything_else_is_refused_by_its_place(folder: Path, leave: Callable[[Path], None]):
    leave(folder)
    with pytest.raises(BuildFailed, match=r"installing left .* at (packages|beside)"):
        examine(folder, "packages")
