"""Smithy RPC v2 CBOR, as far as saying no in its own words: the services that speak it come later.

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

import struct

from busway.aws.errors import AwsError
from busway.aws.protocols import Reply

HEADER = (b"smithy-protocol", b"rpc-v2-cbor")


def refuse_in_cbor(error: AwsError) -> Reply:
    """An error as a CBOR map of two texts."""
    body = b"\xa2" + b"".join(_text(word) for word in ("__type", error.code, "message", error.message))
    return Reply(error.status or 400, body, b"application/cbor", [HEADER])


def _text(word: str) -> bytes:
    raw = word.encode()
    return b"\x7a" + struct.pack(">I", len(raw)) + raw
