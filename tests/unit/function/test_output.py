from __future__ import annotations

import asyncio
import os

from busway.function.workers.output import KEPT_BYTES_MAX, KEPT_LINES_MAX, Output


async def test_lines_come_out_whole_and_the_rest_at_the_end():
    lines: list[str] = []
    read, write = os.pipe()
    os.set_blocking(read, False)
    output = Output(read, lines.append)
    output.begin()
    os.write(write, b"one\ntw")
    await asyncio.sleep(0)
    os.write(write, b"o\r\nthree")
    assert output.finish() == b"one\ntwo\r\nthree"
    assert lines == ["one", "two", "three"]
    os.close(write)
    output.close()


async def test_what_is_above_the_bound_is_counted_and_dropped_and_the_next_invocation_begins_anew():
    lines: list[str] = []
    read, write = os.pipe()
    os.set_blocking(read, False)
    output = Output(read, lines.append)
    output.begin()
    for _ in range(KEPT_BYTES_MAX // 50_000 + 3):
        os.write(write, b"x" * 49_999 + b"\n")
        output.finish()
    left_out = (KEPT_BYTES_MAX // 50_000 + 3) * 50_000 - KEPT_BYTES_MAX
    assert lines[-1].endswith(f"left out here: {left_out} bytes]")
    output.begin()
    os.write(write, b"again\n")
    assert output.finish() == b"again\n"
    assert lines[-1] == "again"
    os.close(write)
    output.close()


async def test_a_pipe_that_ended_is_closed_and_finish_still_answers():
    lines: list[str] = []
    read, write = os.pipe()
    os.set_blocking(read, False)
    output = Output(read, lines.append)
    output.begin()
    os.write(write, b"last words")
    os.close(write)
    assert output.finish() == b"last words"
    assert output.finish() == b"last words"
    assert lines == ["last words"]
    output.close()


async def test_short_lines_are_bounded_by_their_number():
    lines: list[str] = []
    read, write = os.pipe()
    os.set_blocking(read, False)
    output = Output(read, lines.append)
    output.begin()
    for _ in range(5):
        os.write(write, b"\n" * 50_000)
        output.finish()
    os.write(write, b"the end")
    assert output.finish().endswith(b"\nthe end")
    printed = [line for line in lines if not line]
    assert len(printed) == KEPT_LINES_MAX
    assert lines[-1].endswith(f"is left out here: {250_000 + 7 - KEPT_LINES_MAX} bytes]")
    output.begin()
    os.write(write, b"again\n")
    output.finish()
    assert lines[-1] == "again"
    os.close(write)
    output.close()
