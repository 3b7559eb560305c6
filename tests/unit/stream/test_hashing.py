from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from busway.stream.hashing import HASH_MAX, even_ranges, hash_of


def test_a_partition_key_lies_where_its_md5_says():
    # md5("a") = 0cc175b9c0f1b6a831c399e269772661
    assert hash_of("a") == 0x0CC175B9C0F1B6A831C399E269772661


def test_a_partition_key_is_hashed_as_utf_8():
    assert hash_of("é") == 0x66DDCD97CFDEABB2F6FB8A999B4BC76F


def test_two_shards_have_the_ranges_that_aws_gives_them():
    half = 170141183460469231731687303715884105728
    assert even_ranges(2) == [(0, half - 1), (half, HASH_MAX)]


@given(st.integers(1, 400))
def test_even_ranges_cover_the_space_once(count: int):
    ranges = even_ranges(count)
    assert len(ranges) == count
    assert ranges[0][0] == 0
    assert ranges[-1][1] == HASH_MAX
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(ranges))
    widths = {high - low for low, high in ranges[:-1]}
    assert len(widths) <= 1


@pytest.mark.parametrize("count", [3, 7])
def test_the_last_range_takes_what_is_left_over(count: int):
    (low, high), last = even_ranges(count)[0], even_ranges(count)[-1]
    assert last[1] - last[0] >= high - low
