"""`busway invoke`: run a handler now, with an event of one's own, and see what it gives and prints."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.options import connect, function_for, known_handler, project_root, server_options
from busway.cli.output import harmless, print_json, say

if TYPE_CHECKING:
    from busway.road.connection import Connection

# What a function may take at most, and some.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ANSWER_S_MAX = 910.0


@click.command()
@click.argument("handler")
@click.option(
    "--event", "file", type=click.Path(dir_okay=False, allow_dash=True, exists=True), metavar="FILE",
    help="A file with what the function gets, as JSON; - for stdin.",
)  # fmt: skip
@click.option(
    "--sample", is_flag=True, help="The sample of the project's handler. This is what a project does anyway."
)
@server_options
def invoke(handler: str, file: str | None, sample: bool, endpoint: str, as_json: bool) -> None:
    """Run HANDLER, of the project or any function, once and now: its result to stdout, its log to stderr.

    It is the version that events go to. Nothing is retried or dead-lettered. Without --event a handler of the project
    gets its sample (in batches: a batch of one), another function an empty object.

    \b
    Example:
      busway invoke send-receipt
      busway invoke shop-send-receipt --event order.json --json
    """
    if file is not None and sample:
        raise click.UsageError("give either --event or --sample")
    root = _project_of(handler)
    payload = _given(file) if file is not None else _sample(handler, project_root() if sample else root)
    connection = connect(endpoint)
    connection.timeout_s = ANSWER_S_MAX
    function = {"FunctionName": function_for(handler)}
    version = _live(connection, function["FunctionName"])
    with known_handler(connection, function["FunctionName"]):
        told = connection.call("lambda", "Invoke", {**function, **version, "Payload": payload, "LogType": "Tail"})
    result, error = told["Payload"].read(), told.get("FunctionError")
    now = connection.call("lambda", "GetFunctionConfiguration", function)
    stale = str(now.get("LastUpdateStatusReason")) if now.get("LastUpdateStatus") == "Failed" else None
    log = base64.b64decode(told.get("LogResult", "")).decode(errors="replace")
    if as_json:
        print_json(
            {
                "result": _value(result),
                "error": error,
                "version": told.get("ExecutedVersion"),
                "log": log.splitlines(),
                "update_failed": stale,
            }
        )
    else:
        say(harmless(log))
        if stale:
            say(f"this ran the code before: the newest one cannot be built: {harmless(stale)}")
        click.echo(harmless(result.decode(errors="replace")))
    if error:
        click.get_current_context().exit(1)


def _live(connection: Connection, function: str) -> dict[str, str]:
    """What events go to: what `busway deploy` made live, which after a rollback is not the newest version."""
    from busway.errors import ServerRefused
    from busway.road.release.plan import LIVE

    try:
        connection.call("lambda", "GetAlias", {"FunctionName": function, "Name": LIVE})
    except ServerRefused as refusal:
        if refusal.code != "ResourceNotFoundException":
            raise
        return {}
    return {"Qualifier": LIVE}


def _given(file: str) -> bytes:
    """Raises `UsageError` for what is no JSON."""
    import msgspec

    with click.open_file(file, "rb") as stream:
        text = stream.read()
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--event: {file} is not JSON: {error}") from error
    return text


def _sample(handler: str, root: Path | None) -> bytes:
    """What is no handler of the project at `root` has none."""
    import msgspec

    if root is None:
        return b"{}"
    from busway.road.describe import describe
    from busway.road.sampling import sample_payload

    return msgspec.json.encode(sample_payload(root, asyncio.run(describe(root)), handler))


def _project_of(handler: str) -> Path | None:
    """The project here, if the handler is one of it."""
    from busway.errors import ProjectNotFound
    from busway.road.root import find_root, handler_names, read_config

    try:
        root = find_root(Path.cwd())
    except ProjectNotFound:
        return None
    name = handler.removeprefix(f"{read_config(root).name}-").replace("_", "-")
    return root if name in handler_names(root) else None


def _value(result: bytes) -> Any:
    """The result, which is JSON but for runtimes that answer what they like."""
    import msgspec

    try:
        return msgspec.json.decode(result) if result else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return result.decode(errors="replace")
