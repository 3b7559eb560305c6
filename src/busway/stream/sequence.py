"""Sequence numbers: a shard's birth and a journal offset in one decimal number. Pure.

    49 | birth, 18 digits | shard, 12 digits | offset, 24 digits          56 digits, as AWS's have

`birth` is when the shard was opened, in microseconds, moved forward where needed so that no two shards of this server
have the same: numbers are unique across shards, those of a child are above those of its parents, and those of a
stream that was made anew are others. Within a shard they grow as the offsets do. The layout is ours.
"""

from __future__ import annotations

from busway.errors import ForeignSequenceNumber, InvalidSequenceNumber

_LEAD = "49"
_BIRTH_DIGITS, _SHARD_DIGITS, _OFFSET_DIGITS = 18, 12, 24
DIGITS = len(_LEAD) + _BIRTH_DIGITS + _SHARD_DIGITS + _OFFSET_DIGITS
# What an engine can count up to; numbers beyond it stand for the same place, behind everything.
OFFSET_MAX = (1 << 63) - 1


def prefix_of(birth: int, index: int) -> str:
    """What the numbers of one shard begin with."""
    return f"{_LEAD}{birth:0{_BIRTH_DIGITS}d}{index:0{_SHARD_DIGITS}d}"


def sequence_number(prefix: str, offset: int) -> str:
    return f"{prefix}{offset:0{_OFFSET_DIGITS}d}"


def check_form(number: str) -> None:
    """Raises `InvalidSequenceNumber` for what is none of ours."""
    if len(number) != DIGITS or not number.isascii() or not number.isdigit() or not number.startswith(_LEAD):
        raise InvalidSequenceNumber(number)


def offset_in(number: str, prefix: str) -> int:
    """The offset that a number of the shard with this prefix stands for.

    Raises `ForeignSequenceNumber` for a number of another shard (it says of which, if it is one of ours), and
    `InvalidSequenceNumber` for what is none at all.
    """
    check_form(number)
    if not number.startswith(prefix):
        index = int(number[len(_LEAD) + _BIRTH_DIGITS : -_OFFSET_DIGITS])
        raise ForeignSequenceNumber(number, shard_id(index))
    return min(int(number[len(prefix) :]), OFFSET_MAX)


def shard_id(index: int) -> str:
    return f"shardId-{index:012d}"
