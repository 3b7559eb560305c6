"""Where a function's code can be had for a while: a path that carries its own permission.

Like AWS's presigned URL it needs no signature, is for one zip, and expires after ten minutes, or when the server
stops: the secret is forgotten then.
https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qs, quote, unquote

from busway.clock import Clock, Entropy
from busway.function.definitions.code_store import CodeStore
from busway.function.record import FunctionRecord

# https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
VALID_S = 600
PREFIX = "/_lambda_code/"
_SECRET_BYTES = 32


class Downloads:
    """Makes the paths, and gives the zip for one that is good."""

    def __init__(self, clock: Clock, entropy: Entropy, code: CodeStore) -> None:
        self._clock, self._code = clock, code
        self._secret = entropy.token(_SECRET_BYTES)
        self._offered: dict[str, tuple[int, FunctionRecord]] = {}

    def offer(self, record: FunctionRecord) -> str:
        """A path and query for the code of this record, as it is now, also when the function changes meanwhile."""
        now = int(self._clock.now())
        self._offered = {name: kept for name, kept in self._offered.items() if kept[0] >= now}
        expires, name = now + VALID_S, f"{record.crew}/{record.code_sha256}"
        self._offered[name] = (expires, record)
        return f"{PREFIX}{quote(name, safe=':')}?Expires={expires}&Signature={self._signature(name, expires)}"

    async def take(self, path: str, query: str) -> bytes | None:
        """The zip; None for a path that was not offered, is expired, or whose code is gone."""
        name = unquote(path.removeprefix(PREFIX))
        given = parse_qs(query)
        expires = given.get("Expires", ["0"])[0]
        if not expires.isdecimal() or len(expires) > 12 or int(expires) < self._clock.now():
            return None
        signature = given.get("Signature", [""])[0]
        if not hmac.compare_digest(signature.encode(), self._signature(name, int(expires)).encode()):
            return None
        offered = self._offered.get(name)
        return None if offered is None else await self._code.archive(offered[1])

    def _signature(self, name: str, expires: int) -> str:
        return hmac.new(self._secret, f"{name}\n{expires}".encode(), hashlib.sha256).hexdigest()
