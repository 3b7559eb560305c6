"""The deployments of a project, as the server keeps them, and the one that is being made."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from busway.road.connection import Connection
from busway.road.manifest import Manifest

State = Literal["running", "live", "failed"]


class Released(msgspec.Struct, frozen=True):
    """Which version of a handler's function takes its events, and AWS's CodeSha256 of its code."""

    version: str
    sha256: str


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What was deployed: the manifest (without its events), and the version of each handler.

    `commit` is git's, "" where there is none. `again` is the number of the one that a rollback went back to.
    """

    number: int
    state: State
    by: str
    begun_at: float = 0.0
    manifest: Manifest
    released: dict[str, Released] = {}
    commit: str = ""
    again: int = 0
    error: str = ""


class _Body(msgspec.Struct):
    """What of a deployment only its makers read."""

    manifest: Manifest
    released: dict[str, Released] = {}
    commit: str = ""
    again: int = 0
    error: str = ""


class _Kept(msgspec.Struct):
    number: int
    state: State
    by: str
    begun_at: float
    body: _Body


class _Answer(msgspec.Struct):
    deployments: list[_Kept]


@dataclass(frozen=True, slots=True)
class History:
    """Newest first."""

    deployments: list[Deployment] = field(default_factory=list[Deployment])

    @property
    def live(self) -> Deployment | None:
        """What runs."""
        return next((one for one in self.deployments if one.state == "live"), None)

    @property
    def before(self) -> Deployment | None:
        """What a rollback goes back to: the newest that ran before what runs, and is not the same."""
        live = self.live
        if live is None:
            return None
        ran = [one for one in self.deployments if one.state == "live" and one.number < live.number]
        # After a rollback to 3, what was before is what was before 3.
        return next((one for one in ran if not live.again or (one.again or one.number) < live.again), None)

    @property
    def unfinished(self) -> list[Deployment]:
        """What was begun after what runs, and did not get to its end: any of it may be there."""
        number = self.live.number if self.live else 0
        return [one for one in self.deployments if one.number > number]

    @property
    def next_number(self) -> int:
        return self.deployments[0].number + 1 if self.deployments else 1


def read_history(connection: Connection, project: str) -> History:
    """Raises ServerUnreachable, ServerRefused."""
    found = connection.get(f"/_busway/deployments/{project}")
    answer = msgspec.convert(found, _Answer)
    return History([_deployment(one) for one in answer.deployments])


def _deployment(kept: _Kept) -> Deployment:
    body = kept.body
    return Deployment(
        number=kept.number, state=kept.state, by=kept.by, begun_at=kept.begun_at, manifest=body.manifest,
        released=body.released, commit=body.commit, again=body.again, error=body.error,
    )  # fmt: skip


class Journal:
    """Writes down the deployment that is being made, as it goes on."""

    def __init__(self, connection: Connection, deployment: Deployment, takes_over: str = "") -> None:
        self._connection, self.deployment, self._takes_over = connection, deployment, takes_over

    def write(self, **changes: Any) -> None:
        """Raises ServerRefused where somebody else deploys the project."""
        self.deployment = msgspec.structs.replace(self.deployment, **changes)
        made = self.deployment
        manifest = msgspec.structs.replace(made.manifest, events=[])
        body = _Body(manifest, made.released, made.commit, made.again, made.error)
        about = {"number": made.number, "state": made.state, "by": made.by, "body": body}
        over = {"takes_over": self._takes_over} if self._takes_over else {}
        self._connection.put(f"/_busway/deployments/{made.manifest.project}", {**about, **over})
        self._takes_over = ""


def maker() -> str:
    """Who deploys: a person on a machine, and the process, by which it is known to be gone."""
    return f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid()}"


def is_gone(by: str) -> bool:
    """Whether a maker is known to have ended: it was a process of this machine, and is none any more."""
    place, _, number = by.rpartition(":")
    if place != maker().rpartition(":")[0] or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
