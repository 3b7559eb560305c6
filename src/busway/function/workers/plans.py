"""What the worker of a function is made from: its environment, its folders, its sandbox and its credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from busway.arn import Scope
from busway.clock import Clock
from busway.errors import BuswayError, SecretNotFound
from busway.function.build import Built
from busway.function.definitions.books import Books
from busway.function.definitions.code_store import CodeStore
from busway.function.log_streams import stream_of, worker_mark
from busway.function.once import OnceStore
from busway.function.record import FunctionRecord, split
from busway.function.runtimes import Runtime, ready, runtime_kind
from busway.function.workers.environment import Surroundings, worker_environment
from busway.function.workers.sandbox import Sandbox
from busway.function.workers.worker import Plan
from busway.secret.reference import named_in

# Where our Python client keeps what it compiles.
BYTECODE = "BUSWAY_BYTECODE"

Secret = Callable[[Scope, str], str]
"""A secret's name → its present value. Raises a `BuswayError` that says why there is none."""

Credentials = Callable[[str], tuple[str, str, str]]
"""A function's ARN → access key, secret key, session token for one worker of it."""


def no_secrets(scope: Scope, name: str) -> str:
    """For rooms without a store of secrets."""
    raise SecretNotFound


def any_credentials(function_arn: str) -> tuple[str, str, str]:
    """For a server without access keys, which takes any."""
    return ("test", "test", "test")


@dataclass(frozen=True, slots=True)
class Plans:
    """Makes plans. `scratch` holds a folder a worker; `mark` names the processes of this data folder's servers."""

    books: Books
    code: CodeStore
    once: OnceStore
    runtimes: Mapping[str, Runtime]
    surroundings: Surroundings
    credentials_for: Credentials
    sandbox: Sandbox
    scratch: Path
    mark: str
    clock: Clock
    secret: Secret = no_secrets

    def __call__(self, crew: str, number: int) -> Plan:
        """For a new worker of a function, or of a version of it. `number` is used once."""
        record = self.books.resolve(*split(crew))
        mark, scratch = f"{self.mark}/{number}/", self.scratch / str(number)
        code = self.code.path(record)
        runtime = ready(self.runtimes[runtime_kind(record.runtime) or ""])
        credentials = self.credentials_for(record.arn)
        record, fault = self._with_secrets(record)
        now = self.clock.now()
        worker = worker_mark(record.version, now, mark)
        stream = stream_of(record.arn, now, worker)
        environment = worker_environment(record, self.surroundings, credentials, code, scratch, mark, stream)
        opened = _opened(record.built or Built(), runtime)
        bytecode, written = None, ()
        if self.sandbox.encloses and runtime.command[0] == "python":
            bytecode = self.scratch / "bytecode" / crew.replace(":", "-")
            written, environment[BYTECODE] = (bytecode,), str(bytecode)
        return Plan(
            crew, record.revision, runtime, environment, code, scratch, record.memory_mb, record.timeout_s,
            once=partial(self.once.answer, record.arn, record.timeout_s),
            enclosure=self.sandbox.enclose(code, opened, scratch, *written), bytecode=bytecode, fault=fault,
            mark=worker,
        )  # fmt: skip

    def _with_secrets(self, record: FunctionRecord) -> tuple[FunctionRecord, str]:
        """With the values that its variables stand for; and why a worker cannot start, where one is not to be had."""
        meant, name = dict(record.environment), ""
        try:
            for variable, text in record.environment.items():
                if name := named_in(text) or "":
                    meant[variable] = self.secret(record.scope, name)
        except BuswayError as error:
            return record, f"secret {name!r}: {error} `busway secret set {name.rpartition('/')[2]}` sets it."
        return replace(record, environment=meant), ""


def _opened(built: Built, runtime: Runtime) -> Iterator[Path]:
    """What the worker reads beside its code: what was built for it, and the program that runs it."""
    for path in (*built.python_path, *built.node_path, *([built.entry] if built.entry else []), *runtime.command):
        if Path(path).is_absolute():
            yield Path(path)
