"""The environment of a worker: AWS's variables, our services' endpoints, nothing of the server's own. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from busway.function.build import Built
from busway.function.log_streams import GROUPS
from busway.function.record import FunctionRecord
from busway.function.workers.process import MARK

# The SDKs' names of the services that Busway has: https://docs.aws.amazon.com/sdkref/latest/guide/ss-endpoints-table.html
# Never AWS_ENDPOINT_URL: a handler's other calls must go where they would go without us.
SERVICES = (
    "EVENTBRIDGE", "SQS", "LAMBDA", "KINESIS", "SESV2", "STS", "CLOUDWATCH", "CLOUDWATCH_LOGS", "SECRETS_MANAGER",
    "SNS",
)  # fmt: skip

# What of the server's environment a worker gets: how to find programs, and how text is written.
PASSED_ON = ("PATH", "LANG", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

# Where the Node.js client finds the handler when it was built; the task root stays the code as it was given.
ENTRY = "BUSWAY_ENTRY"

PACKAGE_FOLDER = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What workers are told about the server. `upstream` is where calls to other services go, "" for AWS."""

    endpoint: str
    upstream: str
    passed_on: Mapping[str, str]


def worker_environment(
    record: FunctionRecord,
    surroundings: Surroundings,
    credentials: tuple[str, str, str],
    code: Path,
    scratch: Path,
    mark: str,
    log_stream: str,
) -> dict[str, str]:
    """Every variable of one worker; the function's own come last and win, where they may be set at all."""
    scope = record.scope
    key, secret, token = credentials
    passed_on = {name: value for name, value in surroundings.passed_on.items() if name in PASSED_ON}
    path = passed_on.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    built = record.built or Built()
    environment = {
        "LANG": "en_US.UTF-8",
        **passed_on,
        "PATH": f"{Path(sys.executable).parent}:{path}",
        "TZ": ":UTC",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONPATH": ":".join((str(code), *built.python_path, str(PACKAGE_FOLDER))),
        "LAMBDA_TASK_ROOT": str(code),
        "LAMBDA_RUNTIME_DIR": str(Path(__file__).parents[1] / "runtimes"),
        "_HANDLER": record.handler,
        "AWS_REGION": scope.region,
        "AWS_DEFAULT_REGION": scope.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{record.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": record.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(record.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": record.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": GROUPS + record.name,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
        **{f"AWS_ENDPOINT_URL_{service}": surroundings.endpoint for service in SERVICES},
    }
    if built.node_path:
        environment["NODE_PATH"] = ":".join(built.node_path)
    if built.entry:
        environment[ENTRY] = built.entry
    if surroundings.upstream:
        environment["AWS_ENDPOINT_URL"] = surroundings.upstream
    return {**environment, **record.environment, MARK: mark}
