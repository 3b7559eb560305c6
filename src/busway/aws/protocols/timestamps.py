"""The model's timestamp formats: float Unix seconds to and from the wire. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

# The years 1 to 9999, beyond which no timestamp can be written down again.
EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.999


def read_unix(value: Any) -> float:
    """Raises ValueError for what is no number or lies outside of the years 1 to 9999."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("wanted a number of seconds")
    return _checked(float(value) if abs(value) <= LATEST else math.inf)


def read_text(value: str) -> float:
    """A timestamp in text: ISO 8601, an HTTP date, or a number of seconds. Raises ValueError."""
    try:
        return _checked(float(value))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = _http_date(value)
    return _checked((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _http_date(value: str) -> datetime:
    try:
        return parsedate_to_datetime(value)
    except (TypeError, IndexError, ValueError):
        raise ValueError("wanted a timestamp, as 2026-11-23T16:54:28Z") from None


def _checked(seconds: float) -> float:
    if not math.isfinite(seconds) or not EARLIEST <= seconds <= LATEST:
        raise ValueError("wanted a timestamp in the years 1 to 9999")
    return seconds


def write_unix(at: float) -> int | float:
    """Seconds, whole ones without a fraction, else to the millisecond as AWS sends them."""
    return int(at) if float(at).is_integer() else round(at, 3)


def write_iso(at: float) -> str:
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds" if float(at).is_integer() else "milliseconds")
    return text.replace("+00:00", "Z")


def write_http(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC).replace(microsecond=0), usegmt=True)


def writer(form: str | None, default: str) -> Callable[[float], Any]:
    """The writer of a format of the model (`unixTimestamp`, `iso8601`, `rfc822`)."""
    return {"unixTimestamp": write_unix, "iso8601": write_iso, "rfc822": write_http}[form or default]
