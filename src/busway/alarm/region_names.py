"""What CloudWatch calls a Region in its messages: `US East (N. Virginia)`."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import msgspec


class _Region(msgspec.Struct):
    description: str


class _Partition(msgspec.Struct):
    regions: dict[str, _Region]


class _Endpoints(msgspec.Struct):
    partitions: list[_Partition]


def region_name(code: str) -> str:
    """The long name, or the code of a Region that botocore's data does not have."""
    return _names().get(code, code)


@functools.cache
def _names() -> dict[str, str]:
    """Read without importing botocore, which costs a fifth of a second, and only where an alarm tells a topic."""
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise LookupError("botocore is not installed; its data files name the Regions")
    text = (Path(spec.origin).parent / "data" / "endpoints.json").read_bytes()
    partitions = msgspec.json.decode(text, type=_Endpoints).partitions
    return {code: region.description for partition in partitions for code, region in partition.regions.items()}
