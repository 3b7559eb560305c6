"""`busway.cdk` under the real CDK: `cdk synth` gives the resources of `busway synth`. A nightly run: CDK is large."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from busway.function.build.tools import find_uv

ROOT = Path(__file__).parents[2]
# Kept between runs, like the environment; `make clean` removes it.
CDK = ROOT / ".build" / "cdk"
# npm's "latest" was once a build published by accident: aws/aws-cdk#38113.
CLI = "aws-cdk@2.1148.1"
PATIENCE_S = 600
NIGHTLY = bool(os.environ.get("BUSWAY_NIGHTLY"))
RULE = {"EventPattern": {"source": ["com.benlimmer.Monolith"]}, "Targets": [{"Queue": "audit"}], "Alert": "pagerduty"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("node"),
    pytest.mark.skipif(not NIGHTLY, reason="CDK is 250 MB and starts slowly: `make nightly` runs this"),
]


def run(*words: str | Path, at: Path, **environment: str) -> str:
    done = subprocess.run(
        words, cwd=at, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cdk() -> Path:
    """The command `cdk`, with its library for Python."""
    CDK.mkdir(parents=True, exist_ok=True)
    library, command = CDK / "python", CDK / "node_modules" / ".bin" / "cdk"
    if not (library / "aws_cdk").is_dir():
        run(find_uv(os.environ), "pip", "install", "--target", library, "aws-cdk-lib>=2.200", at=CDK)
    if not command.exists():
        (CDK / "package.json").write_text("{}")
        run("npm", "install", "--no-audit", "--no-fund", CLI, at=CDK)
    return command


def project(folder: Path) -> Path:
    left_out = shutil.ignore_patterns(".busway", "__pycache__")
    root = shutil.copytree(ROOT / "examples" / "customer-notification", folder / "shop", ignore=left_out)
    handler = root / "handlers" / "notify_customer" / "handler.py"
    handler.write_text(handler.read_text().replace("retries=2", 'retries=2, alert="pagerduty", env=["LEVEL"]'))
    (root / "rules").mkdir()
    (root / "rules" / "all.json").write_text(json.dumps(RULE))
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text().replace('"default"', '"orders"'))
    return root


def test_an_exported_app_makes_the_resources_of_synth(cdk: Path, tmp_path: Path):
    root = project(tmp_path)
    run(sys.executable, "-m", "busway", "export", "cdk", at=root)
    synth = [cdk, "synth", "--json", "--no-notices", "--no-version-reporting"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    theirs: dict[str, Any] = json.loads(run(*synth, at=root / "cdk", PYTHONPATH=str(CDK / "python"), PATH=path))
    ours: dict[str, Any] = json.loads(run(sys.executable, "-m", "busway", "synth", "prod", at=root))
    code = theirs["Resources"]["NotifyCustomerFunction"]["Properties"].pop("Code")
    assert "cdk-" in json.dumps(code["S3Bucket"]) and code["S3Key"].endswith(".zip")
    del ours["Resources"]["NotifyCustomerFunction"]["Properties"]["Code"]
    assert theirs["Resources"] == ours["Resources"]
    assert theirs["Conditions"] == ours["Conditions"]
    # What nobody gave stays a parameter; the bucket is CDK's.
    assert set(theirs["Parameters"]) - {"BootstrapVersion"} == set(ours["Parameters"]) - {"CodeBucket"}
