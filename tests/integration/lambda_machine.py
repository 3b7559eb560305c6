"""A stand-in for the machine that Lambda runs a zip on: AWS's clients, and no Busway but what is in the zip."""

from __future__ import annotations

import io
import json
import os
import queue
import subprocess
import sys
import threading
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import files as files_of
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
# What Lambda's Python runtime has beside the code: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
IN_RUNTIME = (
    "awslambdaric", "snapshot-restore-py", "simplejson", "boto3", "botocore", "s3transfer", "jmespath",
    "python-dateutil", "six", "urllib3",
)  # fmt: skip
_START_PYTHON = (
    "import sys; sys.path[:0] = sys.argv[1:3]; import awslambdaric.__main__ as m; m.main(['', sys.argv[3]])"
)
# What Lambda's own client does, in short: it loads the file of a handler, and asks for events for ever.
_START_NODE = """
import { pathToFileURL } from "node:url";
const [file, name] = process.env._HANDLER.split(".");
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const post = (path, value) => fetch(`${api}/${path}`, { method: "POST", body: JSON.stringify(value ?? null) });
let handler;
try {
  handler = (await import(pathToFileURL(`${process.env.LAMBDA_TASK_ROOT}/${file}.mjs`)))[name];
} catch (error) {
  await post("init/error", { errorType: error.name, errorMessage: error.message });
  process.exit(1);
}
for (;;) {
  const next = await fetch(`${api}/invocation/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id");
  try {
    await post(`invocation/${id}/response`, await handler(await next.json(), { awsRequestId: id }));
  } catch (error) {
    await post(`invocation/${id}/error`, { errorType: error.name, errorMessage: error.message });
  }
}
"""


class Machine:
    """Runs a zip; each event that it is given comes back as what the handler gave, or as its error."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.events: queue.Queue[Any] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()

    def invoke(self, event: Any) -> Any:
        """What the handler gave. Raises RuntimeError with its error."""
        self.events.put(event)
        kind, answer = self.answers.get(timeout=PATIENCE_S)
        if kind != "response":
            raise RuntimeError(f"{answer.get('errorType')}: {answer.get('errorMessage')}")
        return answer


@contextmanager
def lambda_machine(
    package: bytes, entry_point: str, folder: Path, variables: Mapping[str, str], *, node: bool = False
) -> Generator[Machine]:
    """`variables`: those of the function. The code lies in `folder`/task."""
    task, machine_server = folder / "task", ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    zipfile.ZipFile(io.BytesIO(package)).extractall(task)
    machine = Machine(machine_server.server_port)
    machine_server.RequestHandlerClass = _runtime_api(machine)
    threading.Thread(target=machine_server.serve_forever, args=(0.02,), daemon=True).start()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LAMBDA_TASK_ROOT": str(task), "_HANDLER": entry_point,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{machine.port}", "AWS_LAMBDA_FUNCTION_NAME": "shop-prod-f",
        "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_LAMBDA_LOG_STREAM_NAME": "s", **variables,
    }  # fmt: skip
    process = subprocess.Popen(
        _node_command(folder) if node else python_command(_START_PYTHON, task, folder, entry_point),
        env=environment, cwd=task, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield machine
    finally:
        process.kill()
        process.wait()
        machine_server.shutdown()
        machine_server.server_close()


def python_command(source: str, task: Path, folder: Path, *words: str) -> list[str]:
    """Python with nothing on its path but the standard library, the zip and Lambda's own packages."""
    runtime = folder / "runtime"
    runtime.mkdir(exist_ok=True)
    for name in IN_RUNTIME:
        for file in files_of(name) or []:
            top = Path(str(file.locate())).relative_to(Path(str(file.locate())).parents[len(file.parts) - 1]).parts[0]
            place = runtime / top
            if not place.exists() and ".." not in file.parts:
                place.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    return [sys.executable, "-S", "-E", "-B", "-c", source, str(task), str(runtime), *words]


def _node_command(folder: Path) -> list[str]:
    client = folder / "client.mjs"
    client.write_text(_START_NODE)
    return ["node", "--enable-source-maps", str(client)]


def _runtime_api(machine: Machine) -> type[BaseHTTPRequestHandler]:
    """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps(machine.events.get()).encode()
            self.send_response(200)
            for name, value in (
                ("Lambda-Runtime-Aws-Request-Id", "r-1"), ("Lambda-Runtime-Deadline-Ms", "9999999999999"),
                ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:f"),
                ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
            ):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            length = self.headers["Content-Length"]
            body = self.rfile.read(int(length)) if length else _chunked(self.rfile)
            machine.answers.put((self.path.rpartition("/")[2], json.loads(body or b"null")))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """What is asked is seen by what comes back."""

    return Api


def _chunked(stream: Any) -> bytes:
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body
