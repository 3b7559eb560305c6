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
