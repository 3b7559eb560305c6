"""The git remote, loaded when git first knocks: a server that nobody pushes to starts sooner without it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from busway.aws.gateway import AsgiScope, Receive, Send
from busway.clock import Entropy
from busway.function.build.tools import Machine
from busway.push.access import Access

if TYPE_CHECKING:
    from busway.push.remote import Remote

PREFIX = b"/git/"


@dataclass
class GitDoor:
    """What the remote needs: `data` is the server's folder, `machine` what builds run on, `url` the server's own."""

    access: Access
    data: Path
    machine: Machine
    entropy: Entropy
    url: str
    _remote: Remote | None = None

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if self._remote is None:
            made = await asyncio.to_thread(self._load)
            self._remote = self._remote or made
        await self._remote(scope, receive, send)

    def _load(self) -> Remote:
        from busway.push.remote import Remote

        return Remote(self.access, self.data, self.machine, self.entropy, self.url)
