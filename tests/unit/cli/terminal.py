"""A command on a pseudo-terminal, as a person sees it: what stands on the screen, not the bytes that put it there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence

ROWS, COLUMNS = 60, 240
PATIENCE_S = 30
# Ctrl-C, Ctrl-U, and the arrow down.
INTERRUPT, CLEAR, DOWN = "\x03", "\x15", "\x1b[B"
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[=>]|\x1b\][^\x07]*\x07|[\x00-\x1f]|[^\x00-\x1f]")


class Screen:
    """As much of a terminal as prompt_toolkit uses; lines are never given up."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.lines)

    def feed(self, text: str) -> None:
        for found in _SEQUENCE.finditer(text):
            if found[2]:
                self._obey(found[2], int(found[1]) if found[1].isdecimal() else 0)
            elif found[0] == "\r":
                self.column = 0
            elif found[0] == "\n":
                self.row += 1
            elif found[0] == "\b":
                self.column -= 1
            elif found[0] >= " ":
                self._line[self.column : self.column + 1] = [found[0]]
                self.column += 1

    @property
    def _line(self) -> list[str]:
        """The line with the cursor, filled up to it."""
        self.lines += [[] for _ in range(self.row + 1 - len(self.lines))]
        line = self.lines[self.row]
        line += [" "] * (self.column - len(line))
        return line

    def _obey(self, word: str, number: int) -> None:
        if word in "AB":
            self.row = max(0, self.row + (number or 1) * (1 if word == "B" else -1))
        elif word in "CD":
            self.column = max(0, self.column + (number or 1) * (1 if word == "C" else -1))
        elif word in "JK":
            del self._line[self.column :]
            if word == "J":
                del self.lines[self.row + 1 :]


def on_a_terminal(words: Sequence[str], answers: Sequence[tuple[str, str]], code: int = 0) -> str:
    """Run `busway` and type each answer once its question stands there; what stood on the screen at each, in turn."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen, stood = Screen(), list[str]()
    try:
        for number, (question, answer) in enumerate(answers, 1):
            # What was answered stands there still.
            _until(ours, screen, question, [asked for asked, _ in answers[:number]].count(question))
            stood.append(screen.text)
            os.write(ours, answer.encode())
        while _reads(ours, screen):
            pass
        stood.append(screen.text)
        assert process.wait(PATIENCE_S) == code, screen.text
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return "\n".join(stood)


def _until(terminal: int, screen: Screen, text: str, times: int) -> None:
    while screen.text.count(text) < times:
        assert _reads(terminal, screen), f"waited for {text!r}, saw:\n{screen.text}"


def _reads(terminal: int, screen: Screen) -> bool:
    """Show what came; False when the command has ended."""
    ready, _, _ = select.select([terminal], [], [], PATIENCE_S)
    assert ready, f"nothing came any more; saw:\n{screen.text}"
    try:
        part = os.read(terminal, 65_536).decode(errors="replace")
    except OSError:
        # Linux says so when the other end is closed.
        return False
    screen.feed(part)
    # A real terminal says where its cursor is; prompt_toolkit asks.
    if "\x1b[6n" in part:
        os.write(terminal, b"\x1b[1;1R")
    return bool(part)
