"""Makes `examples/customer-notification` as a user would; `--check` compares instead.

All of it is generated: the template `email` holds the logic.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "customer-notification"
HANDLER = [
    "notify-customer", "--event", "CustomerNotification", "--source", "com.benlimmer.Monolith",
    "--detail-type", "Customer Notification", "--field", "notification:str=unrecognized-login",
    "--field", "ip-address:str=1.2.3.4", "--field", "location:str=Denver, Colorado, USA", "--template", "email",
]  # fmt: skip


def make(folder: Path) -> Path:
    """The example, made in `folder`."""
    for words, where in ((["new", NAME], folder), (["add", "handler", *HANDLER], folder / NAME)):
        subprocess.run([sys.executable, "-m", "busway", *words], cwd=where, check=True, capture_output=True)
    return folder / NAME


def differences(made: Path, kept: Path) -> list[str]:
    """Files that only one has, or that differ; what running it leaves behind does not count."""
    names = {str(file.relative_to(root)) for root in (made, kept) for file in root.rglob("*") if _counts(root, file)}
    return sorted(name for name in names if not _same(made / name, kept / name))


def _counts(root: Path, file: Path) -> bool:
    left_behind = {"__pycache__", ".busway", ".pytest_cache", ".ruff_cache", ".venv"}
    return file.is_file() and not left_behind & set(file.relative_to(root).parts)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def main() -> int:
    kept = ROOT / "examples" / NAME
    with tempfile.TemporaryDirectory() as scratch:
        made = make(Path(scratch))
        if "--check" not in sys.argv:
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(made, kept)
            return 0
        different = differences(made, kept)
    for name in different:
        print(f"examples/{NAME}/{name} is not what the generator makes", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
