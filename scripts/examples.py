"""Makes the generated projects in `examples/` as a user would; `--check` compares instead.

`customer-notification` and its twin in TypeScript are the README's example: the template `email` holds the logic.
`templates` and its twin have a handler of every template that the generator knows, to be read and approved when one
of them changes; their tests, types and lint are run in CI.
"""

from __future__ import annotations

import contextlib
import filecmp
import io
import shutil
import sys
import tempfile
from pathlib import Path

from busway.cli import main as busway
from busway.road.fields import TYPES

ROOT = Path(__file__).parents[1]
NOTIFICATION = [
    "--event", "CustomerNotification", "--source", "com.benlimmer.Monolith", "--detail-type", "Customer Notification",
    "--field", "notification:str=unrecognized-login", "--field", "ip-address:str=1.2.3.4",
    "--field", "location:str=Denver, Colorado, USA",
]  # fmt: skip
EMAIL = [["handler", "notify-customer", *NOTIFICATION, "--template", "email"]]
ONLY = '{"location": [{"prefix": "Oslo"}], "ip-address": [{"cidr": "10.0.0.0/8"}]}'
OF_EVERY_TYPE = [word for name in TYPES for word in ("--field", f"a-{name}:{name}")]
ORDER = ["--event", "OrderPlaced", "--source", "shop", "--detail-type", "Order Placed", "--field", "total:decimal"]
EVERY = [
    *EMAIL,
    ["handler", "post-orders", *ORDER, "--batch", "100/5s"],
    ["handler", "keep", "--event", "EveryType", "--source", 'com."Shop"', "--detail-type", "Every Type",
     *OF_EVERY_TYPE],
    ["handler", "in-oslo", "--event", "Login", "--source", "shop", "--detail-type", "Login",
     "--field", "location:str=Oslo", "--field", "ip-address:str?=10.0.0.1", "--filter", ONLY, "--retries", "0",
     "--max-age", "1h", "--timeout", "1m", "--memory-mb", "512", "--alert", "pagerduty", "--secret", "STRIPE_KEY",
     "--rate", "10/s", "--concurrency", "4"],
    ["schedule", "nightly", "cron(0 2 * * ? *)"],
]  # fmt: skip
# What is made for an event that is there already: in TypeScript that takes the packages of npm.
MORE = [
    ["handler", "count", "--event", "OrderPlaced", "--async"],
    ["rule", "audit", "--event", "OrderPlaced", "--to", "queue:audit"],
]
TYPESCRIPT = ["--language", "typescript"]
# The project's folder, what is asked for when it is made, and what is added to it.
EXAMPLES = {
    "customer-notification": ([], EMAIL),
    "customer-notification-ts": (TYPESCRIPT, EMAIL),
    "templates": ([], [*EVERY, *MORE]),
    "templates-ts": (TYPESCRIPT, EVERY),
}


def make(folder: Path, name: str) -> Path:
    """An example, made in `folder`."""
    options, added = EXAMPLES[name]
    for words, where in ((["new", name, *options], folder), *((["add", *add], folder / name) for add in added)):
        told = io.StringIO()
        with contextlib.chdir(where), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            code = busway(words)
        if code:
            sys.exit(f"busway {' '.join(words)}\n{told.getvalue()}")
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
