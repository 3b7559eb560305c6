"""Options that many commands share, and the connection that they describe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from busway.cli.timeline import name_of

if TYPE_CHECKING:
    from busway.road.connection import Connection
    from busway.road.root import Language

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_ENDPOINT = "http://127.0.0.1:4566"
GIVEN = "a file, - for stdin, or JSON itself"

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs to read.")


def default_endpoint() -> str:
    """The server of this machine, at the port that one started here would have."""
    port = os.environ.get("BUSWAY_PORT", "")
    return f"http://127.0.0.1:{port}" if port.isdigit() and port != "0" else DEFAULT_ENDPOINT


def server_options(command: F) -> F:
    """`--endpoint` and `--json`."""
    endpoint = click.option(
        "--endpoint",
        envvar="BUSWAY_ENDPOINT",
        default=default_endpoint,
        show_default=DEFAULT_ENDPOINT,
        show_envvar=True,
        metavar="URL",
        help="The server to speak to.",
    )
    return endpoint(json_option(command))


def connect(endpoint: str) -> Connection:
    """The server at `endpoint`, with the keys of the environment; without any, with ones that development takes."""
    from busway.road.connection import Connection

    if not endpoint.startswith(("http://", "https://")):
        raise click.UsageError(f"--endpoint is {endpoint!r}; wanted a URL such as {DEFAULT_ENDPOINT}")
    return Connection(
        endpoint.rstrip("/"),
        access_key=os.environ.get("AWS_ACCESS_KEY_ID") or "test",
        secret_key=os.environ.get("AWS_SECRET_ACCESS_KEY") or "test",
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    )


def sdk_variables(endpoint: str) -> str:
    """What a shell exports so that AWS's SDKs speak to a server of this machine.

    Python's reads AWS_DEFAULT_REGION alone, the others AWS_REGION.
    """
    keys = "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
    return f"AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1 {keys}"


class NotUtf8(click.UsageError):
    """Text of another encoding: what is wrong with it is not the command, so the hint is another one too."""

    hint = "save it as UTF-8: `iconv -f latin1 -t utf-8 OLD > NEW`; in PowerShell `… | Out-File -Encoding utf8 NEW`"


def read_given(what: str, given: str) -> str:
    """The text that an argument stands for; see `GIVEN`. Raises UsageError for a file that cannot be read."""
    if given == "-":
        return _decoded(f"{what} from stdin", sys.stdin.buffer.read())
    if is_json(given):
        # The shell's bytes that are no UTF-8 stand in arguments as halves of characters.
        return _decoded(what, given.encode("utf-8", "surrogateescape"))
    try:
        with open(given, "rb") as file:
            found = file.read()
    except OSError as problem:
        raise unreadable(what, given, problem, GIVEN) from problem
    return _decoded(f"{what} {given}", found)


def is_json(given: str) -> bool:
    """Whether an argument is JSON itself, not the name of a file with it."""
    return given.removeprefix("\ufeff").lstrip().startswith(("{", "[", '"'))


def unreadable(what: str, given: str, problem: OSError, wanted: str) -> click.UsageError:
    """What is wrong with a file that was named. It may be a pipe, as of `<(…)`, so only opening it tells."""
    known: dict[type[OSError], str] = {FileNotFoundError: "no such file", IsADirectoryError: "that is a folder"}
    return click.UsageError(f"{what} is {given!r}: {known.get(type(problem), problem.strerror)}; wanted {wanted}")


def _decoded(what: str, text: bytes) -> str:
    """Without the mark of the byte order, which Windows puts before UTF-8. Raises NotUtf8."""
    try:
        return text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as wrong:
        raise NotUtf8(f"{what} is not UTF-8 (byte {wrong.start + 1})") from wrong


def project_root() -> Path:
    """The project of the folder where the command runs. Raises ProjectNotFound."""
    from busway.road.root import find_root

    return find_root(Path.cwd())


def chosen_language(root: Path, given: Language | None, *, asking: bool = False) -> Language:
    """What is generated: the language of the project, or one of its two. Raises GeneratorRefused."""
    from busway.cli.prompts import ask_choice, missing
    from busway.errors import GeneratorRefused
    from busway.road.root import languages

    known = languages(root)
    if given is not None and given not in known:
        raise GeneratorRefused(
            f"{root} is no project in {given}", f"`busway init --language {given}` makes it one in {given} too"
        )
    if given is None and len(known) > 1:
        if not asking:
            raise missing(["--language"], f"--language {known[0]}, or --language {known[1]}")
        chosen = ask_choice("In which language?", known, known[0])
        return next(language for language in known if language == chosen)
    return given or known[0]


language_option = click.option(
    "--language",
    type=click.Choice(["python", "typescript"]),
    help="What it is written in.  [default: what the project is in, if that is one]",
)


def since_s(text: str | None) -> int:
    """Seconds of `--since 10m`, 0 for none. Raises UsageError."""
    from busway.handling import duration_s

    try:
        return 0 if text is None else duration_s(text)
    except ValueError as problem:
        raise click.UsageError(f"--since: {problem}") from problem


def check_handler(connection: Connection, function: str) -> None:
    """Raises UnknownHandler, so that "nothing to do" is never the answer to a name that was mistyped."""
    from busway.errors import UnknownHandler

    found = connection.get("/_busway/status")
    targets = [target["arn"] for rule in found["rules"] for target in rule["targets"]]
    known = {name for arn in (*(f["arn"] for f in found["functions"]), *targets) for name in (arn, name_of(arn))}
    if function not in known:
        raise UnknownHandler(function, [each["name"] for each in found["functions"]])


@contextmanager
def known_handler(connection: Connection, function: str) -> Generator[None]:
    """Turns what a server refuses into UnknownHandler, where there is no such function."""
    from busway.errors import ServerRefused

    try:
        yield
    except ServerRefused:
        check_handler(connection, function)
        raise


def function_for(handler: str) -> str:
    """The function of a handler as the user calls it: a handler of the project here, else a function's own name."""
    from busway.errors import ProjectNotFound
    from busway.road.manifest import function_name
    from busway.road.root import find_root, handler_names, read_config

    try:
        root = find_root(Path.cwd())
    except ProjectNotFound:
        return handler
    name = handler.replace("_", "-")
    return function_name(read_config(root).name, name) if name in handler_names(root) else handler
