"""The seccomp filter, run here row by row as the kernel does, and the walls themselves in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, strategies as st

from busway.function.runtimes import walls

MACHINES = st.sampled_from(sorted(walls.ARCHITECTURES))
ALLOWED, EPERM, ENOSYS = walls.ALLOW, walls.ERRNO | walls.EPERM, walls.ERRNO | walls.ENOSYS


def verdict(
    machine: str, number: int, first_argument: int = 0, second_argument: int = 0, architecture: int | None = None
) -> int:
    """What the filter returns for a call. Raises IndexError for a jump to nowhere, as the kernel refuses it."""
    own = walls.ARCHITECTURES[machine][1]
    words = {
        0: number, 4: own if architecture is None else architecture, 16: first_argument & 0xFFFF_FFFF,
        24: second_argument & 0xFFFF_FFFF,
    }  # fmt: skip
    rows, place, held = walls.filter_program(machine), 0, 0
    for _ in range(len(rows)):
        code, if_true, if_false, value = rows[place]
        assert max(if_true, if_false) < 256
        place += 1
        if code == walls.LOAD:
            held = words[value]
        elif code == walls.RETURN:
            return value
        else:
            true = {
                walls.EQUAL: held == value, walls.AT_LEAST: held >= value, walls.ANY_BIT: bool(held & value),
            }[code]  # fmt: skip
            place += if_true if true else if_false
    raise AssertionError("the filter has no end")


def refused(machine: str) -> set[int]:
    column = walls.ARCHITECTURES[machine][0]
    return {numbers[column] for numbers in walls.REFUSED.values() if numbers[column] != walls.NEITHER}


@given(MACHINES, st.integers(0, 600), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_the_filter_refuses_what_is_listed_and_nothing_else(machine: str, number: int, argument: int, second: int):
    column = walls.ARCHITECTURES[machine][0]
    guarded = {numbers[column] for numbers in (*walls.FOR_ITSELF.values(), *walls.FOR_ITS_KIND.values())}
    if number in refused(machine):
        assert verdict(machine, number, argument, second) == EPERM
    elif number == walls.CLONE3[column]:
        assert verdict(machine, number, argument, second) == ENOSYS
    elif number == walls.CLONE[column]:
        wanted = EPERM if argument & walls.NEW_SPACES else ALLOWED
        assert verdict(machine, number, argument, second) == wanted
    elif number not in guarded:
        assert verdict(machine, number, argument, second) == ALLOWED


@given(MACHINES, st.sampled_from(sorted(walls.FOR_ITSELF)), st.integers(1, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_limits_and_turns_are_changed_for_oneself_alone(machine: str, name: str, process: int, high: int):
    number = walls.FOR_ITSELF[name][walls.ARCHITECTURES[machine][0]]
    # The kernel reads the lower half of the word.
    assert verdict(machine, number, high << 32) == ALLOWED
    assert verdict(machine, number, high << 32 | process) == EPERM


@given(MACHINES, st.sampled_from(sorted(walls.FOR_ITS_KIND)), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_priorities_are_changed_for_oneself_or_one_s_group_and_never_for_a_user(
    machine: str, name: str, which: int, who: int
):
    *numbers, user = walls.FOR_ITS_KIND[name]
    wanted = ALLOWED if who == 0 and which != user else EPERM
    assert verdict(machine, numbers[walls.ARCHITECTURES[machine][0]], which, who) == wanted


@given(MACHINES, st.integers(0, 2**32 - 1))
def test_a_call_of_another_architecture_ends_the_process(machine: str, architecture: int):
    if architecture != walls.ARCHITECTURES[machine][1]:
        assert verdict(machine, 1, architecture=architecture) == walls.KILL_PROCESS


@given(st.integers(0, 600))
def test_the_x32_variant_of_a_call_is_no_way_round(number: int):
    assert verdict("x86_64", walls.X32_FROM | number) == EPERM


def test_a_thread_and_a_fork_are_allowed():
    thread, fork = 0x003D_0F00, 17
    for machine, (column, _) in walls.ARCHITECTURES.items():
        assert verdict(machine, walls.CLONE[column], thread) == verdict(machine, walls.CLONE[column], fork) == ALLOWED


TRIAL = """
import ctypes, json, os, sys
sys.path.insert(0, {runtimes!r})
import walls
walls.raise_walls({lines!r})

def tried(what):
    try:
        return what()
    except OSError as error:
        return type(error).__name__

