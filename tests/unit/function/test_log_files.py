from __future__ import annotations

import os
from pathlib import Path

import msgspec

from busway.function.log_files import FILES, Line, LogFiles

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def line(number: int, name: str = "f", size: int = 100) -> Line:
    return Line(f"{ARN}{name}", float(number), f"r-{number}", "e", 1, f"{number:06}".ljust(size, "."))


def used(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*/*"))


def test_the_files_of_a_function_are_rotated_and_stay_within_their_bound(tmp_path: Path):
    files = LogFiles(tmp_path, 40_000, 1_000_000)
    for number in range(1_000):
        files.append([line(number)])
    assert used(tmp_path) <= 40_000
    assert len(list(tmp_path.glob("f/*"))) == FILES
    kept = files.newest(f"{ARN}f", 10_000, 0.0)
    assert [entry.at for entry in kept] == [float(number) for number in range(1_000 - len(kept), 1_000)]
    assert len(kept) > 100


def test_all_functions_together_stay_within_theirs_and_the_oldest_files_go(tmp_path: Path):
    files = LogFiles(tmp_path, 40_000, 60_000)
    for name in ("old", "older"):
        files.append([line(number, name) for number in range(100)])
        os.utime(tmp_path / name / "log.jsonl", (1.0, 1.0))
    for number in range(300):
        files.append([line(number, "new")])
    assert used(tmp_path) <= 60_000
    assert not files.newest(f"{ARN}older", 10, 0.0)
    assert files.newest(f"{ARN}new", 1, 0.0)[0].at == 299.0


def test_what_earlier_servers_wrote_counts(tmp_path: Path):
    LogFiles(tmp_path, 40_000, 1_000_000).append([line(number, "old") for number in range(100)])
    files = LogFiles(tmp_path, 40_000, 20_000)
    files.append([line(1)])
    assert used(tmp_path) <= 20_000


def test_the_newest_lines_are_found_across_files_and_from_a_moment_on(tmp_path: Path):
    files = LogFiles(tmp_path, 8_000, 1_000_000)
    for number in range(30):
        files.append([line(number)])
    assert [entry.at for entry in files.newest(f"{ARN}f", 15, 0.0)] == [float(number) for number in range(15, 30)]
    assert [entry.at for entry in files.newest(f"{ARN}f", 1_000, 20.0)] == [float(number) for number in range(20, 30)]
    assert files.newest(f"{ARN}other", 10, 0.0) == []


def test_the_lines_of_one_request_are_found_wherever_they_lie(tmp_path: Path):
    files = LogFiles(tmp_path, 8_000, 1_000_000)
    for number in range(30):
        files.append([line(number), msgspec.structs.replace(line(number, "g"), request_id="r-3")])
    assert [entry.function[-1] for entry in files.of_request("r-3")].count("g") > 10


def test_half_a_line_is_passed_over(tmp_path: Path):
    files = LogFiles(tmp_path, 8_000, 1_000_000)
    files.append([line(1)])
    with (tmp_path / "f/log.jsonl").open("ab") as file:
        file.write(b'{"function": "half')
    assert len(files.newest(f"{ARN}f", 10, 0.0)) == 1


def test_a_scan_from_a_moment_on_gives_every_line_since_and_none_before(tmp_path: Path):
    files = LogFiles(tmp_path, 4_000_000, 10_000_000)
    for number in range(0, 6_000, 2):
        files.append([line(number, size=400), line(number, size=10)])
    kept = files.newest(f"{ARN}f", 1_000_000, 0.0)
    for since in (0.0, 1.0, 2.0, 5_998.0, 5_999.0, *map(float, range(3, 6_000, 97))):
        found: list[Line] = []
        files.scan(f"{ARN}f", since, found.append)
        assert found == [entry for entry in kept if entry.at >= since]
    assert len(kept) > 5_000


def test_old_lines_are_forgotten_in_whole_files_and_all_of_them_when_asked(tmp_path: Path):
    files = LogFiles(tmp_path, 40_000, 1_000_000)
    for number in range(1_000):
        files.append([line(number)])
    kept = files.newest(f"{ARN}f", 10_000, 0.0)
    files.forget(f"{ARN}f", kept[0].at)
    assert files.newest(f"{ARN}f", 10_000, 0.0) == kept
    files.forget(f"{ARN}f", 990.0)
    fewer = files.newest(f"{ARN}f", 10_000, 0.0)
    assert len(fewer) < len(kept) and [entry.at for entry in fewer][-10:] == [float(n) for n in range(990, 1_000)]
    of_function = files.kept_of(f"{ARN}f")
    assert of_function is not None
    assert (of_function.first_at, of_function.size) == (fewer[0].at, used(tmp_path))
    files.forget(f"{ARN}f", float("inf"))
    assert files.kept() == [] and used(tmp_path) == 0


def test_the_newest_lines_that_are_wanted_are_found_behind_others(tmp_path: Path):
    files = LogFiles(tmp_path, 40_000, 1_000_000)
    for number in range(200):
        files.append([line(number)])
    found = files.newest(f"{ARN}f", 3, 0.0, lambda text: text[5] == "0")
    assert [entry.at for entry in found] == [170.0, 180.0, 190.0]
