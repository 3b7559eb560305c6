"""`busway serve` in a process of its own, with access keys, so that every client's signature is verified."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT, SECRET, REGION = "123456789012", "not-a-secret", "eu-central-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
BIN = Path(sys.executable).parent
# Generous: the machine may be busy. Nothing waits this long unless it is broken.
PATIENCE_S = 60


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def zipped(source: str) -> bytes:
    """A function's package: app.py."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", dedent(source))
    return package.getvalue()


class WholeServer:
    """A running server, and its clients as users have them."""

    def __init__(self, url: str, home: Path, process: subprocess.Popen[str]) -> None:
        self.url, self.process = url, process
        # What a user's shell has, and nothing of this one's own AWS set-up.
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL": url, "BUSWAY_ENDPOINT": url,
        }  # fmt: skip

    def client(self, service: str, account: str = ACCOUNT) -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=account,
            aws_secret_access_key=SECRET, config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    def run(
        self, *command: str | Path, folder: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env={**self.environment, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def busway(self, *words: str, code: int = 0) -> Any:
        """What a command prints with --json."""
        done = self.run(BIN / "busway", *words, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


@contextmanager
def whole_server(folder: Path, **settings: str) -> Iterator[WholeServer]:
    """Serve until the block ends. `settings` are BUSWAY_ variables, in lower case and without the prefix."""
    chosen = {"access_keys": f"{ACCOUNT}:{SECRET}", "async_retry_s": "0,0", "workers_max": "2", **settings}
    process = subprocess.Popen(
        [BIN / "busway", "serve", "--port", "0", "--data", folder / "data", "--json"],
        env={**os.environ, **{f"BUSWAY_{name.upper()}": value for name, value in chosen.items()}},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready, "busway serve ended before it was ready"
        yield WholeServer(json.loads(ready)["url"], folder, process)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives once that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.02)
    return found


def rule_to_queue(server: WholeServer, name: str, pattern: str) -> str:
    """A queue, and a rule on the default bus that sends to it; the queue's URL."""
    events, sqs = server.client("events"), server.client("sqs")
    url = str(sqs.create_queue(QueueName=name)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=pattern)
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    return url


def message_of(received: Any) -> dict[str, Any]:
    """The one message of an answer of ReceiveMessage."""
    (message,) = received.get("Messages", [])
    return message


def attributes_of(message: Any) -> dict[str, tuple[str, str]]:
    """Name → (data type, value)."""
    return {name: (value["DataType"], value["StringValue"]) for name, value in message["MessageAttributes"].items()}


def names_of(pages: Sequence[Any], member: str, name: str) -> list[str]:
    return [found[name] for page in pages for found in page.get(member, [])]
