from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from busway.cli import main

PATTERN = '{"source": ["shop"], "detail": {"total": [{"numeric": [">=", 100]}]}}'


def test_a_sample_is_an_event_that_explain_matches(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", PATTERN]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["detail"] == {"total": 100}
    assert err == ""
    assert main(["explain", PATTERN, out]) == 0


def test_a_near_miss_says_on_stderr_what_it_misses_by(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", PATTERN, "--miss"]) == 0
    out, err = capfd.readouterr()
    assert err == "misses by detail.total: wanted a number >= 100\n"
    assert main(["explain", PATTERN, out]) == 1


def test_json_of_a_near_miss_names_the_field(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", PATTERN, "--miss", "--json"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert (told["field"], told["wanted"], told["event"]["detail"]) == (
        "detail.total",
        "a number >= 100",
        {"total": 99},
    )
    assert err == ""


def test_several_are_a_line_each_or_one_list(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", PATTERN, "--count", "3"]) == 0
    assert len({json.loads(line)["detail"]["total"] for line in capfd.readouterr().out.splitlines()}) == 3
    assert main(["rule", "sample", PATTERN, "--count", "2", "--json"]) == 0
    assert [each["event"]["source"] for each in json.loads(capfd.readouterr().out)] == ["shop", "shop"]


def test_fewer_than_were_asked_for_are_counted(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", '{"source": ["a", "b"]}', "--count", "5"]) == 0
    assert capfd.readouterr().err == "note: 2 were found, not 5\n"


def test_a_rule_file_a_pattern_file_and_a_listed_rule_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "rule.json").write_text(f'{{"EventPattern": {PATTERN}, "Targets": [{{"Queue": "audit"}}]}}')
    (tmp_path / "pattern.json").write_text(PATTERN)
    listed = {
        "Rules": [{"Name": "nightly", "ScheduleExpression": "rate(1 day)"}, {"Name": "r", "EventPattern": PATTERN}]
    }
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(listed).encode())))
    for given in (str(tmp_path / "rule.json"), str(tmp_path / "pattern.json"), "-"):
        assert main(["rule", "sample", given]) == 0
        assert json.loads(capfd.readouterr().out)["detail"] == {"total": 100}


def test_a_number_with_more_digits_than_a_double_is_written_as_it_is(capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", '{"detail": {"huge": [1e400]}}']) == 0
    assert '"huge": 1e400' in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ([], 2, "give PATTERN (a file, - for stdin, or JSON itself) or --rule NAME, one of them"),
        (["{}", "--rule", "r"], 2, "one of them"),
        (["nowhere.json"], 2, "PATTERN is 'nowhere.json': no such file"),
        (['{"Rules": []}'], 2, "PATTERN holds 0 patterns (none); wanted one"),
        (['{"source": "shop"}'], 1, "Event pattern is not valid"),
        (
            ['{"detail": {"n": [{"numeric": ["<", -1.7976931348623157e308]}]}}'],
            1,
            "no event can match: detail.n wants a number",
        ),
        (
            ['{"detail": {"n": [{"exists": true}, {"exists": false}]}}', "--miss"],
            1,
            "no event was found that the pattern misses by exactly one field",
        ),
    ],
)
def test_what_has_no_sample_says_why(words: list[str], code: int, problem: str, capfd: pytest.CaptureFixture[str]):
    assert main(["rule", "sample", *words]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert problem in err
