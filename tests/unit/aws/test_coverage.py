"""docs/coverage.md tells what the services can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from busway.aws.services import SERVICES

ROOT = Path(__file__).parents[3]


def test_the_coverage_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "coverage.py", "--check"], capture_output=True, check=False
    )
    assert done.returncode == 0, f"run: python scripts/coverage.py\n{done.stderr.decode()}"


def test_every_service_file_is_in_the_table():
    folder = ROOT / "src" / "busway" / "aws" / "services"
    files = {
        f"busway.aws.services.{file.stem}" for file in folder.glob("*.py") if '\n    name = "' in file.read_text()
    }
    assert files <= {where.partition(":")[0] for where in SERVICES.values()}
