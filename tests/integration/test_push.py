"""`git push busway main` with git itself: live when the tests pass, refused and without effect when they do not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from busway.errors import ServerRefused
from busway.road.connection import Connection
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.project_files import new_project

from .packages import put_road_packages

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240
KEY, SECRET = "123456789012", "not-a-secret"
ORDER = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["id:str=1"]))


@contextmanager
def serving(data: Path, **settings: str) -> Iterator[str]:
    command = [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", str(data), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings}) as process:
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["url"])
        process.terminate()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def url(data: Path) -> Iterator[str]:
    """A server with a variable that is nobody's business."""
    with serving(data, SERVER_SECRET="of the server", UV_INDEX_CORP_PASSWORD="x") as found:
        yield found


class Clone:
    """A project under git, and where it is pushed to."""

    def __init__(self, root: Path, remote: str) -> None:
        self.root, self.project = root, root.name
        if not (root / "pyproject.toml").exists() and not (root / "package.json").exists():
            new_project(root, root.name)
            # What no test needs takes time to install.
            file = root / "pyproject.toml"
            file.write_text(file.read_text().replace('"pyright>=1.1.400", ', "").replace(', "ruff>=0.14"', ""))
            add_handler(root, HandlerSpec("note", ORDER))
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("remote", "add", "busway", f"{remote}/git/{root.name}.git")
        self.commit()

    def git(self, *words: str, fails: bool = False) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "credential.helper="]
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.root, capture_output=True, text=True, timeout=PATIENCE_S,
            env=environment, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "work")

    def push(self, *words: str, fails: bool = False) -> str:
        return self.git("push", *words, "busway", "main", fails=fails)

    def edit(self, name: str, was: str, to: str) -> None:
        file = self.root / name
        text = file.read_text()
        assert was in text
        file.write_text(text.replace(was, to))
        self.commit()


@pytest.fixture
def clone(tmp_path: Path, url: str, request: pytest.FixtureRequest) -> Clone:
    # A project of its own for each test on the one server.
    name = "".join(letter for letter in request.node.name if letter.isalnum())[-30:]
    return Clone(tmp_path / name, url)


def live_version(url: str, project: str, handler: str = "note") -> str:
    alias = {"FunctionName": f"{project}-{handler}", "Name": "live"}
    return str(Connection(url).call("lambda", "GetAlias", alias)["FunctionVersion"])


def test_what_passes_its_tests_is_live_when_the_push_returns(clone: Clone, url: str):
    said = clone.push()
    assert "remote: running the tests" in said and "remote: 3 passed" in said
    assert "remote: deployment 1 is live" in said and "main -> main" in said
    (live,) = Connection(url).get(f"/_busway/deployments/{clone.project}")["deployments"]
    assert live["body"]["commit"] == clone.git("rev-parse", "HEAD")[:12]
    again = Path(f"{clone.root}-again")
    clone.git("clone", "--quiet", f"{url}/git/{clone.project}.git", str(again))
    assert (again / "handlers/note/handler.py").read_text() == (clone.root / "handlers/note/handler.py").read_text()


