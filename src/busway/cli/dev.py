"""`busway dev`: the server, the project's handlers deployed on save, and what happens to events, in one window."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from busway.cli.dev_feed import follow
from busway.cli.options import connect, project_root, sdk_variables, server_options
from busway.cli.output import line, print_json, say
from busway.errors import BuswayError, MissingSecret, ServerRefused, ServerUnreachable

if TYPE_CHECKING:
    from busway.road.connection import Connection
    from busway.road.loop import Deployment

START_S_MAX = 20.0
STOP_S_MAX = 15.0
# Who develops a handler doesn't wait for Lambda's one and two minutes; BUSWAY_ASYNC_RETRY_S wins over this.
RETRY_S = "2,4"


@click.command()
@click.option("--once", is_flag=True, help="Deploy to a running server and end.")
@click.option("--zip", "as_zip", is_flag=True, help="Deploy a zip instead of running from the folder itself.")
@click.option(
    "--smtp", metavar="URL", help="Where a server started here sends mail; without it mail stays in the inbox."
)
@click.option("--upstream", metavar="URL", help="Where calls to other AWS services go.")
@server_options
def dev(once: bool, as_zip: bool, smtp: str | None, upstream: str | None, endpoint: str, as_json: bool) -> None:
    """Serve, deploy the project's handlers, deploy again on save, and show what happens.

    A server that runs at the endpoint already is used; otherwise one is started, with its data in .busway/data.

    \b
    Example:
      busway dev
      busway dev --once
    """
    from busway.road.deploy import folder_code, zip_code
    from busway.road.loop import Deployment, deploy_once

    root = project_root()
    connection = connect(endpoint)
    deployment = Deployment(root, connection, zip_code if as_zip else folder_code, os.environ, say)
    if once:
        if not connection.healthy():
            raise ServerUnreachable(endpoint)
        try:
            manifest = asyncio.run(deploy_once(deployment))
        except ServerRefused as refusal:
            refusal.hint = refusal.hint or _hint(refusal)
            raise
        if as_json:
            print_json({"project": manifest.project, "handlers": manifest.handlers, "events": manifest.events})
        return
    with _server(connection, root, {"--smtp": smtp, "--upstream": upstream}):
        say(f"serving at {endpoint}; for AWS's SDKs: export {sdk_variables(endpoint)}")
        asyncio.run(_loop(deployment, as_json))


async def _loop(deployment: Deployment, as_json: bool) -> None:
    from busway.road.loop import deploy_on_save, deploy_once

    missing: MissingSecret | None = None
    try:
        await deploy_once(deployment)
    except ServerUnreachable:
        raise
    except BuswayError as error:
        missing = error if isinstance(error, MissingSecret) else None
        _tell(error)
    say("watching for saves; Ctrl-C ends it")
    saving = asyncio.create_task(deploy_on_save(deployment, _tell, missing))
    showing = asyncio.create_task(_show(deployment.connection, as_json))
    done, pending = await asyncio.wait({saving, showing}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


async def _show(connection: Connection, as_json: bool) -> None:
    """The live tail. Raises ServerUnreachable when the server goes away."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def ended(reason: str) -> None:
        say(f"the live tail ended: {reason}")
        # At Ctrl-C the loop is closed before the stream notices anything.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: over.done() or over.set_result(None))

    follow(connection, as_json, ended)
    await over
    raise ServerUnreachable(connection.endpoint)


def _tell(error: BuswayError) -> None:
    """A fault in the project: shown, and the loop goes on."""
    say(f"error: {error}")
    if hint := error.hint or _hint(error):
        say(f"hint: {hint}")


def _hint(error: BuswayError) -> str:
    """A server that runs no code from a folder, as with access keys none does, or that sees no such folder."""
    return "busway dev --once --zip uploads the code instead" if "hot-reload" in str(error) else ""


@contextlib.contextmanager
def _server(connection: Connection, root: Path, options: Mapping[str, str | None]) -> Generator[None]:
    """The server that runs at the endpoint, or one that is started here and stopped at the end."""
    if connection.healthy():
        say(
            f"a server runs at {connection.endpoint} already: it gets the handlers, its data stays where it is\n"
            "(for one of the project's own: --endpoint http://127.0.0.1:PORT with a free port)"
        )
        yield
        return
    _end_with_the_window()
    process = _start(root, connection.endpoint, options)
    try:
        _await_ready(connection, process, _log_of(root))
        yield
    finally:
        _stop(process)


def _start(root: Path, endpoint: str, options: Mapping[str, str | None]) -> subprocess.Popen[bytes]:
    """A server with the project's data; what it says goes into its log."""
    address = urlsplit(endpoint)
    if address.hostname not in ("127.0.0.1", "localhost") or address.scheme != "http":
        raise ServerUnreachable(endpoint)
    log = _log_of(root)
    log.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "busway", "serve"]
    command += ["--port", str(address.port or 80), "--data", str(log.parent / "data")]
    command += [word for option, value in options.items() if value for word in (option, value)]
    environment = {"BUSWAY_ASYNC_RETRY_S": RETRY_S, **os.environ}
    waits = environment["BUSWAY_ASYNC_RETRY_S"].replace(",", " and ")
    say(f"what fails is tried again after {waits} s here; elsewhere after 60 and 120 s")
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this process, which then stops the server in order.
        return subprocess.Popen(
            command, cwd=root, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def _log_of(root: Path) -> Path:
    return root / ".busway" / "server.log"


def _await_ready(connection: Connection, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers. Raises BuswayError after showing its last words when it ends instead, or takes too long."""
    deadline = time.monotonic() + START_S_MAX
    while not connection.healthy():
        if process.poll() is not None or time.monotonic() > deadline:
            for word in log.read_text(errors="replace").strip().splitlines()[-15:]:
                line((word, "dim"))
            problem = BuswayError(f"the server did not start; its last words are above, all of them in {log}")
            problem.hint = "where a port is taken, --endpoint http://127.0.0.1:PORT takes another one"
            raise problem
        time.sleep(0.05)


def _end_with_the_window() -> None:
    """A window that is closed (SIGHUP) and SIGTERM end this as Ctrl-C does, so that no server is left behind."""

    def interrupt(*_: object) -> None:
        # asyncio takes this one in between two steps; an exception raised here could end in the midst of any.
        signal.raise_signal(signal.SIGINT)

    # A shell's background jobs begin with it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Whoever said nohup means it.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, so that it finishes what it does; SIGKILL when that takes too long."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
