"""Makes `examples/customer-notification` and its twin in TypeScript as a user would; `--check` compares instead.

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
# The project's name, with what is asked for when it is made.
EXAMPLES = {"customer-notification": [], "customer-notification-ts": ["--language", "typescript"]}
HANDLER = [
    "notify-customer", "--event", "CustomerNotification", "--source", "com.benlimmer.Monolith",
    "--detail-type", "Customer Notification", "--field", "notification:str=unrecognized-login",
    "--field", "ip-address:str=1.2.3.4", "--field", "location:str=Denver, Colorado, USA", "--template", "email",
]  # fmt: skip


def make(folder: Path, name: str) -> Path:
    """An example, made in `folder`."""
    for words, where in ((["new", name, *EXAMPLES[name]], folder), (["add", "handler", *HANDLER], folder / name)):
        subprocess.run([sys.executable, "-m", "busway", *words], cwd=where, check=True, capture_output=True)
    return folder / name


def differences(made: Path, kept: Path) -> list[str]:
    """Files that only one has, or that differ; what running it leaves behind does not count."""
    names = {str(file.relative_to(root)) for root in (made, kept) for file in root.rglob("*") if _counts(root, file)}
    return sorted(name for name in names if not _same(made / name, kept / name))


def _counts(root: Path, file: Path) -> bool:
    left_behind = {"__pycache__", ".busway", ".pytest_cache", ".ruff_cache", ".venv", "node_modules"}
    return file.is_file() and not left_behind & set(file.relative_to(root).parts)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def main() -> int:
    different: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in EXAMPLES:
            made, kept = make(Path(scratch), name), ROOT / "examples" / name
            if "--check" in sys.argv:
                different += [f"{name}/{file}" for file in differences(made, kept)]
            else:
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(made, kept, ignore=shutil.ignore_patterns(".busway"))
    for file in different:
        print(f"examples/{file} is not what the generator makes", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
