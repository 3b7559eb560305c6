"""`busway pattern check`: many cases in, an answer a line out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from busway.cli import main

VECTORS = Path(__file__).parents[2] / "vectors" / "patterns.jsonl"


def case(number: int, pattern: Any = None, event: Any = None, **expected: Any) -> dict[str, Any]:
    pattern, event = pattern or {"a": ["x"]}, event if event is not None else {"a": "x"}
    return {"id": number, "pattern": pattern, "event": event, **expected}


def checked(tmp_path: Path, lines: list[Any], *words: str) -> int:
    file = tmp_path / "cases.jsonl"
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return main(["pattern", "check", *words, str(file)])


def answers(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_every_vector_comes_out_as_it_was_recorded_or_decided(capfd: pytest.CaptureFixture[str]):
    from ..pattern.test_vectors import VECTORS as EACH, decided, recorded

    assert main(["pattern", "check", str(VECTORS)]) == 0
    found = answers(capfd)
    assert [answer["id"] for answer in found] == [vector["id"] for vector in EACH]
    for answer, vector in zip(found, EACH, strict=True):
        kind, value = decided(vector) if "tag" in vector else recorded(vector)
        if kind == "match":
            assert answer == {"id": vector["id"], "match": value}
        else:
            assert answer["error"] == kind
            assert kind == "InvalidEvent" or answer["reason"].splitlines()[0] == value


def test_objects_and_strings_of_json_are_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    lines = [case(1), case(2, '{"a":["x"]}', '{"a":"x"}'), case(3, {"a": [1]}, '{"a":1.0,"a":2}'), case(4, event={})]
    assert checked(tmp_path, lines) == 0
    assert [answer["match"] for answer in answers(capfd)] == [True, True, True, False]


def test_what_is_wrong_with_a_pattern_or_an_event_is_an_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert checked(tmp_path, [case(1, {"a": 5}), case(2, event="[]"), case(3, {"a": 5}, "[]")]) == 0
    assert answers(capfd) == [
        {"id": 1, "error": "InvalidEventPatternException", "reason": '"a" must be an object or an array'},
        {"id": 2, "error": "InvalidEvent", "reason": "Event must be a JSON object"},
        {"id": 3, "error": "InvalidEventPatternException", "reason": '"a" must be an object or an array'},
    ]


@pytest.mark.parametrize(
    "line", ["junk", "[]", '{"id":1}', '{"id":1,"pattern":{"a":["x"]},"event":{"a":"x",}}', "\xff"]
)
def test_a_line_that_is_no_case_is_told_by_its_number_and_the_others_are_answered(
    line: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    assert checked(tmp_path, [case(1), "", line, case(4)]) == 1
    first, wrong, last = answers(capfd)
    assert (first["match"], last["match"]) == (True, True)
    assert (wrong["line"], wrong["error"]) == (3, "InvalidLine")
    assert wrong["reason"].startswith("wanted a JSON object with id, pattern and event")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (case(1, match=True), 0),
        (case(1, match=False), 1),
        (case(1), 0),
        (case(1, {"a": 5}, error="InvalidEventPatternException"), 0),
        (case(1, {"a": 5}, error="InvalidEventPatternException", reason="something else"), 1),
        (case(1, {"a": 5}, match=False), 1),
        (case(1, error="InvalidEvent"), 1),
        (case(1, event="[]", error="InvalidEvent", reason="in other words"), 0),
    ],
)
def test_expectations_are_compared_only_if_asked(
    line: dict[str, Any], code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    assert checked(tmp_path, [line]) == 0
    assert checked(tmp_path, [line], "--expect") == code
    assert ("line 1, 1: wanted" in capfd.readouterr().err) == bool(code)


def test_an_engine_that_is_not_installed_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "busway_matcher", None)
    assert checked(tmp_path, [case(1)], "--engine", "compiled") == 2
    told = capfd.readouterr()
    assert "there is no module busway_matcher" in told.err and told.out == ""


@pytest.mark.needs("matcher")
def test_the_compiled_engine_decides_as_the_reference_does(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    lines = [
        case(1),
        case(2, {"a": ["y"]}),
        case(3, {"a": ["y"]}, {"a": "y"}),
        case(4, {"a": 5}),
        case(5, event="[]"),
    ]
    assert checked(tmp_path, lines) == 0
    told = answers(capfd)
    assert checked(tmp_path, lines, "--engine", "compiled") == 0
    again = answers(capfd)
    # Of an event that is none, each says in its own words what it is.
    assert [(one.get("match"), one.get("error")) for one in again] == [
        (one.get("match"), one.get("error")) for one in told
    ]
    assert [one.get("match", one.get("error")) for one in again] == [
        True, False, True, "InvalidEventPatternException", "InvalidEvent",
    ]  # fmt: skip


def test_a_file_that_is_not_there_is_said(capfd: pytest.CaptureFixture[str]):
    assert main(["pattern", "check", "nowhere.jsonl"]) == 2
    assert "'nowhere.jsonl': no such file" in capfd.readouterr().err


def test_each_line_is_answered_before_the_next_is_read():
    words = [sys.executable, "-m", "busway", "pattern", "check"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(3):
            process.stdin.write(json.dumps(case(number)).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"id": number, "match": True}
        process.stdin.close()
        assert process.wait(30) == 0


MEMORY = """
import resource, sys
from busway.cli import main
code = main(["pattern", "check", sys.argv[1]])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_number_of_lines(tmp_path: Path):
    def peak(lines: int) -> int:
        file = tmp_path / f"{lines}.jsonl"
        with file.open("w") as out:
            for number in range(lines):
                # A pattern each, so that what is kept of patterns shows too.
                out.write(json.dumps(case(number, {"a": [f"x{number}", "x" * 500]}, {"a": "y" * 500})) + "\n")
        run = subprocess.run([sys.executable, "-c", MEMORY, file], capture_output=True, text=True, check=True)
        code, used_kib = run.stderr.split()
        assert code == "0" and run.stdout.count("\n") == lines
        return int(used_kib)

    assert peak(20_000) < peak(500) + 8 * 1024
