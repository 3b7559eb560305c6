"""An environment on AWS in pyproject.toml and in package.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from busway.errors import BrokenProject
from busway.road.aws.overlay import read_overlay
from busway.road.root import AwsSettings, read_config


def project(root: Path, env: str) -> Path:
    (root / "pyproject.toml").write_text(f"[project]\nname='shop'\n[tool.busway]\n{env}")
    return root


def test_an_environment_on_aws_says_where_and_how(tmp_path: Path):
    text = '[tool.busway.env.prod]\ntarget="aws"\nregion="eu-west-1"\nlog_days=7\n[tool.busway.env.own]\ntarget="https://b"'
    config = read_config(project(tmp_path, text))
    assert config.aws == {"prod": AwsSettings(region="eu-west-1", log_days=7)}
    assert config.targets == {"own": "https://b", "prod": "aws"}


def test_package_json_says_the_same_in_its_own_spelling(tmp_path: Path):
    env = {"prod": {"target": "aws", "logDays": 7, "createBus": False}}
    (tmp_path / "package.json").write_text(json.dumps({"name": "shop", "busway": {"env": env}}))
    assert read_config(tmp_path).aws == {"prod": AwsSettings(log_days=7, create_bus=False)}


@pytest.mark.parametrize(
    "setting", ["log_days=8", 'python="2.7"', 'architecture="mips"', "colour=1", 'region=["eu-west-1"]']
)
def test_what_aws_does_not_take_is_refused_where_the_project_is_read(tmp_path: Path, setting: str):
    with pytest.raises(BrokenProject, match="env"):
        read_config(project(tmp_path, f'[tool.busway.env.prod]\ntarget="aws"\n{setting}'))


@pytest.mark.parametrize("name", ["'a b'", "a_b", "'" + "a" * 31 + "'"])
def test_an_environments_name_is_part_of_what_things_are_called_there(tmp_path: Path, name: str):
    with pytest.raises(BrokenProject, match="letters, digits and -"):
        read_config(project(tmp_path, f'[tool.busway.env.{name}]\ntarget="aws"'))


@pytest.mark.parametrize(("text", "problem"), [("[]", "no JSON object"), ('{"Resource": {}}', "'Resource'")])
def test_an_overlay_that_is_no_part_of_a_template_is_refused(tmp_path: Path, text: str, problem: str):
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "overlay.json").write_text(text)
    with pytest.raises(BrokenProject, match=problem):
        read_overlay(tmp_path)
