"""What was pushed is measured before it is written, and a push that comes too late is not built."""

from __future__ import annotations

from pathlib import Path

import pytest
from dulwich.objects import Blob, Tree
from dulwich.repo import Repo

from busway.errors import PushRefused
from busway.push.access import parse_push_keys
from busway.push.asked import FILES_MAX
from busway.push.build import check_manifest
from busway.push.receive import BRANCH, NO_COMMIT, Push, check_current, harmless, open_repository
from busway.push.unpack import measure, wanted_packages
from busway.road.manifest import HandlerEntry, Manifest


@pytest.fixture
def repository(tmp_path: Path) -> Repo:
    return open_repository(tmp_path / "shop.git")


def test_a_tree_that_holds_itself_many_times_over_is_refused_before_anything_is_written(repository: Repo):
    blob = Blob.from_string(b"x")
    repository.object_store.add_object(blob)
    below, mode = blob.id, 0o100644
    for _ in range(6):
        tree = Tree()
        for number in range(20):
            tree.add(str(number).encode(), mode, below)
        repository.object_store.add_object(tree)
        below, mode = tree.id, 0o040000
    with pytest.raises(PushRefused, match=f"more than {FILES_MAX} files and folders"):
        measure(repository.object_store, below)


def test_a_push_for_a_branch_that_moved_is_refused_before_it_is_built(repository: Repo):
    check_current(repository, Push(NO_COMMIT, b"1" * 40))
    repository.refs[BRANCH] = b"2" * 40  # pyright: ignore
    with pytest.raises(PushRefused, match="main moved meanwhile"):
        check_current(repository, Push(NO_COMMIT, b"1" * 40))
    check_current(repository, Push(b"2" * 40, b"1" * 40))


@pytest.mark.parametrize("line", ["-r /etc/passwd", " --index-url=x", "pkg\\r-r x", "pkg\\u001b[2J"])
def test_a_dependency_that_is_an_option_or_holds_control_characters_is_refused(tmp_path: Path, line: str):
    file = tmp_path / "pyproject.toml"
    file.write_text(f'[project]\ndependencies = ["requests>=2", "{line}"]\n')
    with pytest.raises(PushRefused, match="wanted a package's name and version"):
        wanted_packages(file)


ENTRY = HandlerEntry(
    name="note", file="handlers/note/handler.py", entry_point="x", event="E", pattern={}, retries=1, max_age_s=60,
    timeout_s=1, memory_mb=128, alert=None, env=[],
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"name": "../x"}, {"../x": "a"}),
        ({"env": ["AWS_SECRET_ACCESS_KEY"]}, {"note": "a"}),
        ({"secrets": ["other/KEY"]}, {"note": "a"}),
        ({}, {}),
        ({}, {"note": "a", "more": "b"}),
    ],
)
def test_what_a_projects_own_code_wrote_down_is_checked_again(changes: dict[str, object], codes: dict[str, str]):
    from msgspec.structs import replace

    def manifest(*handlers: HandlerEntry) -> Manifest:
        return Manifest(project="shop", bus="default", events=[], handlers=list(handlers))

    check_manifest(manifest(ENTRY), {"note": "code-0.zip"})
    with pytest.raises(ValueError, match=r"wanted|is no name"):
        check_manifest(manifest(replace(ENTRY, **changes)), codes)
    with pytest.raises(ValueError, match="a code of its own"):
        check_manifest(manifest(ENTRY, replace(ENTRY, name="b")), {"note": "code-0.zip", "b": "code-0.zip"})


def test_a_terminal_is_told_nothing_that_it_would_obey():
    assert harmless("\x1b]0;PWNED\x07 ok\tü") == "\\x1b]0;PWNED\\x07 ok\tü"


def test_a_key_is_for_one_project():
    assert parse_push_keys("k:s:shop, 123456789012:t:other")["123456789012"].account == "123456789012"
    for wrong in ("k:s", "k::shop", "k:s:shop,k:t:other"):
        with pytest.raises(ValueError, match="push key"):
            parse_push_keys(wrong)
