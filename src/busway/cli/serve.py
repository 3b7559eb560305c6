"""`busway serve`: run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import faulthandler
import gc
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from busway.config import Settings

# https://man.openbsd.org/sysexits: an error occurred while doing I/O on some file.
EXIT_IO = 74
# Ours: a stop lets invocations finish for ten seconds, closes, and is over well within this.
STOP_S_MAX, EXIT_STUCK = 60.0, 70
# Objects made before the collector looks for cycles; requests and events leave nearly none behind.
COLLECT_EVERY = 50_000
# What a log record may say it is about, by the names that it has as `extra`.
FACTS = ("request_id", "event_id", "function", "service", "operation")


@click.command()
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on; beyond loopback only with access keys. [127.0.0.1]"
)
@click.option("--port", type=int, help="Port for every service. [4566]")
@click.option("--data", metavar="DIR", help="Folder for all that the server remembers. [.busway/data]")
@click.option("--engine", type=click.Choice(["embedded", "memory"]), help="Where things are kept. [embedded]")
@click.option(
    "--smtp", metavar="URL", help="smtp://HOST:PORT that SendEmail relays to; without it mail stays in the inbox."
)
@click.option("--clock", type=click.Choice(["system", "manual"]), help="manual: time moves only by `busway clock`.")
@click.option("--upstream", metavar="URL", help="Where calls to other AWS services go.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), help="The log on stderr: json is one object a line. [text]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when ready, and log in JSON.")
def serve(as_json: bool, **flags: Any) -> None:
    """Run the server: the bus, functions, queues and the rest, on one port.

    Every setting also has a BUSWAY_… variable; `docs/settings.md` lists them.

    \b
    Example:
      busway serve --data /var/lib/busway --port 4566
    """
    from busway.aws.server_http import allow_open_files, run
    from busway.config import load_settings

    try:
        settings = load_settings(**flags)
    except ValueError as problem:
        raise click.UsageError(str(problem)) from problem
    log_to_stderr(as_json or settings.log_format == "json")
    allow_open_files()
    with _forgotten(settings) as settings:
        code = run(_serve(settings, as_json))
    # Everything is durable and closed; what the interpreter would tidy up, the system frees at once.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def _forgotten(settings: Settings) -> Generator[Settings]:
    """For a server that keeps nothing, a folder for functions' code that nobody else has, unless one is named."""
    if settings.engine != "memory" or settings.data != type(settings)().data:
        yield settings
        return
    # Not below /tmp, of which each function has its own.
    with tempfile.TemporaryDirectory(prefix="busway-memory-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        yield dataclasses.replace(settings, data=folder)


async def _serve(settings: Any, as_json: bool) -> int:
    from busway import __version__
    from busway.errors import BuswayError
    from busway.pattern import default_implementation
    from busway.server import Server, data_problem

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = Server(settings, on_fatal)
    try:
        problem = data_problem(settings)
        if problem:
            raise click.UsageError(f"--data {settings.data}: {problem}")
        await server.start()
    except OSError as error:
        return _complain(
            f"--data {settings.data}: {error.strerror or error}", "choose a folder that you may write to"
        )
    except BuswayError as error:
        return _complain(str(error), error.hint)
    except ValueError as error:
        return _complain(str(error), "see `busway serve --help`")
    except click.UsageError as error:
        return _complain(error.message, "see `busway serve --help`")
    matcher = default_implementation()[1]
    facts = {"url": server.url, "data": settings.data, "pid": os.getpid(), "version": __version__, "matcher": matcher}
    ready = f"Busway {__version__} is ready at {server.url} (data: {settings.data}, matcher: {matcher})"
    click.echo(_json(facts) if as_json else ready)
    sys.stdout.flush()
    # What was made until here stays, so it is not looked through for cycles again and again.
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    await stop.wait()
    end_within(STOP_S_MAX)
    await server.stop()
    return 0


def end_within(limit_s: float) -> None:
    """End the process after `limit_s` seconds, if it hasn't by itself: a thread that hangs keeps it otherwise."""
    watch = threading.Timer(limit_s, _give_up, (limit_s,))
    watch.daemon = True
    watch.start()


def _give_up(limit_s: float) -> None:
    print(f"error: the server did not end within {limit_s:g} s; it is ended now. Its threads:", file=sys.stderr)
    faulthandler.dump_traceback(sys.stderr, all_threads=True)
    print(
        "\nhint: what was answered with success is safe; please report the lines above", file=sys.stderr, flush=True
    )
    os._exit(EXIT_STUCK)


def on_fatal(error: BaseException) -> None:
    """The engine cannot make anything durable any more: say so, and end at once, answering nothing further."""
    print(f"error: storage failed, nothing more is accepted: {error}", file=sys.stderr)
    print(
        "\nhint: check the disk, then start again; what was answered with success is safe",
        file=sys.stderr,
        flush=True,
    )
    os._exit(EXIT_IO)


class LogLines(logging.Formatter):
    """One line a record, whatever stands in it: what others wrote can neither begin a line nor steer a terminal.

    JSON has time (RFC 3339), level, logger, message, those of `FACTS` that the record came with, and exception.
    """

    def __init__(self, as_json: bool) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        from busway.cli.output import visible

        if not self._as_json:
            return visible(super().format(record))
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time.replace("+00:00", "Z"), "level": record.levelname, "logger": record.name}
        line["message"] = record.getMessage()
        line |= {name: str(fact) for name in FACTS if (fact := getattr(record, name, ""))}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _json(line)


def log_to_stderr(as_json: bool) -> None:
    """Warnings and worse."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogLines(as_json))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # It warns of each request that is no HTTP: anybody could fill the log's disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def _complain(problem: str, hint: str) -> int:
    click.echo(f"error: {problem}", err=True)
    if hint:
        click.echo(f"\nhint: {hint}", err=True)
    return 1


def _json(facts: dict[str, Any]) -> str:
    import json

    return json.dumps(facts)
