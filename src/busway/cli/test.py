"""`busway test`: the project's tests, by pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import click

from busway.cli.options import json_option, project_root
from busway.cli.output import print_json
from busway.errors import BrokenProject

# An installed pytest-asyncio says this in every project that doesn't use it.
_NOT_OURS = 'ignore:The configuration option "asyncio_default_fixture_loop_scope" is unset'
# https://docs.pytest.org/en/stable/reference/exit-codes.html
_INTERRUPTED, _USAGE, _NO_TESTS = 2, 4, 5


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]...")
@json_option
def test(pytest_arguments: tuple[str, ...], as_json: bool) -> None:
    """Run the tests of the project's handlers: no network, no server.

    \b
    Example:
      busway test
      busway test -k receipt
    """
    root = project_root()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", *pytest_arguments]
        command += [f"--junit-xml={report}"] if as_json else []
        environment = {"PYTHONWARNINGS": _NOT_OURS, **os.environ}
        output = sys.stderr if as_json else None
        code = subprocess.run(command, cwd=root, env=environment, stdout=output, check=False).returncode
        if as_json:
            print_json({"exit_code": code, **(_counts(report) if report.exists() else {})})
    if code == _NO_TESTS:
        raise BrokenProject(f"{root} has no tests that fit", "busway add handler writes one with each handler")
    click.get_current_context().exit({0: 0, _INTERRUPTED: 130, _USAGE: 2}.get(code, 1))


def _counts(report: Path) -> dict[str, Any]:
    """What pytest wrote of its run: counts and seconds."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    counted = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    seconds = 0.0
    for suite in suites:
        counted = {name: count + int(suite.get(name, "0")) for name, count in counted.items()}
        seconds += float(suite.get("time", "0"))
    return {**counted, "seconds": round(seconds, 3)}
