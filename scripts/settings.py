"""Write docs/settings.md: every setting of the server, from the one table in `busway.config`.

python scripts/settings.py            write the page
python scripts/settings.py --check    exit 1 if the page is not up to date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from busway.cli.serve import serve
from busway.config import setting_help

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
HEAD = """\
# Settings

Made by `scripts/settings.py` from `src/busway/config.py`; do not edit.

## The server

`busway serve` reads these from the environment; a flag wins over its variable. A server that `busway dev` starts
reads them too. A value that cannot be read ends the start, and the error names the variable, what it
holds and what was wanted.
"""
CLIENTS = """
## The other commands, and AWS's clients

| variable | what it is |
| --- | --- |
| `BUSWAY_ENDPOINT` | the server that commands speak to, like `--endpoint`; `http://127.0.0.1:4566` without it |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` | the key that requests are signed with; a server without access keys \
takes any. A key of 12 digits is its own account |
| `AWS_REGION`, `AWS_DEFAULT_REGION` | the region that is asked for; `us-east-1` without it |
| `BUSWAY_ALERT_<ROUTE>_URL` | where an alert route is told on AWS: [alerts.md](alerts.md#on-aws) |
| `BUSWAY_PARAMETER_<NAME>` | a parameter of an overlay: [aws.md](aws.md) |
| `AWS_ENDPOINT_URL` | where AWS's SDKs, the AWS CLI and an event's `publish()` send requests: the server's URL |

`aws sqs` passes by `AWS_ENDPOINT_URL`: the AWS CLI sets an endpoint of its own for SQS before it looks there. With
`aws --endpoint-url http://127.0.0.1:4566 …` every command reaches the server.
"""


def shown(default: Any) -> str:
    """A default as one would write it into the environment."""
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`" if default != "" else "(empty)"


def page() -> str:
    flags = {option.name: option.opts[0] for option in serve.params}
    rows = ["| setting | variable | flag | default | what it is |", "| --- | --- | --- | --- | --- |"]
    for name, default, text in setting_help():
        flag = f"`{flags[name]}`" if name in flags else ""
        rows.append(
            f"| {name} | `BUSWAY_{name.upper()}` | {flag} | {shown(default)} | {text} |".replace("|  |", "| |")
        )
    return HEAD + "\n" + "\n".join(rows) + "\n" + CLIENTS


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    text = page()
    if arguments.parse_args().check:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
