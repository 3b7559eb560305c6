"""The code of functions for download: GetFunction's `Location`, which carries its own permission."""

from __future__ import annotations

from collections.abc import Mapping

from busway.aws.doors import Permission, Visit
from busway.aws.errors import AwsError
from busway.aws.protocols import Reply
from busway.function.definitions.download import PREFIX, Downloads

_PREFIX = PREFIX.encode()


class CodeDoor:
    """GET of a path that `Downloads` offered."""

    body_max = 0

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads

    def takes(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        return path.startswith(_PREFIX)

    def open_to_pages(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        return False

    def admit(self, visit: Visit) -> Permission | None:
        if visit.method not in ("GET", "HEAD"):
            raise AwsError("MethodNotAllowed", f"{visit.method} is not for this path; wanted GET.", 405)
        return None

    async def answer(self, visit: Visit) -> Reply:
        data = await self._downloads.take(visit.path.decode("latin-1"), visit.query.decode("latin-1"))
        if data is None:
            raise AwsError("AccessDenied", "This location is not good, or no longer: ask GetFunction again.", 403)
        return Reply(200, data, b"application/zip")
