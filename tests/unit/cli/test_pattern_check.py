"""`busway pattern check`: many cases in, an answer a line out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from busway.cli import main

from .pipes import piped

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
        (case(1, match="yes"), 1),
        (case(1, match=1), 1),
        (case(1), 1),
        (case(1, matches=True), 1),
        (case(1, match=True, error=None, reason=None), 0),
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
    assert ("line 1, 1: " in capfd.readouterr().err) == bool(code)


def test_expecting_nothing_is_not_green_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert checked(tmp_path, [case(1, matches=True), case(2, match=True)], "--expect") == 1
    assert capfd.readouterr().err == (
        "line 1, 1: nothing is expected: it has neither match nor error\n1 line not as expected\n"
    )
    assert checked(tmp_path, ["", " "], "--expect") == 1
    assert capfd.readouterr().err == "nothing was checked: there is no line\n"
    assert checked(tmp_path, []) == 0


@pytest.mark.parametrize("engine", ["reference", pytest.param("compiled", marks=pytest.mark.needs("matcher"))])
@pytest.mark.parametrize("member", ["id", "pattern", "event"])
def test_a_byte_that_is_not_utf_8_spoils_its_line_alone(
    engine: str, member: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    file = tmp_path / "cases.jsonl"
    spoiled = json.dumps({**case(1), member: "☃"}, ensure_ascii=False).encode().replace("☃".encode(), b"\xe9")
    file.write_bytes(spoiled + b"\n" + json.dumps(case(2)).encode() + b"\n")
    assert main(["pattern", "check", "--engine", engine, str(file)]) == 1
    wrong, last = answers(capfd)
    assert (wrong["line"], wrong["error"]) == (1, "InvalidLine")
    assert wrong["reason"].endswith(f"not UTF-8 (byte {spoiled.index(0xE9) + 1})")
    assert last == {"id": 2, "match": True}


def test_the_mark_before_utf_8_is_no_part_of_the_first_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    file = tmp_path / "cases.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(case(1)).encode())
    assert main(["pattern", "check", str(file)]) == 0
    assert answers(capfd) == [{"id": 1, "match": True}]


def test_a_line_that_is_no_case_is_named_on_stderr_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert checked(tmp_path, [case(1), "junk"]) == 1
    err = capfd.readouterr().err
    assert err.startswith("line 2: wanted a JSON object with id, pattern and event: ")
    assert err.endswith("\n1 line not as it should be\n")


def test_an_event_is_deeper_as_a_string_than_as_an_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    deep, deeper = ('{"b":' * levels + "1" + "}" * levels for levels in (900, 1_000))
    lines = [f'{{"id":1,"pattern":{{"a":["x"]}},"event":{deep}}}', case(2, event=deeper)]
    assert checked(tmp_path, lines) == 0
    assert [answer["match"] for answer in answers(capfd)] == [False, False]


def test_an_engine_that_is_not_installed_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "busway_matcher", None)
    assert checked(tmp_path, [case(1)], "--engine", "compiled") == 2
    told = capfd.readouterr()
    assert "there is no module busway_matcher" in told.err and told.out == ""


def test_an_engine_of_another_version_is_not_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "busway_matcher", SimpleNamespace(__version__="9.9.9"))
    assert checked(tmp_path, [case(1)], "--engine", "compiled") == 2
    assert "busway-matcher 9.9.9 is installed, 0.1.x is wanted" in capfd.readouterr().err


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


def test_a_folder_is_said_to_be_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["pattern", "check", str(tmp_path)]) == 2
    assert f"{str(tmp_path)!r}: that is a folder" in capfd.readouterr().err


def test_a_pipe_with_a_name_is_read(capfd: pytest.CaptureFixture[str]):
    with piped(json.dumps(case(1)).encode()) as name:
        assert main(["pattern", "check", name]) == 0
    assert answers(capfd) == [{"id": 1, "match": True}]


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
