from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from busway.engine import Entry
from busway.errors import CorruptRecord, InvalidStreamRequest
from busway.stream.hashing import HASH_MAX
from busway.stream.record import Shard, StreamRecord, check_name, pack, unpack

SHARD = Shard("arn:aws:kinesis:us-east-1:000000000000:stream/s", "00ff", 3, 1_700, 0, HASH_MAX, 1.0)


@given(st.text(min_size=1, max_size=256), st.binary(max_size=300))
def test_a_record_comes_out_of_the_journal_as_it_went_in(key: str, data: bytes):
    entry = unpack(SHARD, Entry(12, 5.5, pack(key.encode(), data)))
    assert (entry.offset, entry.partition_key, entry.data, entry.arrived_at) == (12, key, data, 5.5)
    assert entry.sequence_number == SHARD.sequence_number(12)
    assert entry.size == len(key.encode()) + len(data)


@pytest.mark.parametrize("raw", [b"", b"\x02\x00\x01a", b"\x01"])
def test_what_is_no_record_is_told_with_its_place(raw: bytes):
    with pytest.raises(CorruptRecord, match="offset 12"):
        unpack(SHARD, Entry(12, 5.5, raw))


def test_a_stream_is_stored_and_read_back_with_hashes_of_128_bits():
    stream = StreamRecord(
        arn=SHARD.arn, name="s", account="0", region="r", creation="00ff", created_at=1.0, shards=(SHARD,)
    )
    again = msgspec.json.decode(msgspec.json.encode(stream), type=StreamRecord)
    assert again == stream
    assert again.shards[0].high == HASH_MAX


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a" * 129, "a\n"])
def test_a_name_that_aws_would_not_take_is_refused(name: str):
    with pytest.raises(InvalidStreamRequest):
        check_name(name)
