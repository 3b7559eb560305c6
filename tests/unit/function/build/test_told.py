"""What uv is told, from lists that try to tell it more than we read in them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from busway.errors import BuildFailed
from busway.function.build.python import requirements_of
from busway.function.build.requirements import path_of
from busway.function.build.told import Told


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret==1")
    folder = tmp_path / "code"
    (folder / "wheels dir").mkdir(parents=True)
    return folder


def told(code: Path, text: str, at: Path | None = None) -> Told:
    (code / "requirements.txt").write_bytes(text.encode())
    found = requirements_of(code, live=False)
    return Told((), ()) if found is None else found.told(code, at or code)


def test_lists_are_laid_flat_and_bounds_stay_bounds(code: Path):
    (code / "more.txt").write_text("y==2 \\\n  --hash=sha256:aa --hash sha256:bb  # why\n-c bounds.txt\n")
    (code / "bounds.txt").write_text("z<3\n--pre\n-r further.txt\n")
    (code / "further.txt").write_text("w<4\n")
    found = told(code, "x==1 # one\n-r more.txt\n--no-binary :all:\n")
    assert found.requirements == ("x==1", "--no-binary :all:", "y==2 --hash=sha256:aa --hash=sha256:bb", "--pre")
    assert found.constraints == ("z<3", "w<4")


def test_folders_of_packages_are_named_where_the_code_lies_while_uv_runs(code: Path):
    found = told(code, '-f "wheels dir"\n--index-url https://example.com/simple\n./x.whl\n-e ./lib\n', Path("/built"))
    assert found.requirements == (
        "-f file:///built/wheels%20dir", "--index-url https://example.com/simple", "./x.whl", "-e ./lib",
    )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "six --hash=sha256:aa -r ../secret.txt", "six -r ../secret.txt", "six --find-links ..", "-i https://a.b -r x",
        "-e ./lib -r ../secret.txt",
        "six\x0b-r ../secret.txt", "six\x0c-r ../secret.txt", "six\u2028-r x", "six\x85-r x",
        "--no-binary :all: -r x", "--config-settings x=y", "--no-such-option", "six\x1b[2J", "-\u00a0r x",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_its_line(line: str, code: Path):
    with pytest.raises(BuildFailed, match=r"^requirements\.txt, line 2: "):
        told(code, f"x==1\n{line}\n")


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\u2028"])
@pytest.mark.parametrize("more", ["-r ../secret.txt", "--find-links ..", "y @ file:///srv/y.whl"])
def test_a_dependency_of_a_project_is_one_line(end: str, more: str, code: Path):
    dependency = msgspec.json.encode(f"six{end}{more}").decode()
    (code / "pyproject.toml").write_text(f"[project]\ndependencies = [{dependency}]\n")
    with pytest.raises(BuildFailed, match=r"^pyproject\.toml, dependency 1: "):
        requirements_of(code, live=False)


def test_an_editable_folder_is_no_constraint(code: Path):
    (code / "bounds.txt").write_text("-e .\n")
    with pytest.raises(BuildFailed, match=r"^bounds\.txt, line 1: .* bounds no version"):
        told(code, "x\n-c bounds.txt\n")


def test_a_comment_ends_with_its_line_as_for_uv(code: Path):
    with pytest.raises(BuildFailed, match=r"^requirements\.txt, line 3: .* leads out of"):
        told(code, "x # one \\\n# two \\\n-r ../secret.txt\n")


PIECES = [
    "six", "==1", " ", "-r", "-c", "-e", "-f", "-i",
    "=", "../secret.txt", "x @ ", "file:", "/srv", "\\\n", "\n", "\r", "#", " #",
    ";", "--hash=sha256:aa", "--no-index", "https://a.b/", "'", '"', "${HOME}", "\x0b", "\t", "[a]", "./", "%2e%2e/",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_every_line_that_uv_gets_is_one_line_that_stays_in_the_code(code: Path, text: str):
    try:
        found = told(code, text)
    except BuildFailed:
        return
    for said in (*found.requirements, *found.constraints):
        assert said.isprintable()
        assert not said.startswith(("-r", "-c", "--requirement", "--constraint"))
        assert "${" not in said
        place = path_of(said)
        assert place is None or (code / place).resolve().is_relative_to(code.resolve())
