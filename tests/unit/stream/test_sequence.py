from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from busway.errors import ForeignSequenceNumber, InvalidSequenceNumber
from busway.stream.sequence import DIGITS, OFFSET_MAX, offset_in, prefix_of, sequence_number

BIRTHS = st.integers(0, 10**18 - 1)
SHARDS = st.integers(0, 10**12 - 1)
OFFSETS = st.integers(0, OFFSET_MAX)


@given(BIRTHS, SHARDS, OFFSETS)
def test_a_sequence_number_looks_like_one_of_aws_and_gives_its_offset_back(birth: int, shard: int, offset: int):
    prefix = prefix_of(birth, shard)
    number = sequence_number(prefix, offset)
    assert (len(number), number[:2], number.isdigit()) == (56, "49", True)
    assert DIGITS == 56
    assert offset_in(number, prefix) == offset


@given(BIRTHS, SHARDS, OFFSETS, OFFSETS)
def test_numbers_of_a_shard_compare_as_their_offsets_do(birth: int, shard: int, one: int, other: int):
    prefix = prefix_of(birth, shard)
    numbers = [int(sequence_number(prefix, offset)) for offset in (one, other)]
    assert (numbers[0] < numbers[1]) == (one < other)


@given(BIRTHS.filter(lambda birth: birth < 10**18 - 1), SHARDS, SHARDS, OFFSETS, OFFSETS)
def test_numbers_of_a_shard_that_was_opened_later_are_above_all_of_an_older_one(
    birth: int, old: int, new: int, one: int, other: int
):
    older, newer = sequence_number(prefix_of(birth, old), one), sequence_number(prefix_of(birth + 1, new), other)
    assert int(older) < int(newer)


def test_a_number_of_another_shard_says_of_which():
    number = sequence_number(prefix_of(5, 7), 1)
    with pytest.raises(ForeignSequenceNumber) as refused:
        offset_in(number, prefix_of(5, 8))
    assert refused.value.shard_id == "shardId-000000000007"


@pytest.mark.parametrize("text", ["", "0", "5", "49" * 27, "49" * 29, "50" + "0" * 54, "4" * 56, "49" + "²" * 54])
def test_what_is_no_sequence_number_is_refused(text: str):
    with pytest.raises(InvalidSequenceNumber):
        offset_in(text, prefix_of(5, 8))


def test_an_offset_beyond_what_an_engine_counts_stands_for_the_end():
    prefix = prefix_of(1, 0)
    assert offset_in(sequence_number(prefix, 10**24 - 1), prefix) == OFFSET_MAX