def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if getattr(libc, name)(*arguments) >= 0 else ctypes.get_errno()

print(json.dumps({what}))
"""


def behind(lines: list[str], what: str, folder: Path | None = None) -> Any:
    """What an expression gives in a process behind these walls, which can read what Python needs."""
    python = [f"r{path}" for path in (sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64", "/bin", "/proc")]
    runtimes = str(Path(walls.__file__).parent)
    script = dedent(TRIAL).format(runtimes=runtimes, lines=[*python, f"r{runtimes}", *lines], what=what)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


needs_landlock = pytest.mark.skipif(
    sys.platform != "linux" or not walls.landlock_abi(), reason="needs a kernel with Landlock"
)


@needs_landlock
def test_only_what_is_named_can_be_read_and_only_the_scratch_folder_written(tmp_path: Path):
    for name in ("open", "shut", "scratch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    place = str(tmp_path)
    found = behind(
        [f"r{place}/open", f"w{place}/scratch"],
        f"""{{
            "open": tried(lambda: open({place!r} + "/open/file").read()),
            "shut": tried(lambda: open({place!r} + "/shut/file").read()),
            "listed": tried(lambda: os.listdir({place!r} + "/shut")),
            "change": tried(lambda: open({place!r} + "/open/file", "a")),
            "new": tried(lambda: os.mkdir({place!r} + "/open/new")),
            "gone": tried(lambda: os.remove({place!r} + "/open/file")),
            "scratch": tried(lambda: open({place!r} + "/scratch/new", "w").write("1234")),
            "moved": tried(lambda: os.rename({place!r} + "/open/file", {place!r} + "/scratch/file2")),
        }}""",
    )
    assert found == {
        "open": "open", "shut": "PermissionError", "listed": "PermissionError", "change": "PermissionError",
        "new": "PermissionError", "gone": "PermissionError", "scratch": 4, "moved": "PermissionError",
    }  # fmt: skip


@needs_landlock
def test_tmp_is_the_scratch_folder_and_what_lay_there_is_out_of_sight(tmp_path: Path):
    scratch, code = tmp_path / "scratch", tmp_path / "code"
    scratch.mkdir()
    code.mkdir()
    (code / "app.py").write_text("here")
    lines = [f"r{code}", f"w{scratch}", f"t{scratch}"]
    others = tempfile.NamedTemporaryFile(dir="/tmp")  # noqa: SIM115 (gone with its last reference)
    found = behind(
        lines,
        f"""{{
            "written": tried(lambda: open("/tmp/mine", "w").write("x")),
            "TMPDIR": os.environ["TMPDIR"],
            "seen": os.listdir("/tmp"),
            "code": open({str(code)!r} + "/app.py").read(),
            "changed": tried(lambda: open({str(code)!r} + "/app.py", "w")),
        }}""",
        code,
    )
    if found["TMPDIR"] != "/tmp":
        pytest.skip("this kernel gives no name space for mounts")
    assert (scratch / "mine").read_text() == "x"
    assert not Path("/tmp/mine").exists()
    assert found["code"] == "here"
    assert found["changed"] in ("OSError", "PermissionError")
    assert Path(others.name).name not in found["seen"]


@needs_landlock
def test_tmp_is_one_s_own_also_where_what_is_read_lies_below_tmp_and_in_one_another(tmp_path: Path):
    """As when Busway itself lies below /tmp: its folder, and a file in it that is the program to run."""
    if not tmp_path.is_relative_to("/tmp"):
        pytest.skip("the tests' folder is not below /tmp")
    scratch, room, beside = tmp_path / "scratch", tmp_path / "room", tmp_path / "beside"
    for folder in (scratch, room / "inner", room / "written", beside):
        folder.mkdir(parents=True)
    for file in (room / "inner" / "client.cjs", beside / "file"):
        file.write_text("here")
    (room / "link").symlink_to(beside)
    lines = [
        f"r{room}", f"r{room}/inner", f"r{room}/inner/client.cjs", f"r{room}/link", f"w{room}/written",
        f"w{scratch}", f"t{scratch}",
    ]  # fmt: skip
    found = behind(
        lines,
        f"""{{
            "TMPDIR": os.environ["TMPDIR"] if "TMPDIR" in os.environ else "",
            "read": [open({str(room)!r} + name).read() for name in ("/inner/client.cjs", "/link/file")],
            "written": tried(lambda: open({str(room)!r} + "/written/new", "w").write("x")),
            "changed": tried(lambda: open({str(room)!r} + "/inner/client.cjs", "w")),
        }}""",
    )
    assert found.pop("changed") in ("OSError", "PermissionError")
    assert found.pop("TMPDIR") == "/tmp" or os.geteuid() != 0
    assert found == {"read": ["here", "here"], "written": 1}


def test_a_line_that_another_one_brings_along_is_left_out():
    lines = ["r/tmp/a/b", "r/tmp/a", "r/tmp/ab", "w/tmp/a/w", "r/tmp/a/w/x", "w/usr", "r/tmp/both", "w/tmp/both"]
    assert walls.outermost(lines) == ["r/tmp/a", "w/tmp/a/w", "r/tmp/ab", "w/tmp/both"]


@needs_landlock
def test_a_tmp_that_can_not_be_had_is_told_and_the_machine_s_is_shared(tmp_path: Path):
    gone = tmp_path / "not-there"
    runtimes = str(Path(walls.__file__).parent)
    script = f"import sys; sys.path.insert(0, {runtimes!r}); import walls; walls.raise_walls(['t{gone}', 's/tmp'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done
    assert done.stdout.startswith("[busway: its /tmp is the machine's, one of its own can't be had: [Errno ")


@needs_landlock
def test_other_processes_can_neither_be_signalled_nor_looked_into():
    found = behind(
        [],
        f"""{{
            "environment": tried(lambda: open("/proc/{os.getpid()}/environ").read()),
            "memory": tried(lambda: open("/proc/{os.getpid()}/mem").read(1)),
            "own": tried(lambda: len(open("/proc/self/environ").read()) >= 0),
            "signal": tried(lambda: os.kill({os.getpid()}, 0)),
            "traced": call("ptrace", 16, {os.getpid()}, 0, 0),
        }}""",
    )
    assert found["environment"] == found["memory"] == "PermissionError"
    assert found["own"] is True
    assert found["traced"] == walls.EPERM
    if walls.landlock_abi() >= walls.SCOPE_ABI:
        assert found["signal"] == "PermissionError"


@needs_landlock
def test_limits_and_turns_of_other_processes_stay_as_they_are():
    found = behind(
        [],
        f"""{{
            "its limits": tried(lambda: __import__("resource").prlimit({os.getpid()}, 7)),
            "its processors": tried(lambda: os.sched_setaffinity({os.getpid()}, os.sched_getaffinity(0))),
            "its scheduler": tried(lambda: os.sched_setscheduler({os.getpid()}, 0, os.sched_param(0))),
            "its priority": tried(lambda: os.setpriority(os.PRIO_PROCESS, {os.getpid()}, 0)),
            "all of its user": tried(lambda: os.setpriority(os.PRIO_USER, 0, 0)),
            "own limits": tried(lambda: __import__("resource").setrlimit(7, (64, 64))),
            "own processors": tried(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0))),
            "own scheduler": tried(lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))),
            "own priority": tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, 19)),
            "nice": __import__("subprocess").run(["nice", "true"]).returncode,
        }}""",
    )
    assert {what: end for what, end in found.items() if end not in (None, 0)} == dict.fromkeys(
        ("its limits", "its processors", "its scheduler", "its priority", "all of its user"), "PermissionError"
    )


@needs_landlock
def test_no_call_gets_out_again_and_threads_and_processes_still_start():
    found = behind(
        [],
        """{
            "unshare": call("unshare", 0x10000000), "mount": call("mount", b"x", b"/", b"tmpfs", 0, None),
            "setns": call("setns", 0, 0), "chroot": call("chroot", b"/"), "reboot": call("reboot", 0),
            "thread": [t := __import__("threading").Thread(target=int), t.start(), t.join()][2],
            "child": os.waitpid(os.fork() or os._exit(3), 0)[1] >> 8,
            "shell": __import__("subprocess").run(["true"]).returncode,
            "capabilities": int(open("/proc/self/status").read().split("CapEff:")[1].split()[0], 16),
        }""",
    )
    calls = ("unshare", "mount", "setns", "chroot", "reboot")
    assert {found[name] for name in calls} == {walls.EPERM}
    assert (found["thread"], found["child"], found["shell"]) == (None, 3, 0)
    assert found["capabilities"] & ~walls.KEPT_CAPABILITIES == 0


def test_no_handler_runs_where_a_wall_can_not_be_had(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walls, "landlock_abi", lambda: 0)
    with pytest.raises(walls.Refused, match="no Landlock"):
        walls.restrict_files([])
