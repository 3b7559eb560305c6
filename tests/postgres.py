"""A PostgreSQL of the tests' own, from what is installed: on a socket in a folder of its own, ended by its pid."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_PLACES = ("/usr/lib/postgresql", "/usr/local/bin", "/usr/bin")
PATIENCE_S = 60.0


def tool(name: str) -> str | None:
    """Debian keeps the server's programs in a folder for each version."""
    found = sorted(Path(_PLACES[0]).glob(f"*/bin/{name}"), reverse=True)
    return str(found[0]) if found else shutil.which(name)


@contextmanager
def postgres() -> Generator[str]:
    """A URL for SQLAlchemy. The server doesn't run as root, so then as the user that Debian's package makes."""
    initdb, server = tool("initdb"), tool("postgres")
    assert initdb and server
    folder = Path(tempfile.mkdtemp(prefix="busway-pg-"))
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        shutil.chown(folder, user, user)
    data, socket = str(folder / "data"), str(folder)
    as_user = {"user": user, "group": user} if os.getuid() == 0 else {}
    command = [initdb, "-D", data, "-U", "shop", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **as_user)  # type: ignore[call-overload]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(  # type: ignore[call-overload]
        [server, "-D", data, "-k", socket, "-c", "listen_addresses=", "-c", "fsync=off"],
        stdout=log, stderr=log, cwd=folder, **as_user,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (folder / ".s.PGSQL.5432").exists() or b"ready to accept" not in (folder / "log").read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"postgresql+psycopg://shop@/postgres?host={socket}"
    finally:
        process.terminate()
        process.wait(30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)
