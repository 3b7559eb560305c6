"""Shard iterators: a place in a shard, for five minutes, in a text that only this server can make.

    seal (16 bytes) | made at (ms) | after (offset) | shard | creation | ARN        in base64

The seal is a keyed hash of the rest, so that nobody reads from a place that was not given out.
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from busway.errors import ExpiredShardIterator, InvalidShardIterator

LIFE_S = 300
_FIXED = struct.Struct("<QQI8s")
_SEAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Reading goes on above the offset `after` of the shard with this index. `creation` is of its stream."""

    arn: str
    creation: str
    index: int
    after: int


class Iterators:
    """Makes iterators and reads them. `key` is the server's secret."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, place: Place, now: float) -> str:
        body = _FIXED.pack(int(now * 1000), place.after, place.index, bytes.fromhex(place.creation))
        body += place.arn.encode()
        return base64.b64encode(self._seal(body) + body).decode()

    def read(self, text: str, now: float) -> Place:
        """Raises `InvalidShardIterator`, `ExpiredShardIterator`."""
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidShardIterator from None
        seal, body = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if len(body) < _FIXED.size or not hmac.compare_digest(seal, self._seal(body)):
            raise InvalidShardIterator
        made_ms, after, index, creation = _FIXED.unpack_from(body)
        if now * 1000 - made_ms > LIFE_S * 1000:
            raise ExpiredShardIterator(
                f"Iterator expired. The iterator was created at time {_java_time(made_ms / 1000)} while right now it "
                f"is {_java_time(now)} which is further in the future than the tolerated delay of {LIFE_S * 1000} "
                "milliseconds."
            )
        return Place(body[_FIXED.size :].decode(), creation.hex(), index, after)

    def _seal(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, digest_size=_SEAL_BYTES, key=self._key).digest()


def _java_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
