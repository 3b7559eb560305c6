"""Requirements files that try to lead out of the code, and those that may stay in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from busway.errors import BuildFailed
from busway.function.build import requirements
from busway.function.build.requirements import path_of, read_lists


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret==1")
    (tmp_path / "wheels").mkdir()
    folder = tmp_path / "code"
    (folder / "sub").mkdir(parents=True)
    (folder / "inside.txt").write_text("x==1")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


OUTSIDE = [
    "-r ../secret.txt", "-r/etc/passwd", "--requirement=../secret.txt", "-c ../secret.txt", "-r link.txt",
    "--no-index -r ../secret.txt", "-r \\\n ../secret.txt", '-r "../secret.txt"', "-r https://example.com/list.txt",
    "-e ..", "--editable=..", "-f ../wheels", "--find-links file:///srv/wheels", "-i ../wheels",
    "--extra-index-url file:///srv", "../x.whl", "./sub/../../x.whl", "/srv/x.whl", "x @ ../x.whl",
    "x[a] @ file:///srv/x.whl", "x@file://localhost/srv/x.whl", "./%2e%2e/x.whl", "file:..", "..",
    "sub/../../x.whl ; python_version > '3'", "x @ git+file:///srv/x", "../x.whl --hash=sha256:00",
]  # fmt: skip


@pytest.mark.parametrize("line", OUTSIDE)
def test_what_leads_out_of_the_code_is_refused_with_its_file_and_line(line: str, code: Path):
    (code / "requirements.txt").write_text(f"# a list\nx==1\n{line}\n")
    with pytest.raises(BuildFailed, match=r"^requirements\.txt, line 3: .*(leads out of|is not a file of) the code"):
        read_lists(code, "requirements.txt")


@pytest.mark.parametrize(
    "line", ["--index-url https://${SECRET}@example.com", "x @ https://h/${SECRET}", "-r ${HOME}/x", "x==${SECRET}"]
)
def test_a_variable_of_the_environment_is_refused(line: str, code: Path):
    (code / "requirements.txt").write_text(line)
    with pytest.raises(BuildFailed, match=r"^requirements\.txt, line 1: .* asks for a variable"):
        read_lists(code, "requirements.txt")


LOCAL = [
    "./x.whl", "x.whl", "x-1.tar.gz", "x @ ./lib", "./lib[extra]", "-e ./lib", "-e lib", "-f wheels", "lib/",
    "--find-links=./wheels", "-i wheels", "x @ file:x.whl", "./x.whl ; python_version > '3'",
]  # fmt: skip
REMOTE = [
    "x", "x==1", "x[a,b]>=1,<2", "x ; python_version < '3'", "x;sys_platform=='a/b'", "--no-index", "--pre",
    "x @ https://example.com/x.whl", "https://example.com/x.whl", "git+https://example.com/x", "x~=1 --hash=sha256:0",
    "--index-url https://example.com", "-f https://example.com", "--only-binary :all:",
]  # fmt: skip


@pytest.mark.parametrize("line", LOCAL + REMOTE)
def test_what_lies_in_the_code_is_told_from_what_is_fetched(line: str, code: Path):
    (code / "requirements.txt").write_text(line)
    assert [found.text for found in read_lists(code, "requirements.txt").lines] == [line]
    assert (path_of(line) is not None) == (line in LOCAL)


def test_lists_are_found_beside_the_list_that_names_them_and_packages_from_the_top(code: Path):
    (code / "requirements.txt").write_text("-r sub/more.txt")
    (code / "sub" / "more.txt").write_text("-r ../inside.txt\n-f ../wheels\n./x.whl")
    lists = read_lists(code, "requirements.txt")
    assert [name for name, _ in lists.texts] == ["requirements.txt", "sub/more.txt", "inside.txt"]
    (code / "sub" / "more.txt").write_text("x==1\n../x.whl")
    with pytest.raises(BuildFailed, match=r"^sub/more\.txt, line 2"):
        read_lists(code, "requirements.txt")


def test_lists_are_bounded_in_number_and_length(code: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(requirements, "LISTS_MAX", 2)
    (code / "requirements.txt").write_text("-r inside.txt")
    assert len(read_lists(code, "requirements.txt").texts) == 2
    (code / "inside.txt").write_text("-r sub/third.txt")
    (code / "sub" / "third.txt").write_text("")
    with pytest.raises(BuildFailed, match="more than 2 files"):
        read_lists(code, "requirements.txt")
    (code / "inside.txt").write_text("#" * (requirements.LIST_BYTES_MAX + 1))
    with pytest.raises(BuildFailed, match=r"inside\.txt is longer than 1048576 bytes"):
        read_lists(code, "requirements.txt")


@pytest.mark.parametrize("name", ["pipe", "sub", "gone", "null\0"])
def test_a_list_is_a_plain_file(name: str, code: Path):
    os.mkfifo(code / "pipe")
    (code / "requirements.txt").write_text(f"x==1\n-r {name}")
    with pytest.raises(BuildFailed, match=r"^requirements\.txt, line 2: .* can't be followed"):
        read_lists(code, "requirements.txt")
