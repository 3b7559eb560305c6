"""A pipe that has a name, as a shell makes one of `<(…)`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def piped(content: bytes) -> Iterator[str]:
    """The name under which `content` can be read once; it must fit into a pipe."""
    reader, writer = os.pipe()
    try:
        os.write(writer, content)
        os.close(writer)
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
