"""The house rules that a machine can hold: room order, sizes, names, ports, no swallowed errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "busway"
MODULES = sorted(SRC.rglob("*.py"))

# A room may import only rooms that stand before it. `aws` imports the nouns; only `server` knows every room.
ROOMS = (
    "errors", "config", "clock", "arn", "tracing", "publishing", "event", "unsealing", "idempotent", "batch",
    "handling", "batch_handling", "outbox", "pattern", "engine", "metrics", "trail", "telemetry", "delivery", "bus",
    "queue", "stream", "mail", "secret", "function", "topic", "logs", "alarm", "alert", "targets", "redrive",
    "verify", "aws", "inspect", "road", "cdk", "testing", "push", "server", "cli",
)  # fmt: skip

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 600
MODULE_LINES_AIM = 300
VAGUE_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "core",
    "models",
    "manager",
    "misc",
    "lib",
}

# What only the port may touch, and where the port is.
PORTS = {
    "clock.py": {
        "time.time", "time.monotonic", "time.sleep", "time.perf_counter", "asyncio.sleep", "asyncio.timeout",
        "asyncio.wait_for", "datetime.now", "datetime.utcnow", "datetime.datetime.now", "os.urandom", "uuid.uuid4",
        "uuid.uuid1", "random.random", "random.uniform", "random.randint", "random.choice", "random.Random",
        "secrets.token_bytes", "secrets.token_hex", "loop.call_later",
    },
    "engine/embedded/disk.py": {"os.fsync", "os.fdatasync", "os.statvfs", "fcntl.flock", "shutil.disk_usage"},
    "function/workers/process.py": {
        "subprocess.Popen", "subprocess.run", "os.fork", "os.killpg", "os.kill", "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell", "multiprocessing.Process",
    },
}  # fmt: skip
# The command line runs on the user's machine, with the user's clock; what runs in a worker is a guest.
PORTS_FREE = ("cli/", "road/", "function/runtimes/", "testing/", "idempotent.py", "publishing.py", "outbox/")


def room_of(module: Path) -> str:
    return module.relative_to(SRC).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("busway."):
            yield node.module.split(".")[1], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "busway":
            yield from ((alias.name, node.lineno) for alias in node.names if (SRC / alias.name).exists())
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("busway."):
                    yield alias.name.split(".")[1], node.lineno


def typing_only_lines(tree: ast.AST) -> set[int]:
    """Lines under `if TYPE_CHECKING:`; they bind nothing at run time."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


@pytest.fixture(params=MODULES, ids=[str(m.relative_to(SRC)) for m in MODULES])
def module(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_every_room_is_on_the_map():
    assert {room_of(m) for m in MODULES} - {"__init__", "__main__", "py"} <= set(ROOMS)


def test_a_room_imports_only_rooms_before_it(module: Path):
    room = room_of(module)
    if room in ("__init__", "__main__"):
        return
    tree = ast.parse(module.read_text())
    skip = typing_only_lines(tree)
    wrong = [
        f"{module.relative_to(SRC)}:{line} imports {other}"
        for other, line in imported_rooms(tree)
        if other in ROOMS and line not in skip and ROOMS.index(other) > ROOMS.index(room)
    ]
    assert not wrong


def test_functions_fit_a_screen(module: Path):
    long = [
        f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long


def test_modules_stay_readable(module: Path):
    assert len(module.read_text().splitlines()) <= MODULE_LINES_MAX


def test_most_modules_are_under_the_aim():
    over = [m for m in MODULES if len(m.read_text().splitlines()) > MODULE_LINES_AIM]
    assert len(over) <= len(MODULES) // 5, [str(m.relative_to(SRC)) for m in over]


def test_no_module_has_a_vague_name(module: Path):
    assert module.stem not in VAGUE_NAMES
    assert module.parent.name not in VAGUE_NAMES


def test_no_error_is_swallowed(module: Path):
    """A broad handler must do something with what it caught: raise it, record it, answer with it."""
    faults: list[str] = []
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        broad = node.type is None or (
            isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
        )
        if broad and all(isinstance(s, ast.Pass | ast.Continue) for s in node.body):
            faults.append(f"line {node.lineno}")
    assert not faults


def test_only_the_ports_touch_the_world(module: Path):
    where = str(module.relative_to(SRC))
    if where.startswith(PORTS_FREE):
        return
    banned = {name: port for port, names in PORTS.items() if port != where for name in names}
    faults: list[str] = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in banned:
                faults.append(f"line {node.lineno}: {name} belongs to {banned[name]}")
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "random", "secrets", "subprocess"):
            faults.append(f"line {node.lineno}: import the module {node.module}, not names from it")
    assert not faults


def test_only_config_reads_the_environment(module: Path):
    where = str(module.relative_to(SRC))
    if where == "config.py" or where.startswith(PORTS_FREE):
        return
    assert "os.environ" not in module.read_text()
    assert "os.getenv" not in module.read_text()


def test_no_unfinished_marks(module: Path):
    marks = [word for word in ("NotImplementedError", "TODO", "FIXME", "XXX") if word in module.read_text()]
    assert not marks
