"""What is kept of a function, and what a function may be. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from busway.arn import Arn, Scope, parse_arn
from busway.errors import FunctionFeatureNotBuilt, InvalidFunction
from busway.function.build import Built
from busway.function.runtimes import missing, runtime_kind

LATEST = "$LATEST"
PENDING, ACTIVE, FAILED = "Pending", "Active", "Failed"
ALLOW, TERMINATE = "Allow", "Terminate"
_ANY_NAME = re.compile(r"[a-zA-Z0-9-_]+")

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
TIMEOUT_S = (1, 900)
MEMORY_MB = (128, 10_240)
ENVIRONMENT_BYTES_MAX = 4_096
NAME_CHARS_MAX = 64
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html (defaults)
TIMEOUT_S_DEFAULT = 3
MEMORY_MB_DEFAULT = 128
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
ACCOUNT_CONCURRENCY = 1_000
UNRESERVED_MIN = 100

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (reserved variables)
RESERVED_VARIABLES = frozenset({
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
})  # fmt: skip

_ENVIRONMENT_REFUSED = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided"
)

# What an asynchronous invocation's result can go to, by the service of the ARN. AWS also has sns and s3.
DESTINATION_SERVICES = ("sqs", "lambda", "events")


class EventInvoke(msgspec.Struct, frozen=True, omit_defaults=True):
    """The event invoke config: None is AWS's default. `modified_at` is Unix seconds."""

    modified_at: float
    retries_max: int | None = None
    age_s_max: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


class Policy(msgspec.Struct, frozen=True):
    """The statements of a function, version or alias. `revision` changes with each of them."""

    revision: str
    statements: list[dict[str, Any]]


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name for a version of the function `arn`."""

    arn: str
    name: str
    version: str
    description: str
    revision: str


class FunctionRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A function as it is stored, or a published version of it, which never changes. Times are Unix seconds.

    `arn` is the function's own, without a qualifier. `code` is where it lies: a folder's absolute path if `live`,
    else the name of a folder below the function's own. `revision` changes with each change of code or configuration.
    `update` is the function as it will be when what it needs is built; until then it runs as it was.
    """

    arn: str
    runtime: str
    handler: str
    role: str
    code: str
    code_sha256: str
    code_size: int
    revision: str
    modified_at: float
    live: bool = False
    description: str = ""
    timeout_s: int = TIMEOUT_S_DEFAULT
    memory_mb: int = MEMORY_MB_DEFAULT
    environment: dict[str, str] = {}
    dead_letter_arn: str | None = None
    tracing: str = "PassThrough"
    architectures: tuple[str, ...] = ("x86_64",)
    version: str = LATEST
    state: str = ACTIVE
    built: Built | None = None
    # Why the last build, of the function or of its update, failed.
    failure: str = ""
    # What follows belongs to the function, and is not in its versions.
    update: FunctionRecord | None = None
    published: int = 0
    tags: dict[str, str] = {}
    reserved: int | None = None
    recursive_loop: str = TERMINATE

    @property
    def name(self) -> str:
        return self.arn.rsplit(":", 1)[1]

    @property
    def crew(self) -> str:
        """What its workers go by: a version has workers of its own."""
        return self.arn if self.version == LATEST else f"{self.arn}:{self.version}"

    @property
    def shown(self) -> FunctionRecord:
        """The function as its owner last wanted it, which is what AWS shows."""
        return self.update or self

    @property
    def scope(self) -> Scope:
        arn = parse_arn(self.arn)
        assert arn is not None
        return arn.scope


def function_arn(scope: Scope, name: str) -> str:
    return scope.arn("lambda", f"function:{name}")


def resolve(given: str, scope: Scope, qualifier: str | None = None) -> tuple[str, str | None]:
    """The unqualified ARN and the qualifier, if there is one, of a name, partial ARN or ARN.

    A name without owner belongs to `scope`. Raises `InvalidFunction` for what is none of these.
    """
    arn = parse_arn(given)
    if arn is not None:
        scope, rest = arn.scope, arn.resource
        if arn.service != "lambda":
            raise InvalidFunction(f"{given} is not the ARN of a function")
    else:
        account, colon, rest = given.partition(":")
        if colon and len(account) == 12 and account.isdigit():
            scope = Scope(account, scope.region)
        else:
            rest = given
    name, _, suffix = rest.removeprefix("function:").partition(":")
    if not _ANY_NAME.fullmatch(name):
        raise InvalidFunction(f"{given!r} is no function's name or ARN")
    if suffix and qualifier and suffix != qualifier:
        raise InvalidFunction("The derived qualifier from the function name does not match the specified qualifier.")
    return function_arn(scope, name), suffix or qualifier or None


