"""The generated projects in `examples/`: what the generator makes, at work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .packages import put_road_packages

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
NODE = pytest.mark.needs("node")


@pytest.fixture(params=["customer-notification", pytest.param("customer-notification-ts", marks=NODE)])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return copy_of(request.param, tmp_path)


def copy_of(example: str, tmp_path: Path) -> Path:
    kept, left_out = ROOT / "examples" / example, (".busway", "__pycache__", "node_modules")
    copy = shutil.copytree(kept, tmp_path / "example", ignore=shutil.ignore_patterns(*left_out))
    if (copy / "package.json").exists():
        put_road_packages(copy)
    return copy


def busway(project: Path, *words: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "busway", *words], cwd=project, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_generated_examples_are_what_the_generator_makes():
    script = [sys.executable, ROOT / "scripts" / "examples.py", "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run: python scripts/examples.py\n{done.stderr}"


def test_its_own_tests_pass(project: Path):
    ran = json.loads(busway(project, "test", "--json"))
    assert (ran["tests"], ran["failures"], ran["errors"]) == (4, 0, 0)


@pytest.mark.parametrize(("example", "tests"), [("templates", 20), pytest.param("templates-ts", 15, marks=NODE)])
def test_every_template_passes_its_own_tests_and_strict_types(example: str, tests: int, tmp_path: Path):
    project = copy_of(example, tmp_path)
    ran = json.loads(busway(project, "test", "--json"))
    assert (ran["tests"], ran["failures"], ran["errors"]) == (tests, 0, 0)
    strict: list[str | Path] = [Path(sys.executable).parent / "pyright", "--pythonpath", sys.executable]
    if example.endswith("-ts"):
        strict = [project / "node_modules/.bin/tsc"]
    done = subprocess.run(strict, cwd=project, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout


def test_the_event_of_the_monolith_becomes_an_email_to_the_user(project: Path, tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", str(tmp_path / "data"), "--json"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        served = {"BUSWAY_ENDPOINT": str(json.loads(process.stdout.readline())["url"])}
        busway(project, "dev", "--once", **served)
        busway(project, "send", "CustomerNotification", **served)
        deadline, mails = time.monotonic() + PATIENCE_S, list[Any]()
        while not mails and time.monotonic() < deadline:
            mails = json.loads(busway(project, "inbox", "--json", **served))["messages"]
        (mail,) = mails
        assert mail["to"] == ["user@example.com"]
        assert {"unrecognized-login", "1.2.3.4", "Denver, Colorado, USA"} <= set(_words(mail))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _words(mail: Any) -> list[str]:
    text = json.dumps(mail)
    return [word for word in ("unrecognized-login", "1.2.3.4", "Denver, Colorado, USA") if word in text]
