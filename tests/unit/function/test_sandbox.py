from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from busway.errors import SandboxUnavailable
from busway.function.workers import sandbox
from busway.function.workers.sandbox import NOT_ENCLOSED, sandbox_for


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with its data folder in it, as `busway dev` lays it out."""
    for folder in ("handlers", "events", ".busway/data/functions/f/sha", ".busway/data/functions/other/sha"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the kernel is not what these tests are about."""
    monkeypatch.setattr(sandbox, "_kernel_lacks", lambda: "")


def walls_of(data: Path, code: Path, **environment: str) -> set[str]:
    return set(sandbox_for("kernel", data, environment).enclose(code, [], data / "tmp" / "1").walls)


def test_a_worker_reads_its_own_code_in_the_data_folder_and_nothing_else_there(project: Path):
    data = project / ".busway/data"
    walls = walls_of(data, data / "functions/f/sha")
    assert {wall for wall in walls if str(project) in wall} == {
        f"r{data}/functions/f/sha", f"w{data}/tmp/1", f"t{data}/tmp/1",
    }  # fmt: skip


def test_a_project_is_read_around_the_data_folder_in_it(project: Path):
    data = project / ".busway/data"
    walls = walls_of(data, project)
    assert {f"r{project}/handlers", f"r{project}/events", f"r{project}/pyproject.toml"} <= walls
    assert not {f"r{project}", f"r{project}/.busway", f"r{data}"} & walls
    # Importing lists the folder.
    assert f"l{project}" in walls


def test_a_link_that_leads_round_in_circles_is_left_out(project: Path):
    (project / "handlers-too").symlink_to(project / "handlers")
    (project / "loop").symlink_to(project)
    walls = walls_of(project / ".busway/data", project)
    assert f"r{project}/handlers-too" in walls
    assert not any("/loop" in wall for wall in walls)


def test_a_folder_on_the_path_that_holds_the_data_is_not_opened(project: Path):
    walls = walls_of(project / ".busway/data", project / "handlers", PATH=f"{project}:{project}/handlers")
    assert f"r{project}" not in walls
    assert f"r{project}/handlers" in walls


def test_tmp_is_shared_only_where_the_data_folder_does_not_lie_in_it():
    assert "s/tmp" in walls_of(Path("/srv/data"), Path("/srv/code"))
    assert "s/tmp" not in walls_of(Path("/tmp/data"), Path("/srv/code"))


def test_folders_of_the_settings_are_open_to_every_function(project: Path):
    made = sandbox_for("kernel", project / "data", {}, [Path("/srv/models")])
    assert "w/srv/models" in made.enclose(project, [], project / "tmp").walls


def test_the_process_level_encloses_nothing(tmp_path: Path):
    assert sandbox_for("process", tmp_path, {}).enclose(tmp_path, [], tmp_path) == NOT_ENCLOSED


def test_auto_is_the_strongest_that_needs_nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert sandbox_for("auto", tmp_path, {}).level == "kernel"
    monkeypatch.setattr(sandbox, "_kernel_lacks", lambda: "no Landlock")
    assert sandbox_for("auto", tmp_path, {}).level == "process"


@pytest.mark.parametrize("level", ["kernel", "bubblewrap"])
def test_a_level_that_can_not_be_had_is_an_error_that_says_why(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sandbox, "_kernel_lacks", lambda: "this kernel has no Landlock")
    with pytest.raises(SandboxUnavailable, match="this kernel has no Landlock") as refused:
        sandbox_for(level, tmp_path, {})
    assert "BUSWAY_SANDBOX" in refused.value.hint


def test_bubblewrap_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxUnavailable, match="found no bwrap"):
        sandbox_for("bubblewrap", tmp_path, {})


def test_a_word_that_is_no_level_is_refused_with_those_that_are(tmp_path: Path):
    with pytest.raises(SandboxUnavailable, match="wanted one of auto, process, kernel, bubblewrap"):
        sandbox_for("gvisor", tmp_path, {})


@pytest.mark.needs("bwrap")
def test_bubblewrap_shows_what_may_be_read_and_no_more(project: Path):
    data = project / "data"
    wrapper = sandbox_for("bubblewrap", data, {}).enclose(project / "handlers", [], data / "tmp/1").wrapper
    assert wrapper[0] == "bwrap"
    assert ("--ro-bind-try", f"{project}/handlers") in itertools.pairwise(wrapper)
    assert str(project / "events") not in wrapper
