"""The class that all errors share."""

from __future__ import annotations


class BuswayError(Exception):
    """Base of all. `hint` is one line that says what to run or change, shown by the command line."""

    hint: str = ""
