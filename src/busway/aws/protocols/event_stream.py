"""Messages of an event stream, `application/vnd.amazon.eventstream`, as bytes. Pure: one message in, its frame out.

    4  bytes of the whole message
    4  bytes of its headers
    4  CRC-32 of these eight
    …  headers: a byte for the name's length, the name, a byte for the type, two for the value's length, the value
    …  payload
    4  CRC-32 of everything before

Numbers are unsigned, the highest byte first. Of the ten types of headers only text is written here: AWS's services
send no other ones in their events.
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack
from zlib import crc32

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
# What a message may have, by the page above: bytes of all its headers, of one's name and value, and of its payload.
HEADERS_MAX, NAME_MAX, VALUE_MAX = 128 * 1024, 255, 32_767
PAYLOAD_MAX = 16 * 1024 * 1024
_TEXT = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """The frame of one message. Raises ValueError for one that no client would take."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    if len(head) > HEADERS_MAX or len(payload) > PAYLOAD_MAX:
        found = f"{len(head)} bytes of headers, {len(payload)} of payload"
        raise ValueError(f"event stream: found {found}; wanted at most {HEADERS_MAX} and {PAYLOAD_MAX}")
    lengths = pack("!II", 4 + 4 + 4 + len(head) + len(payload) + 4, len(head))
    whole = b"%b%b%b%b" % (lengths, pack("!I", crc32(lengths)), head, payload)
    return whole + pack("!I", crc32(whole))


def _header(name: str, value: str) -> bytes:
    named, text = name.encode(), value.encode()
    if not 0 < len(named) <= NAME_MAX or len(text) > VALUE_MAX:
        found = f"a header of {len(named)} and {len(text)} bytes"
        raise ValueError(f"event stream: found {found}; wanted at most {NAME_MAX} and {VALUE_MAX}")
    return pack("!B", len(named)) + named + pack("!BH", _TEXT, len(text)) + text
