"""Trace ids: the header by which everything that came of one cause is known. Pure.

    X-Ray   Root=1-7bf73129-14284cd3a78095db273d1602;Parent=53995c3f42cd8ad8;Sampled=1
    W3C     00-7bf7312914284cd3a78095db273d1602-53995c3f42cd8ad8-01

Both write one id of 32 hexadecimal digits; X-Ray puts a dash after the first eight. Inside, a trace is X-Ray's
header, which AWS's SDKs send by themselves. What comes without one begins a trace whose id is its own (ours): nothing
is drawn and nothing is stored, and who knows the trace knows the event that began it. What cannot be read is no
trace, and never an error, as on AWS.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html
HEADER_CHARS_MAX = 500

# https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
_ROOT = re.compile(r"(?:^|;)\s*Root=[0-9]+-([0-9a-fA-F]{8})-([0-9a-fA-F]{24})\s*(?:;|$)")
_PARENT = re.compile(r"(?:^|;)\s*Parent=([0-9a-fA-F]{16})\s*(?:;|$)")
_ID = re.compile(r"(?:1-)?([0-9a-fA-F]{8})-?([0-9a-fA-F]{24})")
# https://www.w3.org/TR/trace-context/#traceparent-header: what a later version adds stands behind a dash.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{8})([0-9a-f]{24})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
ID_DIGITS = 32


def is_trace(header: str) -> bool:
    """Whether it says of which trace it is, in a length that AWS takes."""
    return len(header) <= HEADER_CHARS_MAX and _ROOT.search(header) is not None


def trace_id(header: str) -> str:
    """The 32 digits of the trace, in lower case; "" for what is no trace."""
    found = _ROOT.search(header)
    return "" if found is None else (found[1] + found[2]).lower()


def parent(header: str) -> str:
    """The 16 digits of what it was sent from, in lower case; "" for none."""
    found = _PARENT.search(header)
    return "" if found is None else found[1].lower()


def read_id(text: str) -> str:
    """The 32 digits of what a person calls a trace (X-Ray's id or header, W3C's id); "" for anything else."""
    found = _ID.fullmatch(text)
    return trace_id(text) if found is None else (found[1] + found[2]).lower()


def root(identity: str) -> str:
    """X-Ray's form of a trace's 32 digits."""
    return f"1-{identity[:8]}-{identity[8:]}"


def begun_by(identity: str) -> str:
    """The header of the trace that an event, or a request, begins: its id without dashes.

    X-Ray's own ids begin with a time; W3C's do not, nor do these. What is no UUID is hashed to one.
    """
    digits = identity.replace("-", "")
    if len(digits) != ID_DIGITS:
        digits = hashlib.blake2b(identity.encode(), digest_size=ID_DIGITS // 2).hexdigest()
    return f"Root={root(digits)};Sampled=0"


def of_event(event_id: str, header: str | None) -> str:
    """The header of an event's trace. `header` is what was stored with it."""
    return begun_by(event_id) if header is None else header


def of_request(headers: Mapping[bytes, bytes]) -> str | None:
    """X-Ray's header of an HTTP request, made from W3C's where only that one came. Names are in lower case.

    None for what is no trace: it would be kept with everything that comes of the request.
    """
    header = headers.get(b"x-amzn-trace-id")
    if header is not None:
        text = header.decode("latin-1")
        return text if is_trace(text) else None
    header = headers.get(b"traceparent")
    return None if header is None else from_traceparent(header.decode("latin-1"))


def from_traceparent(text: str) -> str | None:
    """X-Ray's header of a W3C `traceparent`; None for one that is to be ignored.

    https://www.w3.org/TR/trace-context/#versioning-of-traceparent
    """
    found = _TRACEPARENT.fullmatch(text.strip())
    if found is None:
        return None
    version, first, rest, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not (first + rest).strip("0") or not span.strip("0"):
        return None
    return f"Root=1-{first}-{rest};Parent={span};Sampled={int(flags, 16) & _SAMPLED}"


def span_id(request_id: str, attempt: int) -> str:
    """The 16 digits of one attempt at an invocation: the `Parent` of whatever its handler sends."""
    return hashlib.blake2b(f"{request_id} {attempt}".encode(), digest_size=8).hexdigest()


def sent_from(header: str, span: str) -> str:
    """The header with another `Parent`, in AWS's place for it."""
    parts = [part for part in header.split(";") if not part.strip().startswith("Parent=")]
    behind = next((place for place, part in enumerate(parts, 1) if part.strip().startswith("Root=")), 0)
    return ";".join([*parts[:behind], f"Parent={span}", *parts[behind:]])
