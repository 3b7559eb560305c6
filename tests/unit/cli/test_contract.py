"""What every command promises: help with an example, --json, one short help, and a quick start."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import click
import pytest
from click.testing import CliRunner

from busway.cli import COMMANDS, busway, main


@pytest.fixture
def httpserver_url() -> Iterator[str]:
    """A server on loopback that is no Busway: it answers everything with 501 and a page."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        thread.join()


# Written with the server, in rooms of their own.
BUILT = [name for name, (where, _) in COMMANDS.items() if importlib.util.find_spec(where.split(":")[0]) is not None]


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    context = click.Context(busway)
    for name in BUILT:
        command = busway.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", found) for inner, found in command.commands.items())
        else:
            yield name, command


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_every_command_speaks_json(name: str):
    assert "--json" in [flag for parameter in ALL[name].params for flag in parameter.opts]


@pytest.mark.parametrize("name", ALL)
def test_every_command_shows_an_example_that_calls_it(name: str):
    text = CliRunner().invoke(busway, [*name.split(), "--help"]).output
    assert f"Example:\n    busway {name}" in text


@pytest.mark.parametrize("name", ["rule", "pattern"])
def test_a_group_shows_an_example_too(name: str):
    assert f"Example:\n    busway {name} " in CliRunner().invoke(busway, [name, "--help"]).output


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_is_for(name: str):
    silent = [p.name for p in ALL[name].params if isinstance(p, click.Option) and not p.help]
    assert not silent


@pytest.mark.parametrize("name", [name for name in BUILT if name not in ("serve", "demo")])
def test_the_list_of_commands_has_text_that_fits_the_command(name: str):
    command = busway.get_command(click.Context(busway), name)
    assert command is not None and command.help
    assert COMMANDS[name][1].endswith(".")


def test_the_version_is_told_without_loading_what_commands_need():
    code = (
        "import sys; from busway.cli import main; main(['--version']); "
        "print([m for m in ('rich','httpx','pydantic','botocore','msgspec','jinja2','questionary','watchfiles',"
        "'busway.road','busway.pattern','uvicorn') if m in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "busway 0.1.0\n"
    assert run.stderr == "[]\n"


def test_listing_the_commands_loads_none_of_them():
    code = (
        "import sys; from busway.cli import main; main(['--help']); "
        "print([m for m in sys.modules if m.startswith('busway.cli.') and m != 'busway.cli.lazy'], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in run.stdout for name in COMMANDS)
    assert run.stderr == "[]\n"


def test_a_usage_error_is_2_with_a_hint_on_stderr(capfd: pytest.CaptureFixture[str]):
    assert main(["tail", "--zzz"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "error: No such option '--zzz'.\n\nhint: see `busway tail --help`\n"


def test_an_unknown_command_is_2_with_the_one_that_is_near(capfd: pytest.CaptureFixture[str]):
    assert main(["tial"]) == 2
    assert "No such command 'tial'. Did you mean 'tail'?" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["tail"],
        ["why", "x"],
        ["dlq"],
        ["redrive", "--all"],
        ["logs", "x"],
        ["invoke", "x"],
        ["list"],
        ["list", "streams"],
        ["status"],
        ["inbox"],
        ["alert", "list"],
        ["verify"],
        ["clock"],
        ["send", "--source", "s", "--detail-type", "d"],
    ],
)
def test_without_a_server_each_command_says_how_to_start_one(
    words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BUSWAY_ENDPOINT", "http://127.0.0.1:9")
    assert main(words) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "error: no Busway server answers at http://127.0.0.1:9\n" in err
    assert "hint: start one with `busway dev` (in a project) or `busway serve`" in err


def test_a_kind_that_nothing_has_is_refused_with_those_there_are(capfd: pytest.CaptureFixture[str]):
    assert main(["tail", "--kind", "nope"]) == 2
    assert "'dead-lettered'" in capfd.readouterr().err


def test_what_answers_without_being_a_busway_server_is_named(capfd: pytest.CaptureFixture[str], httpserver_url: str):
    assert main(["status", "--endpoint", httpserver_url]) == 1
    assert f"{httpserver_url} answers with HTTP 501, but not as Busway does" in capfd.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_none_can_have_is_2(port: str, capfd: pytest.CaptureFixture[str]):
    assert main(["serve", "--port", port]) == 2
    assert f"error: port is {port}; wanted 1 to 65535" in capfd.readouterr().err


def test_a_webhook_without_a_url_is_2(capfd: pytest.CaptureFixture[str]):
    assert main(["alert", "set", "ops", "--kind", "webhook"]) == 2
    assert "error: --url is missing" in capfd.readouterr().err


def test_an_interrupted_command_is_130(monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("busway.road.connection.Connection.get", interrupted)
    assert main(["status"]) == 130
