"""The files that make a repository deploy itself: valid by GitHub's and GitLab's schemas, and what they do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.road.aws.manifests import EVERYTHING

from busway.errors import BrokenProject, GeneratorRefused
from busway.road.ci import FILES, CiSpec, Forge, add_ci
from busway.road.project_files import new_project

SCHEMAS: dict[Forge, str] = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}


def written(root: Path, forge: Forge, language: str = "python", **spec: Any) -> Any:
    new_project(root, "shop", language=language)  # pyright: ignore[reportArgumentType]
    (file,) = add_ci(root, CiSpec(forge, "prod", **spec), EVERYTHING)
    assert file == root / FILES[forge]
    return yaml.load(file.read_text(), yaml.BaseLoader)


@pytest.mark.parametrize("forge", ["github", "gitlab"])
@pytest.mark.parametrize("language", ["python", "typescript"])
def test_the_file_is_one_that_the_forge_takes(tmp_path: Path, forge: Forge, language: str):
    written(tmp_path / "shop", forge, language)
    file = tmp_path / "shop" / FILES[forge]
    assert "\n\n\n" not in file.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[forge], str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_github_tests_everything_comments_on_pull_requests_and_deploys_the_branch(tmp_path: Path):
    flow = written(tmp_path / "shop", "github", branch="trunk")
    jobs = flow["jobs"]
    assert flow["on"]["push"] == {"branches": ["trunk"]} and "pull_request" in flow["on"]
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert runs["test"][-1] == "uv run busway test"
    assert "uv run busway diff prod" in runs["diff"][1] and runs["diff"][2].startswith("gh pr comment")
    assert runs["deploy"][-1] == "uv run busway deploy prod"
    assert jobs["deploy"]["needs"] == "test" and jobs["deploy"]["if"] == "github.event_name == 'push'"


def test_on_github_only_who_asks_aws_gets_a_token_and_every_action_is_pinned(tmp_path: Path):
    flow = written(tmp_path / "shop", "github")
    tokens = {name: job.get("permissions", {}).get("id-token") for name, job in flow["jobs"].items()}
    assert tokens == {"test": None, "diff": "write", "deploy": "write"}
    assert flow["permissions"] == {"contents": "read"}
    used = re.findall(r"uses: (\S+)", (tmp_path / "shop" / FILES["github"]).read_text())
    assert len(used) == 8 and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        ("diff", {"LEVEL"}),
        ("deploy", {"LEVEL", "STRIPE_KEY", "BUSWAY_ALERT_PAGERDUTY_URL", "BUSWAY_ALERT_DATADOG_URL"}),
    ],
)
def test_on_github_each_job_is_given_what_it_needs_and_no_more(tmp_path: Path, job: str, wanted: set[str]):
    steps = written(tmp_path / "shop", "github")["jobs"][job]["steps"]
    given = next(step["env"] for step in steps if f"busway {job} prod" in step.get("run", ""))
    assert set(given) == wanted
    assert given["LEVEL"] == "${{ secrets.LEVEL || vars.LEVEL }}"
    role = next(step["with"]["role-to-assume"] for step in steps if "role-to-assume" in step.get("with", {}))
    assert role == f"${{{{ vars.AWS_{job.upper()}_ROLE }}}}"


def test_gitlab_does_the_same(tmp_path: Path):
    flow = written(tmp_path / "shop", "gitlab", "typescript", branch="trunk")
    assert flow["test"]["script"] == ["busway test"]
    assert flow["default"]["before_script"] == ['pip install "${BUSWAY:-busway}"', "npm install"]
    assert any("busway diff prod" in line for line in flow["diff"]["script"])
    assert flow["deploy"]["script"][-1] == "busway deploy prod"
    assert flow["deploy"]["rules"] == [{"if": '$CI_COMMIT_BRANCH == "trunk"'}]
    assert flow[".aws"]["id_tokens"]["AWS_TOKEN"] == {"aud": "sts.amazonaws.com"}


def test_a_file_that_is_there_is_not_touched(tmp_path: Path):
    written(tmp_path / "shop", "github")
    with pytest.raises(GeneratorRefused, match="exists"):
        add_ci(tmp_path / "shop", CiSpec("github", "prod"), EVERYTHING)


def test_an_environment_that_there_is_not_is_refused(tmp_path: Path):
    new_project(tmp_path / "shop", "shop")
    with pytest.raises(BrokenProject, match="no environment 'live'"):
        add_ci(tmp_path / "shop", CiSpec("github", "live"), EVERYTHING)
