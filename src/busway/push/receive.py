"""A push as git sends it, and what is answered. Pure but for the store that the objects go to.

https://git-scm.com/docs/pack-protocol and https://git-scm.com/docs/protocol-capabilities
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dulwich.errors import NotGitRepository
from dulwich.objects import ObjectID
from dulwich.protocol import pkt_line
from dulwich.refs import Ref
from dulwich.repo import Repo

from busway.engine.embedded.disk import sync_tree
from busway.errors import PushRefused

BRANCH = b"refs/heads/main"
NO_COMMIT = b"0" * 40
CAPABILITIES = b"report-status side-band-64k push-options ofs-delta quiet object-format=sha1 agent=busway"
FLUSH = b"0000"
# https://git-scm.com/docs/gitprotocol-common: 65,520 bytes in a line, four of them its length, one the band.
BAND_BYTES_MAX = 65_515
DATA, PROGRESS = b"\x01", b"\x02"
# Ours: the commands and options of a push; all else is the pack.
LINES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Push:
    """What is asked: the branch's commit, and what was given by `git push -o NAME=VALUE`."""

    old: bytes
    new: bytes
    options: Mapping[str, str] = field(default_factory=dict[str, str])


def open_repository(folder: Path) -> Repo:
    """The project's repository; a new one where there is none."""
    try:
        return Repo(str(folder))
    except NotGitRepository:
        folder.mkdir(parents=True, exist_ok=True)
        repository = Repo.init_bare(str(folder))
        repository.refs.set_symbolic_ref(Ref(b"HEAD"), Ref(BRANCH))
        return repository


def quarantine(folder: Path, repository: Path) -> None:
    """A repository for what is pushed, which sees what the project's has and adds nothing to it."""
    store = Repo.init_bare(str(folder)).object_store
    store.add_alternate_path(str(repository / "objects"))


def keep_objects(folder: Path, repository: Path) -> None:
    """Take what was in quarantine into the project's repository; on the disk when it returns."""
    packs = repository / "objects" / "pack"
    # The index last: by it git finds a pack.
    for file in sorted((folder / "objects" / "pack").glob("pack-*"), key=lambda file: file.suffix == ".idx"):
        coming = packs / f"tmp_{file.name}"
        shutil.copyfile(file, coming)
        coming.rename(packs / file.name)
    sync_tree(packs)


def advertised(repository: Repo, service: bytes) -> bytes:
    """The answer to what git asks first: which refs there are, and what may be asked."""
    refs = sorted(repository.get_refs().items())
    lines = [(sha, name) for name, sha in refs if name != b"HEAD"] or [(NO_COMMIT, b"capabilities^{}")]
    told = [pkt_line(b"# service=" + service + b"\n"), FLUSH]
    for number, (sha, name) in enumerate(lines):
        told.append(pkt_line(sha + b" " + name + (b"\0" + CAPABILITIES if number == 0 else b"") + b"\n"))
    return b"".join([*told, FLUSH])


def read_push(body: IO[bytes]) -> Push:
    """The commands and options, after which the pack begins. Raises PushRefused for what is not to be deployed."""
    commands = list(_lines(body))
    if not commands:
        raise PushRefused("nothing was pushed")
    first, _, asked = commands[0].partition(b"\0")
    options = [line.decode(errors="replace") for line in _lines(body)] if b"push-options" in asked.split() else []
    if len(commands) > 1 or len(first.split()) != 3:
        raise PushRefused("one branch at a time is deployed here", "git push busway HEAD:main")
    old, new, ref = first.split()
    if ref != BRANCH:
        name = ref.decode(errors="replace").removeprefix("refs/heads/")
        raise PushRefused(f"{name} is not deployed here, main is", "git push busway HEAD:main")
    if new == NO_COMMIT:
        raise PushRefused("the branch is what runs, and cannot be deleted")
    return Push(old, new, dict(option.split("=", 1) for option in options if "=" in option))


def _lines(body: IO[bytes]) -> Iterator[bytes]:
    """Until the next flush. Raises PushRefused for what is not git's."""
    for _ in range(LINES_MAX):
        head = body.read(4)
        try:
            size = int(head, 16)
        except ValueError:
            size = -1
        if head == FLUSH:
            return
        if len(head) != 4 or size < 4:
            raise PushRefused(f"the push begins with {head!r}, which is not git's")
        yield body.read(size - 4).rstrip(b"\n")
    raise PushRefused(f"the push has more than {LINES_MAX} lines before its objects")


def check_current(repository: Repo, push: Push) -> None:
    """Raises PushRefused when the branch is not where who pushes believes it to be: nothing is built then."""
    refs = repository.get_refs()
    if refs.get(Ref(BRANCH), NO_COMMIT) != push.old:
        raise PushRefused("main moved meanwhile", "git pull busway main, then push again")


def move_branch(repository: Repo, push: Push) -> None:
    """Raises PushRefused when somebody else moved it meanwhile."""
    old = None if push.old == NO_COMMIT else ObjectID(push.old)
    if old is None:
        moved = repository.refs.add_if_new(Ref(BRANCH), ObjectID(push.new))
    else:
        moved = repository.refs.set_if_equals(Ref(BRANCH), old, ObjectID(push.new))
    if not moved:
        raise PushRefused("main moved meanwhile", "git pull busway main, then push again")


def harmless(text: str) -> str:
    """A line for a terminal of somebody else's: control characters are shown, not obeyed."""
    return "".join(one if one.isprintable() or one == "\t" else repr(one)[1:-1] for one in text)


def band(channel: bytes, data: bytes) -> bytes:
    """Data on a channel, in as many lines as it takes."""
    parts = [data[place : place + BAND_BYTES_MAX] for place in range(0, len(data), BAND_BYTES_MAX)]
    return b"".join(pkt_line(channel + part) for part in parts)


def report(refusal: str) -> bytes:
    """The end of the answer: whether the branch moved, "" for yes."""
    verdict = b"ng " + BRANCH + b" " + harmless(refusal).encode() + b"\n" if refusal else b"ok " + BRANCH + b"\n"
    status = pkt_line(b"unpack ok\n") + pkt_line(verdict) + FLUSH
    return band(DATA, status) + FLUSH