def test_a_test_that_fails_refuses_the_push_and_changes_nothing(clone: Clone, url: str, data: Path):
    clone.push()
    objects = data / f"git/000000000000/{clone.project}.git/objects"
    kept = sorted(objects.rglob("*"))
    assert [file.suffix for file in kept if file.is_file()] == [".idx", ".pack"]
    first = clone.git("rev-parse", "HEAD")
    clone.edit("handlers/note/test_note.py", "assert sample.envelope.id in", "assert sample.envelope.id not in")
    said = clone.push(fails=True)
    assert "remote: FAILED handlers/note/test_note.py::test_the_sample_event_is_handled" in said
    assert "! [remote rejected] main -> main (the tests failed: it ended with status 1)" in said
    assert live_version(url, clone.project) == "1"
    assert sorted(objects.rglob("*")) == kept
    assert clone.git("ls-remote", "busway", "main").split()[0] == first.strip()
    clone.edit("handlers/note/test_note.py", "assert sample.envelope.id not in", "assert sample.envelope.id in")
    assert "this is what runs already" in clone.push()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("handlers/note/handler.py", "def note(", "def note(:"), "handlers/note/handler.py"),
        (("pyproject.toml", "[project]", "[project"), "pyproject.toml is not TOML"),
        (("pyproject.toml", 'name = "', 'name = "other-'), "this project is called 'other-"),
        (("pyproject.toml", '"boto3>=1.40"', '"boto3>=1.40", "no-such-package-of-anybody==1.0"'), "no-such-package"),
        (("pyproject.toml", "tool.busway", "tool.another"), "no Busway project was pushed"),
        (("handlers/note/handler.py", "retries=2", 'retries=2, env=["SERVER_SECRET"]'), "was never set"),
    ],
    ids=["syntax", "toml", "name", "dependency", "no-project", "variable"],
)
def test_what_cannot_be_built_is_refused_with_the_reason(
    clone: Clone, url: str, edit: tuple[str, str, str], said: str
):
    clone.edit(*edit)
    told = clone.push(fails=True)
    assert said in told
    # What the project says of itself is judged before anything is installed.
    assert ("installing" in told) == (edit[0] != "pyproject.toml" or "boto3" in edit[1])
    assert Connection(url).get(f"/_busway/deployments/{clone.project}")["deployments"] == []


def test_only_main_is_deployed(clone: Clone):
    clone.git("checkout", "--quiet", "-b", "work")
    assert "work is not deployed here, main is" in clone.git("push", "busway", "work", fails=True)
    clone.push()
    assert "remote rejected" in clone.git("push", "busway", "--delete", "main", fails=True)


def test_variables_come_with_a_push_and_stay(clone: Clone, url: str):
    clone.edit("handlers/note/handler.py", "retries=2", 'retries=2, env=["LEVEL"]')
    clone.push("-o", "LEVEL=debug")
    clone.edit("handlers/note/handler.py", "handling", "handling it:")
    stolen = "LEVEL={{resolve:secretsmanager:other/KEY}}"
    assert "-o LEVEL refers to a secret" in clone.push("-o", stolen, fails=True)
    clone.push()
    asked = {"FunctionName": f"{clone.project}-note", "Qualifier": "live"}
    told = Connection(url).call("lambda", "GetFunctionConfiguration", asked)
    assert told["Environment"]["Variables"] == {"LEVEL": "debug"}


def test_a_build_sees_nothing_of_the_server_and_writes_nowhere_else(clone: Clone, url: str, tmp_path: Path):
    if Connection(url).get("/health")["sandbox"] == "process":
        pytest.skip("this kernel has no Landlock: SECURITY.md says what that means")
    outside = tmp_path / "outside"
    test = f"""
        import os
        import pathlib

        import pytest


        def test_it_is_shut_in() -> None:
            assert not {{"SERVER_SECRET", "UV_INDEX_CORP_PASSWORD"}} & set(os.environ)
            # What the next step finds where this one ran is what was there.
            with pytest.raises(OSError):
                os.rename("../source", "../elsewhere")
            with pytest.raises(OSError):
                os.symlink("/", "../other")
            with pytest.raises(OSError):
                pathlib.Path({str(outside)!r}).write_text("here")
            with pytest.raises(OSError):
                list(pathlib.Path({str(tmp_path)!r}).iterdir())
    """
    lines = "\n".join(line.removeprefix("        ") for line in test.strip("\n").splitlines())
    (clone.root / "handlers/note/test_walls.py").write_text(lines)
    clone.commit()
    assert "4 passed" in clone.push()
    assert not outside.exists()


