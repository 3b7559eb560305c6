"""Three hundred names and texts that somebody might put into the generator to see what happens.

Each is refused before anything is written, or ends as a literal or a harmless name in code that parses, and that does
nothing when it is imported: no process, no connection, no file.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from busway.errors import BuswayError
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import SCHEDULED, HandlerSpec, add_handler
from busway.road.naming import event_class_name, handler_name
from busway.road.project import load_project
from busway.road.project_files import new_project

TEXTS = [
    # Python: words, names that mean something, ends of strings, escapes.
    'class', 'None', 'import os', "__import__('os').system('true')", '__init__', 'handler', 'event', 'Event',
    'self', 'str', 'print', 'model_config', 'envelope', '"); import os; os.abort() #', "'); raise SystemExit #",
    '"""', "'''", '\\', '\\N{BULLET}', '\\x00', '\x00', 'a\nimport os\nb', 'a\r\nb', '\t', '# comment', "f'{1}'",
    '{x!r}', '%s%n', '{0}',
    # Templates, shells, JSON, TOML, paths.
    '{{ 7 * 7 }}', "{% include '/etc/passwd' %}", '{# gone #}', '${HOME}', '$(touch x)', '`touch x`', '", "x": "',
    '[tool.x]', '../../up', '/etc/passwd', 'a/b', 'C:\\x', 'con', '.', '..', '-', '--help', '~',
    # Unicode: look-alikes, what turns the reading direction, what takes no room, what is more than one.
    'аdmin', 'ｆｕｌｌ', 'ﬁeld', '\u202egnp.exe', 'a\u200bb', '\ufeffx', '\u2028', '\x85', 'é', 'é', '𝐩𝐫𝐢𝐧𝐭', '名前',
    '🚌', "x" * 300,
]  # fmt: skip
ALLOWED = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Expr)
CALLS = {"handler", "Field", "print", "event.detail_json"}

Make = Callable[[Path, str], object]


def _field(text: str) -> str:
    """As it is typed for --field: what it is called ends at the colon."""
    return text.replace(":", "").replace("=", "")


def _event(source: str = "shop", detail_type: str = "Thing", fields: list[str] | None = None) -> EventSpec:
    return EventSpec("Thing", source, detail_type, parse_fields(fields or ["n:int"]))


# One that names no fields may be filtered by any.
BARE = EventSpec("Thing", "shop", "Thing")
PLACES: dict[str, Make] = {
    "handler": lambda root, text: add_handler(root, HandlerSpec(handler_name(text), _event())),
    "class": lambda root, text: add_handler(
        root, HandlerSpec("h", EventSpec(event_class_name(text), "shop", "Thing", []))
    ),
    "source": lambda root, text: add_handler(root, HandlerSpec("h", _event(source=text))),
    "detail-type": lambda root, text: add_handler(root, HandlerSpec("h", _event(detail_type=text))),
    "field": lambda root, text: add_handler(root, HandlerSpec("h", _event(fields=[f"{_field(text)}:str"]))),
    "sample": lambda root, text: add_handler(root, HandlerSpec("h", _event(fields=[f"n:str={text}"]))),
    "filter": lambda root, text: add_handler(root, HandlerSpec("h", BARE, filter={text: [text]})),
    "alert": lambda root, text: add_handler(root, HandlerSpec("h", _event(), alert=text)),
    "schedule": lambda root, text: add_handler(root, HandlerSpec("h", SCHEDULED, schedule=f"rate({text})")),
}
CASES = [(place, text) for place in PLACES for text in TEXTS]


def test_there_are_three_hundred_of_them():
    assert len(CASES) >= 300


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, Path]]:
    """The projects that were written, each with its place and text."""
    folder, written = tmp_path_factory.mktemp("hostile"), list[tuple[str, str, Path]]()
    for number, (place, text) in enumerate(CASES):
        root = folder / str(number)
        new_project(root, "shop")
        before = sorted(root.rglob("*"))
        try:
            PLACES[place](root, text)
        except BuswayError:
            # Folders that it made on the way may stay; files may not.
            assert [file for file in sorted(root.rglob("*")) if file.is_file()] == [f for f in before if f.is_file()]
        else:
            written.append((place, text, root))
    return written


def test_most_texts_are_taken_where_any_text_is_right(made: list[tuple[str, str, Path]]):
    taken = {place: sum(where == place for where, _, _ in made) for place in PLACES}
    assert taken["source"] == taken["detail-type"] == len(TEXTS)
    assert (
        taken["filter"] > len(TEXTS) // 2 and taken["sample"] > len(TEXTS) // 2 and taken["field"] > len(TEXTS) // 2
    )
    assert taken["schedule"] == 0


def test_what_is_written_stays_in_the_project_and_holds_only_literals(made: list[tuple[str, str, Path]]):
    for place, text, root in made:
        for file in root.rglob("*.py"):
            assert file.resolve().is_relative_to(root.resolve())
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if not file.name.startswith("test_"):
                assert not list(_more_than_literals(tree)), (place, text, file.read_text())


def _more_than_literals(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if not isinstance(node, ALLOWED) or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)):
            yield ast.unparse(node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if ast.unparse(node.func) not in CALLS:
                yield ast.unparse(node)
            elif ast.unparse(node.func) in ("handler", "Field"):
                yield from (kw.arg or "**" for kw in node.keywords if not _is_literal(kw.value))
        if isinstance(node, ast.ClassDef):
            yield from (kw.arg or "**" for kw in node.keywords if not _is_literal(kw.value))


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def test_text_arrives_as_it_was_given(made: list[tuple[str, str, Path]]):
    for place, text, root in made:
        manifest = load_project(root).manifest
        given: dict[str, Any] = {
            "source": manifest.events[0].source,
            "detail-type": manifest.events[0].detail_type,
            "filter": manifest.handlers[0].pattern.get("detail"),
            "sample": manifest.events[0].sample["detail"].get("n"),
        }
        if place in given:
            assert given[place] == ({text: [text]} if place == "filter" else text)


IMPORTING = """
import json, sys
from pathlib import Path
from busway.road.project import load_project

load_project(Path(sys.argv[1]))
seen = []

def hook(name, arguments):
    if name.startswith(("subprocess.", "socket.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "shutil.")):
        seen.append([name, repr(arguments)])
    if name == "open" and (set(str(arguments[1] or "r")) & set("wax+")) and "__pycache__" not in str(arguments[0]):
        seen.append([name, repr(arguments)])

sys.addaudithook(hook)
sys.dont_write_bytecode = True
for root in sys.argv[1:]:
    load_project(Path(root))
print(json.dumps(seen))
"""


def test_importing_it_does_nothing(made: list[tuple[str, str, Path]]):
    roots = [str(root) for _, _, root in made]
    run = subprocess.run([sys.executable, "-c", IMPORTING, *roots], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == []
