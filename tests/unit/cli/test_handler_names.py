"""What a handler's name on the command line means."""

from __future__ import annotations

from pathlib import Path

import pytest

from busway.cli.options import function_for


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\n[tool.busway]\nname = "shop"\n')
    folder = tmp_path / "handlers" / "notify_customer"
    folder.mkdir(parents=True)
    (folder / "handler.py").touch()
    monkeypatch.chdir(folder)
    return tmp_path


@pytest.mark.parametrize("named", ["notify-customer", "notify_customer"])
def test_a_handler_of_the_project_is_called_by_its_folder(project: Path, named: str):
    assert function_for(named) == "shop-notify-customer"


@pytest.mark.parametrize("named", ["shop-notify-customer", "f", "my_function"])
def test_any_other_name_is_a_functions_own(project: Path, named: str):
    assert function_for(named) == named


def test_outside_a_project_every_name_is_a_functions_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert function_for("notify-customer") == "notify-customer"
