"""`busway test`: the project's tests, in Python by pytest and in TypeScript by Node's test runner."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from importlib.util import find_spec
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
_COUNTS = ("tests", "failures", "errors", "skipped")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
@json_option
def test(arguments: tuple[str, ...], as_json: bool) -> None:
    """Run the project's tests, beside its handlers and rules and in tests/: no network, no server.

    ARGUMENTS go to pytest, or where the project is in TypeScript alone to Node's test runner.

    \b
    Example:
      busway test
      busway test -k receipt
      busway test --test-name-pattern receipt
    """
    from busway.road.root import is_node, is_python

    root = project_root()
    with tempfile.TemporaryDirectory() as scratch:
        reports = [Path(scratch) / name for name in ("pytest.xml", "node.xml")]
        codes: list[int] = []
        if is_python(root):
            codes.append(_pytest(root, arguments, reports[0] if as_json else None))
        if is_node(root) and not (codes and arguments):
            codes.append(_node_tests(root, arguments, reports[1] if as_json else None))
        ran = [code for code in codes if code != _NO_TESTS]
        code = next((code for code in ran if code), 0) if ran else _NO_TESTS
        if as_json:
            print_json({"exit_code": code, **_counts([report for report in reports if report.exists()])})
    if code == _NO_TESTS:
        raise BrokenProject(f"{root} has no tests that fit", "busway add handler writes one with each handler")
    click.get_current_context().exit({0: 0, _INTERRUPTED: 130, _USAGE: 2}.get(code, 1))


def _pytest(root: Path, arguments: Sequence[str], report: Path | None) -> int:
    """Its exit code. Raises BrokenProject where there is no pytest."""
    if find_spec("pytest") is None:
        raise BrokenProject(f"pytest is not installed for {sys.executable}", "pip install pytest")
    from busway.road.pytest_settings import all_testpaths

    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    # Only where no path is among the arguments does pytest look at it.
    if (paths := all_testpaths(root)) is not None:
        command += ["-o", f"testpaths={shlex.join(paths)}"]
    command += [f"--junit-xml={report}"] if report else []
    environment = {"PYTHONWARNINGS": _NOT_OURS, **os.environ}
    return subprocess.run(
        command, cwd=root, env=environment, stdout=sys.stderr if report else None, check=False
    ).returncode


def _node_tests(root: Path, arguments: Sequence[str], report: Path | None) -> int:
    """An exit code as pytest has them."""
    from busway.road.typescript.run_tests import bundled_tests, node_command, test_bus

    tests = asyncio.run(bundled_tests(root))
    if not tests:
        return _NO_TESTS
    command = [*node_command(report), *arguments, *map(str, tests)]
    with test_bus(root) as variables:
        environment, output = {**os.environ, **variables}, sys.stderr if report else None
        ended = subprocess.run(command, cwd=root, env=environment, stdout=output, check=False)
    return 1 if ended.returncode else 0


def _counts(reports: Sequence[Path]) -> dict[str, Any]:
    """What JUnit's XML says of the runs: counts and seconds."""
    counted: dict[str, int] = dict.fromkeys(_COUNTS, 0)
    seconds = 0.0
    for report in reports:
        root = ElementTree.parse(report).getroot()
        for case in root.iter("testcase"):
            counted["tests"] += 1
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                counted[name] += case.find(tag) is not None
            seconds += float(case.get("time", "0"))
    return {**counted, "seconds": round(seconds, 3)} if reports else {}