def test_two_pushes_of_a_project_at_once_do_not_mix(clone: Clone, tmp_path: Path):
    (clone.root / "handlers/note/test_slow.py").write_text("import time\n\n\ndef test_slow():\n    time.sleep(8)\n")
    clone.commit()
    other = shutil.copytree(clone.root, tmp_path / "elsewhere")
    push, environment = ["git", "push", "busway", "main"], {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    with subprocess.Popen(push, cwd=clone.root, stderr=subprocess.PIPE, text=True, env=environment) as first:
        assert first.stderr is not None
        while "running the tests" not in (line := first.stderr.readline()):
            assert line, "the push ended before its tests ran"
        second = subprocess.run(push, cwd=other, capture_output=True, text=True, env=environment, check=False)
        assert "another push of" in second.stderr
        assert "deployment 1 is live" in first.stderr.read()
    assert first.returncode == 0


@pytest.mark.parametrize("example", ["customer-notification", pytest.param("customer-notification-ts", marks=[])])
@pytest.mark.needs("node")
def test_an_example_is_pushed_and_its_email_sent(example: str, tmp_path: Path, url: str):
    left_out = shutil.ignore_patterns(".busway", "__pycache__", "node_modules")
    root = shutil.copytree(ROOT / "examples" / example, tmp_path / example, ignore=left_out)
    said = Clone(root, url).push()
    assert "deployment 1 is live" in said
    environment = {**os.environ, "BUSWAY_ENDPOINT": url}
    if example.endswith("-ts"):
        put_road_packages(root)
    words = [sys.executable, "-m", "busway", "send", "CustomerNotification"]
    connection = Connection(url)
    before = len(connection.get("/_busway/inbox")["messages"])
    subprocess.run(words, cwd=root, env=environment, check=True, capture_output=True)
    deadline, mails = time.monotonic() + PATIENCE_S, list[Any]()
    while len(mails) <= before:
        assert time.monotonic() < deadline, "no email came"
        mails = connection.get("/_busway/inbox")["messages"]
    assert mails[0]["to"] == ["user@example.com"]


def with_key(url: str, key: str, secret: str) -> str:
    return url.replace("http://", f"http://{key}:{secret}@")


@pytest.fixture(scope="module")
def strict_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    keys = {"BUSWAY_ACCESS_KEYS": f"{KEY}:{SECRET}", "BUSWAY_PUSH_KEYS": f"{KEY[::-1]}:pushed:shop"}
    with serving(tmp_path_factory.mktemp("strict"), **keys) as found:
        yield found


def test_with_keys_set_who_has_none_learns_nothing(tmp_path: Path, strict_url: str):
    for remote in (
        strict_url, with_key(strict_url, KEY, "wrong"), with_key(strict_url, "999999999999", SECRET),
        with_key(strict_url, KEY[::-1], "pushed"),
    ):  # fmt: skip
        clone = Clone(tmp_path / f"other-{remote.count(':')}{len(remote)}" / "other", remote)
        said = clone.push(fails=True)
        assert "Authentication failed" in said or "could not read Username" in said
        assert "Authentication failed" in (told := clone.git("ls-remote", "busway", fails=True)) or "Username" in told


def test_a_key_of_a_project_pushes_to_that_and_can_do_nothing_else(tmp_path: Path, strict_url: str):
    clone = Clone(tmp_path / "shop", with_key(strict_url, KEY[::-1], "pushed"))
    assert "deployment 1 is live" in clone.push()
    with pytest.raises(ServerRefused, match="security token"):
        Connection(strict_url, KEY[::-1], "pushed").get("/_busway/status")
    # The key by which the server deploys in its name is the account's, and gone.
    assert Connection(strict_url, KEY, SECRET).get("/_busway/status")["functions"] == []


def test_a_key_to_everything_may_push(tmp_path: Path, strict_url: str):
    Clone(tmp_path / "shop", with_key(strict_url, KEY, SECRET)).push()
    (function,) = Connection(strict_url, KEY, SECRET).get("/_busway/status")["functions"]
    assert function["name"] == "shop-note"
