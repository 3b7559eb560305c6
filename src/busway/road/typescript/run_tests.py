"""A project's tests in TypeScript: bundled, for a Node.js that reads no TypeScript, and run by Node's own runner."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from busway.road.root import NODE_HANDLER
from busway.road.typescript.bundle import bundle_tests
from busway.road.typescript.package import put_package
from busway.road.typescript.read import need_node

# Node finds the project's packages from here, as from the tests themselves.
PLACE = Path(".busway", "tests")


async def bundled_tests(root: Path) -> list[Path]:
    """The tests beside handlers, events and rules and in tests/, as files that Node can run. Raises BrokenProject."""
    files = sorted(file for folder in ("events", "handlers", "rules") for file in (root / folder).rglob("*.test.ts"))
    # A repository that was there may have tests of another runner in tests/.
    own = sorted((root / "tests").rglob("*.test.ts"))
    files += [file for file in own if "node:test" in file.read_text(encoding="utf-8")]
    if not files:
        return []
    put_package(root)
    return await bundle_tests(root, files, root / PLACE)


def node_command(report: Path | None) -> list[str]:
    """Node, to be given files of tests. `report`: where JUnit's XML goes, beside what is shown."""
    reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
    if report:
        reporters += ["--test-reporter=junit", f"--test-reporter-destination={report}"]
    return [need_node(), "--test", "--enable-source-maps", *reporters]


@contextmanager
def test_bus(root: Path) -> Generator[dict[str, str]]:
    """What a project's tests ask for buses, as the variables by which they find it."""
    handlers = (root / "handlers").glob(f"*/{NODE_HANDLER}")
    batches = any("batchHandler" in file.read_text(encoding="utf-8") for file in handlers)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bus")
        # By name: the room `testing` knows this one.
        command = [sys.executable, "-m", "busway.testing.line_bus", path, *(["--batches"] if batches else [])]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield {"BUSWAY_TEST_BUS": path}
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()
