"""The first code in every worker process: ties it to the server, sets its limits, then becomes the runtime.

    launch.py SERVER_PID LIFELINE_FD CHANNEL_FD GROUP_FILES WALLS [WALL...] python
    launch.py SERVER_PID LIFELINE_FD CHANNEL_FD GROUP_FILES WALLS [WALL...] node COMMAND...
    launch.py SERVER_PID LIFELINE_FD CHANNEL_FD GROUP_FILES WALLS [WALL...] exec COMMAND...

A script of the standard library alone, run in the worker. GROUP_FILES are control-group files to join, with `:`
between. WALLS is how many lines for `walls.py` follow. SERVER_PID is 0 in a wrapper, which dies with the server by
itself. What ties a worker to its server, so that no process stays when the server dies, even by SIGKILL:

    lifeline    a pipe whose other end only the server holds. When it closes, the kernel sends SIGKILL to the whole
                process group (F_SETSIG), so also to what the handler started
    death sign  PR_SET_PDEATHSIG, for a worker that closed the lifeline
    channel     our Python client ends when its socket does
"""

import fcntl
import os
import resource
import signal
import sys
import types
from importlib.machinery import SourceFileLoader

F_SETSIG = 10
PR_SET_PDEATHSIG = 1
# AWS's limit of open files in a worker: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
OPEN_FILES_MAX = 1024
# Before the names of variables that the loader must not see yet, as `process` puts it there.
HELD_BACK = "BUSWAY_HELD_BACK_"
# Where Node finds the socket to the server, and keeps the lifeline: the first descriptors after the standard ones.
NODE_CHANNEL, NODE_LIFELINE = 3, 4
# As AWS does: a heap that grows to this part of the function's memory, and no further.
NODE_HEAP_PART = 0.9


def tie_to_server(server_pid: int, lifeline: int) -> None:
    if sys.platform != "linux":
        return
    fcntl.fcntl(lifeline, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # The server may have died before the ties were there.
    if os.getppid() != server_pid:
        os._exit(1)


def set_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


def make_way_for_server() -> None:
    """Waking a worker must not take the processor from the server, which has others to wake.

    Measured: a quarter less of the server's time an event when all cores are busy. With one to spare nothing changes.
    """
    if sys.platform == "linux":
        try:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        except OSError:
            # A container that forbids it.
            return


def node_command(command: list[str], channel: int, lifeline: int) -> list[str]:
    """What starts Node, with its heap bounded, and what it was given where it will not hand it on.

    Node closes low descriptors before it starts other programs, but none above the first gap.
    """
    # Copied out of the way first: either may stand where the other is to go.
    kept = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, NODE_LIFELINE + 1) for handle in (channel, lifeline)]
    for handle in (channel, lifeline):
        os.close(handle)
    for handle, place in zip(kept, (NODE_CHANNEL, NODE_LIFELINE), strict=True):
        os.dup2(handle, place)
    heap_mb = int(int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) * NODE_HEAP_PART)
    node, *client = command
    return [node, f"--max-old-space-size={heap_mb}", *client, str(NODE_CHANNEL)]


def become(command: list[str]) -> None:
    """Be this program from now on; the status of a shell when it can't be started."""
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]} could not be started: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def give_back_variables() -> None:
    """The loader's variables, which were kept from acting before the walls stood: for what is started from here."""
    for name in [name for name in os.environ if name.startswith(HELD_BACK)]:
        os.environ[name.removeprefix(HELD_BACK)] = os.environ.pop(name)


def find_packages() -> None:
    """What Python does at its start, and was told to leave for later (-I -S): code of the function's own runs."""
    import site

    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(":"))
    site.main()


def load(name: str) -> types.ModuleType:
    """A script beside this one, by its path: this folder must not be where a handler's imports look. Keeps .pyc."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    script = types.ModuleType(f"_busway_{name}")
    script.__file__ = path
    SourceFileLoader(script.__name__, path).exec_module(script)
    return script


def main() -> None:
    server_pid, lifeline, channel, groups, walls, *words = sys.argv[1:]
    lines, (kind, *command) = words[: int(walls)], words[int(walls) :]
    if int(server_pid):
        tie_to_server(int(server_pid), int(lifeline))
    for group in filter(None, groups.split(":")):
        with open(group, "w") as members:
            members.write("0")
    set_limits()
    make_way_for_server()
    if lines:
        load("walls").raise_walls(lines)
    give_back_variables()
    if kind == "node":
        command = node_command(command, int(channel), int(lifeline))
    if kind in ("exec", "node"):
        # The lifeline stays open in what it becomes.
        become(command)
    os.set_inheritable(int(lifeline), False)
    os.set_inheritable(int(channel), False)
    find_packages()
    client = load("python")
    # There `busway.once` finds the connection to the server.
    sys.modules["_busway_runtime"] = client
    client.serve(int(channel))


if __name__ == "__main__":
    main()