def qualified(arn: str, qualifier: str) -> str:
    return f"{arn}:{qualifier}" if qualifier else arn


def split(arn: str) -> tuple[str, str]:
    """A function's ARN without its qualifier, and the qualifier, "" for none."""
    parts = arn.split(":", 7)
    return (arn, "") if len(parts) < 8 else (":".join(parts[:7]), parts[7])


def parts_of(arn: str, qualifier: str) -> tuple[str, str]:
    """(ARN of the function, qualifier): the qualifier may stand in the ARN. Raises `InvalidFunction` for two."""
    function, own = split(arn)
    if own and qualifier and own != qualifier:
        raise InvalidFunction("The derived qualifier from the function name does not match the specified qualifier.")
    return function, own or qualifier


def check_runtime(runtime: str, handler: str) -> None:
    if not runtime or not handler:
        raise InvalidFunction(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    if runtime_kind(runtime) is None:
        raise FunctionFeatureNotBuilt(
            f"Runtime {runtime} is not built yet in Busway; wanted python3.x, nodejsN.x or provided.x"
        )
    lacking = missing(runtime)
    if lacking:
        raise InvalidFunction(f"Runtime {runtime} can't run on this server: {lacking}")


def check_range(member: str, value: int, bounds: tuple[int, int]) -> int:
    """The value; in AWS's words when it is outside."""
    low, high = bounds
    if low <= value <= high:
        return value
    word = f"less than or equal to {high}" if value > high else f"greater than or equal to {low}"
    raise InvalidFunction(
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must have value {word}"
    )


def check_environment(variables: Mapping[str, str]) -> dict[str, str]:
    reserved = sorted(RESERVED_VARIABLES & set(variables))
    if reserved:
        raise InvalidFunction(
            f"{_ENVIRONMENT_REFUSED} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    for name, value in variables.items():
        if "\0" in value:
            raise InvalidFunction(
                f"{_ENVIRONMENT_REFUSED} contain a NUL character, which no process can be given: {name}"
            )
    measured = msgspec.json.encode(dict(variables))
    if len(measured) > ENVIRONMENT_BYTES_MAX:
        raise InvalidFunction(f"{_ENVIRONMENT_REFUSED} exceeded the 4KB limit. String measured: {measured.decode()}")
    return dict(variables)


def check_dead_letter(arn: str | None) -> str | None:
    """The ARN, None for "none". Only queues are built."""
    if not arn:
        return None
    parsed = parse_arn(arn)
    if parsed is None or parsed.service not in ("sqs", "sns"):
        raise InvalidFunction(f"The provided target ARN {arn} is invalid: wanted the ARN of an SQS queue")
    if parsed.service == "sns":
        raise FunctionFeatureNotBuilt(f"A dead-letter topic ({arn}) is not built yet in Busway; wanted an SQS queue")
    return arn


def check_destination(arn: str | None, function: str) -> str | None:
    """The ARN, None for "none". In AWS's words (recorded) for what it refuses."""
    if not arn:
        return None
    parsed: Arn | None = parse_arn(arn)
    if parsed is None:
        raise InvalidFunction(f"The destination ARN {arn} is invalid.")
    if parsed.service in ("sns", "s3"):
        wanted = ", ".join(DESTINATION_SERVICES)
        raise FunctionFeatureNotBuilt(f"The destination {arn} is not built yet in Busway; wanted one of {wanted}")
    if parsed.service not in DESTINATION_SERVICES:
        raise InvalidFunction(f"The destination ARN {arn} is invalid.")
    if arn == function or arn.startswith(f"{function}:"):
        raise InvalidFunction("You can't specify the function as a destination for itself.")
    return arn
