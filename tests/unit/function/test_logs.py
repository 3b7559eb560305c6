"""Function logs: bounded in memory however long the lines are."""

from __future__ import annotations

from pathlib import Path

from busway.clock import ManualClock
from busway.function.logs import BEHIND_CHARS_MAX, FOLLOWER_LINES_MAX, RECENT_CHARS, RECENT_LINES, Line, Logs

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


def printed(text: str, request_id: str = "r") -> Line:
    return Line(FUNCTION, 1.0, request_id, "e", 1, text)


def test_long_lines_leave_the_memory_earlier_than_short_ones():
    logs = Logs(None, ManualClock())
    for number in range(1_000):
        logs.write(printed(f"{number:04}" + "x" * 65_532))
    kept = logs.recent(FUNCTION)
    assert len(kept) == RECENT_CHARS // 65_536 and kept[-1].line.startswith("0999")
    for _ in range(RECENT_LINES + 5):
        logs.write(printed("short"))
    assert len(logs.recent(FUNCTION)) == RECENT_LINES
    logs.write(printed("y" * (RECENT_CHARS + 1)))
    logs.write(printed("z"))
    assert [line.line for line in logs.recent(FUNCTION)] == ["z"]


async def test_who_follows_too_slowly_is_told_how_many_lines_are_left_out_and_where():
    logs = Logs(None, ManualClock())
    with logs.follow(FUNCTION) as follower:
        for number in range(FOLLOWER_LINES_MAX + 7):
            logs.write(printed(str(number)))
        lines = [(await anext(follower)).line for _ in range(FOLLOWER_LINES_MAX + 1)]
        assert lines[0] == "[busway: 7 lines are left out here: they came faster than they were read]"
        assert lines[1:] == [str(number) for number in range(7, FOLLOWER_LINES_MAX + 7)]
        logs.write(printed("other", "r2"))
        assert (await anext(follower)).line == "other"


async def test_a_disk_that_is_slower_than_long_lines_costs_lines_and_says_so(tmp_path: Path):
    logs = Logs(tmp_path, ManualClock())
    text = "x" * 1_048_576
    for _ in range(BEHIND_CHARS_MAX // len(text) + 3):
        logs.write(printed(text))
    await logs.flush()
    logs.write(printed("after"))
    lines = await logs.tail(FUNCTION)
    assert lines[-1].line == "after"
    assert "[busway: 3 lines are left out here: the disk was too slow]" in [line.line for line in lines]
