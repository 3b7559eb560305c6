"""How far a worker is kept from the rest of the machine: the levels, which of them can be had, and what stays open.

    process     a process of its own, limits, a scratch folder, none of the server's environment
    kernel      and Landlock, seccomp and a /tmp of its own (`runtimes/walls.py` raises them, in the worker)
    bubblewrap  and name spaces: it sees only its own processes and the folders below

`SECURITY.md` says which abuse each of them contains. A level that was asked for and can't be had is an error.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from busway.errors import SandboxUnavailable
from busway.function.runtimes.walls import ARCHITECTURES, landlock_abi
from busway.function.workers.process import output_of

AUTO, PROCESS, KERNEL, BUBBLEWRAP = "auto", "process", "kernel", "bubblewrap"
LEVELS = (AUTO, PROCESS, KERNEL, BUBBLEWRAP)

# What programs need of a system, and nothing that is secret: of /etc the files that libraries look into.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/proc", "/sys/devices/system",
    "/sys/fs/cgroup", "/sys/kernel/mm", "/run/systemd/resolve", "/run/resolvconf",
    *(
        f"/etc/{name}"
        for name in (
            "passwd", "group", "hosts", "host.conf", "hostname", "resolv.conf", "nsswitch.conf", "gai.conf",
            "localtime", "timezone", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl/certs", "ssl/openssl.cnf",
            "ssl/cert.pem", "pki/tls/certs", "pki/tls/cert.pem", "pki/ca-trust", "ca-certificates", "crypto-policies",
            "mime.types", "services", "protocols", "os-release", "alternatives", "fonts", "terminfo",
        )
    ),
)  # fmt: skip
DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
TMP = Path("/tmp")
# Variables that a worker gets from the server (`environment.py`) and that name files.
PATHS_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Enclosure:
    """How one worker is enclosed: the lines for `walls`, and what its command is wrapped in."""

    walls: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()


NOT_ENCLOSED = Enclosure()


class Sandbox:
    """One level, in force for every worker."""

    def __init__(self, level: str, data: Path, environment: Mapping[str, str], shared: Sequence[Path] = ()) -> None:
        """`data` is the server's folder, shut but for what is named; `shared` is open to every function."""
        self.level = level
        self._shared = tuple(f"w{folder}" for folder in shared)
        self._data = data.resolve()
        folders = (*map(Path, SYSTEM), *_runtime_folders(environment))
        # A folder of programs that has the data folder in it is none for functions.
        safe = [folder for folder in folders if folder.exists() and not self._data.is_relative_to(folder)]
        self._system = tuple(f"r{folder}" for folder in _outermost(safe))

    @property
    def encloses(self) -> bool:
        return self.level != PROCESS

    def enclose(self, code: Path, opened: Iterable[Path], scratch: Path, *written: Path) -> Enclosure:
        """What surrounds a process that runs `code`, reads `opened` too, and writes `scratch` and `written`."""
        if not self.encloses:
            return NOT_ENCLOSED
        own = (line for folder in (code, *opened) for line in _around(folder, self._data))
        tmp_is_safe = not self._data.is_relative_to(TMP)
        walls = (
            *self._system, *own, *self._shared, *(f"d{device}" for device in DEVICES), f"w{scratch}",
            *(f"w{folder}" for folder in written),
            *([f"t{scratch}"] if self.level == KERNEL else [f"w{TMP}"]), *([f"s{TMP}"] if tmp_is_safe else []),
        )  # fmt: skip
        walls = tuple(dict.fromkeys(walls))
        return Enclosure(walls, _bubblewrap(walls, str(scratch)) if self.level == BUBBLEWRAP else ())


def sandbox_for(wanted: str, data: Path, environment: Mapping[str, str], shared: Sequence[Path] = ()) -> Sandbox:
    """The level that `wanted` names; "auto" is the strongest that needs nothing installed.

    Raises `SandboxUnavailable` for one that this machine can't give, and for a word that is none.
    """
    if wanted not in LEVELS:
        raise SandboxUnavailable(wanted, f"wanted one of {', '.join(LEVELS)}")
    lacks = "" if wanted == PROCESS else _kernel_lacks()
    if wanted == AUTO:
        return Sandbox(PROCESS if lacks else KERNEL, data, environment, shared)
    if wanted == BUBBLEWRAP:
        lacks = lacks or _bubblewrap_lacks()
    if lacks:
        raise SandboxUnavailable(wanted, lacks)
    return Sandbox(wanted, data, environment, shared)


def _kernel_lacks() -> str:
    if sys.platform != "linux":
        return f"it is built on Linux, and this is {sys.platform}"
    if platform.machine() not in ARCHITECTURES:
        return f"its filter is written for {' and '.join(ARCHITECTURES)}, and this is {platform.machine()}"
    if not landlock_abi():
        return "this kernel has no Landlock (Linux 5.13 or newer, with landlock among its security modules)"
    return ""


def _bubblewrap_lacks() -> str:
    if shutil.which("bwrap") is None:
        return "found no bwrap on the PATH; it is the package bubblewrap"
    if not output_of(["bwrap", *_SPACES, "--ro-bind", "/", "/", "--proc", "/proc", "echo", "here"]):
        return "bwrap can't make name spaces here; try `bwrap --unshare-pid --ro-bind / / --proc /proc true`"
    return ""


_SPACES = ("--unshare-pid", "--unshare-ipc", "--die-with-parent")


def _bubblewrap(walls: Sequence[str], scratch: str) -> tuple[str, ...]:
    """The command before the worker's own: its scratch folder is /tmp, and what it may read is there, read-only."""
    words = ["bwrap", *_SPACES, "--bind", scratch, str(TMP)]
    for line in walls:
        kind, path = line[0], line[1:]
        if kind == "r" and path != "/proc":
            words += ["--ro-bind-try", path, path]
        elif kind == "w" and path != str(TMP):
            words += ["--bind", path, path]
    return (*words, "--proc", "/proc", "--dev", "/dev")


def _runtime_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where the server's Python lies, with everything that can be imported in it, and the programs on the PATH."""
    yield from map(Path, (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix))
    yield from map(Path, _import_path())
    yield Path(__file__).parents[3]
    for name in PATHS_PASSED_ON:
        yield from (Path(entry) for entry in environment.get(name, "").split(":") if os.path.isabs(entry))


@cache
def _import_path() -> tuple[str, ...]:
    """Where a worker's Python looks for modules, editable installs too. The server's own path has more."""
    printed = output_of([sys.executable, "-EP", "-c", "import sys; print(*sys.path, sep='\\n')"])
    return tuple(entry for entry in printed.splitlines() if os.path.isabs(entry))


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Without those that lie in another one: a worker looks each up when it starts."""
    kept: list[Path] = []
    for folder in sorted(set(folders)):
        if not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return kept


def _around(folder: Path, shut: Path) -> Iterator[str]:
    """What grants reading a folder but not `shut` in it: there, names alone, and each neighbour of it by itself.

    A folder inside `shut` is granted: it was named on purpose.
    """
    if not shut.is_relative_to(folder.resolve()):
        yield f"r{folder}"
        return
    yield f"l{folder}"
    if folder.resolve() == shut:
        return
    for entry in sorted(folder.iterdir()):
        # A link to what is around `shut` would lead in circles.
        if not (entry.is_symlink() and shut.is_relative_to(entry.resolve())):
            yield from _around(entry, shut)
