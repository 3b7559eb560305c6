"""What a Python function asks for, from its files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from busway.errors import BuildFailed
from busway.function.build.python import Requirements, installed_here, own_environment, requirements_of

HERE = {"boto3": "1.44.5", "pydantic": "2.11.0", "msgspec": "0.20.0"}


def asked(code: Path, *, live: bool = False) -> Requirements | None:
    return requirements_of(code, live=live, installed=HERE.get)


@pytest.fixture
def requirements(tmp_path: Path) -> Callable[..., Requirements | None]:
    def write(text: str, *, live: bool = False) -> Requirements | None:
        (tmp_path / "requirements.txt").write_text(text)
        return asked(tmp_path, live=live)

    return write


def test_code_without_a_list_asks_for_nothing(tmp_path: Path):
    assert asked(tmp_path) is None


def test_code_that_carries_its_packages_asks_for_nothing(tmp_path: Path):
    (tmp_path / "requirements.txt").write_text("requests==2.32.0")
    (tmp_path / "requests-2.32.0.dist-info").mkdir()
    assert asked(tmp_path) is None


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "busway", "busway[demo]>=0.1\n", "boto3>=1.40\nbusway\n"])
def test_what_a_worker_has_anyway_is_not_asked_for(text: str, requirements: Callable[..., Requirements | None]):
    assert requirements(text) is None


@pytest.mark.parametrize(
    "text", ["boto3>=1.45", "boto3==1.44.5", "boto3[crt]>=1.40", "boto3>=1.40; python_version > '3'", "botocore"]
)
def test_only_a_plain_lower_bound_is_judged_and_all_else_installed(
    text: str, requirements: Callable[..., Requirements | None]
):
    assert requirements(text) is not None


def test_what_the_server_happens_to_have_counts_in_development_only(requirements: Callable[..., Requirements | None]):
    assert requirements("pydantic>=2\nmsgspec") is not None
    assert requirements("pydantic>=2\nmsgspec", live=True) is None
    assert requirements("pydantic>=2\nother", live=True) is not None


def test_the_same_text_is_the_same_environment_and_another_text_another(tmp_path: Path):
    def digest(folder: str, text: str) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "requirements.txt").write_text(text)
        found = asked(tmp_path / folder)
        assert found is not None
        return found.digest

    assert digest("a", "x==1") == digest("b", "x==1") != digest("c", "x==2")


def test_a_list_that_is_included_is_part_of_it(tmp_path: Path, requirements: Callable[..., Requirements | None]):
    more = tmp_path / "more.txt"
    more.write_text("boto3")
    assert requirements("-r more.txt") is None
    more.write_text("x==1")
    first = requirements("--requirement=more.txt")
    more.write_text("x==2")
    second = requirements("--requirement=more.txt")
    assert first is not None
    assert second is not None
    assert first.digest != second.digest


def test_lists_that_include_each_other_end(tmp_path: Path, requirements: Callable[..., Requirements | None]):
    (tmp_path / "more.txt").write_text("-r requirements.txt\nx==1")
    assert requirements("-r more.txt") is not None


def test_a_list_that_is_not_there_is_named(requirements: Callable[..., Requirements | None]):
    with pytest.raises(BuildFailed, match=r"more\.txt"):
        requirements("-r more.txt")


def test_files_beside_the_list_are_part_of_it(tmp_path: Path, requirements: Callable[..., Requirements | None]):
    wheel = tmp_path / "own-1.0-py3-none-any.whl"
    wheel.write_bytes(b"1")
    first = requirements("./own-1.0-py3-none-any.whl")
    wheel.write_bytes(b"22")
    second = requirements("./own-1.0-py3-none-any.whl")
    assert first is not None
    assert second is not None
    assert first.digest != second.digest


def test_a_list_with_hashes_is_known_as_one(requirements: Callable[..., Requirements | None]):
    found = requirements("x==1 \\\n  --hash=sha256:00")
    assert found is not None
    assert found.hashed


def test_a_project_s_dependencies_are_read_without_building_it(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\ndependencies = ["busway>=0.1", "x ~= 1.0"]\n'
        '[dependency-groups]\ndev = ["ruff"]\n'
    )
    found = asked(tmp_path)
    assert found is not None
    assert found.told(tmp_path, tmp_path).requirements == ("busway>=0.1", "x ~= 1.0")


@pytest.mark.parametrize("text", ["[tool.ruff]\n", "[project]\nname='x'\nversion='1'\n"])
def test_a_project_without_dependencies_asks_for_nothing(text: str, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(text)
    assert asked(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["[project", "project = 1", "[project]\ndependencies = [1]", "[project]\ndependencies = 'x'"]
)
def test_a_project_file_that_is_none_is_refused(text: str, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(BuildFailed, match=r"pyproject\.toml"):
        asked(tmp_path)


def test_an_environment_of_another_python_is_not_taken(tmp_path: Path):
    (tmp_path / ".venv" / "lib" / "python2.7" / "site-packages").mkdir(parents=True)
    assert own_environment(tmp_path) is None


def test_the_server_s_own_environment_is_asked_by_name():
    assert installed_here("msgspec") is not None
    assert installed_here("no-such-distribution") is None
