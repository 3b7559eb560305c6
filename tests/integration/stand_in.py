"""moto's server, which stands in for AWS: what a server's `upstream` can be."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from .whole_server import PATIENCE_S, REGION


class StandIn:
    """moto, and its clients. Everything is in its one account, 123456789012."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="k", aws_secret_access_key="s"
        )


@contextmanager
def stand_in(folder: Path, port: int) -> Iterator[StandIn]:
    """Serve until the block ends."""
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url, process)
        # Jobs end at once, without Docker.
        order = urllib.request.Request(
            f"{url}/moto-api/config", b'{"batch": {"use_docker": false}}', {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(order, timeout=PATIENCE_S).close()
        yield StandIn(url)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/moto-api/config", timeout=PATIENCE_S).close()
            return
        except OSError:
            assert process.poll() is None, "moto ended before it was ready"
            assert time.monotonic() < give_up_at, "moto does not answer"
            time.sleep(0.05)
