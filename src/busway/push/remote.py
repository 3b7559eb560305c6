"""Git over HTTP: `/git/PROJECT.git`, to push to and to clone from. An ASGI app behind the gate's rule about hosts.

Who may push is told by HTTP Basic, which is what git asks a person for: an access key and its secret, or a key that
is for one project only. Without access keys, on loopback, anybody may. Nothing of a body is read before that.

    GET  …/info/refs?service=git-receive-pack      what there is
    POST …/git-receive-pack                        a push: answered line by line while it is built and deployed
    POST …/git-upload-pack                         a clone or fetch
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from dulwich.protocol import ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import DictBackend, UploadPackHandler

from busway.aws.gateway import AsgiScope, Receive, Send
from busway.clock import Clock, Entropy, first_of
from busway.errors import PushRefused
from busway.function.build.tools import Machine, Tools
from busway.push.access import Access, Caller
from busway.push.build import Builder
from busway.push.deliver import deliver, of_commit
from busway.push.receive import (
    PROGRESS,
    Push,
    advertised,
    band,
    check_current,
    harmless,
    keep_objects,
    move_branch,
    open_repository,
    read_push,
    report,
)
from busway.push.workplace import workplace
from busway.road.connection import Connection
from busway.road.release.release import Project

# Ours: what a push may weigh, how long its sender may say nothing and take in all, and how many are read and built
# at once.
PUSH_BYTES_MAX = 104_857_600
SILENCE_S_MAX = 60.0
SENDING_S_MAX = 900.0
SENDERS_MAX = 8
BUILDS_MAX = 2
_PATH = re.compile(rb"/git/([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?:\.git)?/(info/refs|git-receive-pack|git-upload-pack)")
_SPOOLED_BYTES = 8_388_608

log = logging.getLogger(__name__)


class Remote:
    """See the module."""

    def __init__(self, access: Access, data: Path, machine: Machine, entropy: Entropy, url: str) -> None:
        """`data` is the server's folder, `machine` what builds of functions run on, `url` the server's own."""
        self._access, self._folder, self._clock = access, data / "git", machine.clock
        self._tools = Tools(data / "tools", data / "pushes", machine)
        self._entropy, self._url = entropy, url
        self._busy = set[tuple[str, str]]()
        self._slots, self._senders = asyncio.Semaphore(BUILDS_MAX), asyncio.Semaphore(SENDERS_MAX)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        found = _PATH.fullmatch(scope["raw_path"])
        if found is None:
            await _answer(send, 404, b"text/plain", b"there is no such repository; wanted /git/PROJECT.git\n")
            return
        caller = self._access.admit(headers, found[1].decode())
        if caller is None:
            log.info("refused git for project %r", found[1].decode())
            challenge = ((b"www-authenticate", b'Basic realm="Busway: access key and secret", charset="UTF-8"'),)
            await _answer(send, 401, b"text/plain", b"an access key and its secret are wanted\n", challenge)
            return
        method, what = scope["method"], found[2]
        service = parse_qs(scope["query_string"].decode("latin-1")).get("service", [""])[0]
        if (method, what) == ("GET", b"info/refs") and service in ("git-receive-pack", "git-upload-pack"):
            await self._tell_refs(caller, service, send)
        elif (method, what) == ("POST", b"git-upload-pack"):
            await self._hand_over(caller, headers, receive, send)
        elif (method, what) == ("POST", b"git-receive-pack"):
            await self._receive(caller, headers, receive, send)
        else:
            await _answer(send, 403, b"text/plain", b"git speaks smart HTTP here\n")

    def _repository(self, caller: Caller) -> Repo:
        return open_repository(self._folder / caller.scope.account / f"{caller.project}.git")

    async def _tell_refs(self, caller: Caller, service: str, send: Send) -> None:
        def told() -> bytes:
            repository = self._repository(caller)
            if service == "git-receive-pack":
                return advertised(repository, service.encode())
            return _uploaded(repository, b"", advertise=True)

        await _answer(send, 200, f"application/x-{service}-advertisement".encode(), await asyncio.to_thread(told))

    async def _hand_over(self, caller: Caller, headers: Mapping[bytes, bytes], receive: Receive, send: Send) -> None:
        with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as body:
            if not await self._read(headers, body, receive, send):
                return
            repository = await asyncio.to_thread(self._repository, caller)
            try:
                answer = await asyncio.to_thread(_uploaded, repository, body.read(), advertise=False)
            except Exception as error:  # noqa: BLE001 - whatever dulwich says against what it was asked
                log.info("a fetch of %s was refused: %r", caller.project, error)
                await _answer(send, 400, b"text/plain", b"that is not what a fetch asks\n")
                return
        await _answer(send, 200, b"application/x-git-upload-pack-result", answer)

    async def _receive(self, caller: Caller, headers: Mapping[bytes, bytes], receive: Receive, send: Send) -> None:
        kind = b"application/x-git-receive-pack-result"
        with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as body:
            if not await self._read(headers, body, receive, send):
                return
            if body.read(5) == b"0000":
                # How git asks whether it may send something large.
                await _answer(send, 200, kind, b"")
                return
            body.seek(0)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind), _FRESH]})
            refusal = await self._judged(caller, body, _telling(send, self._clock))
            await first_of(
                self._clock, _done(send({"type": "http.response.body", "body": report(refusal)})), SILENCE_S_MAX
            )

    async def _read(self, headers: Mapping[bytes, bytes], body: IO[bytes], receive: Receive, send: Send) -> bool:
        """The body into a file, from its beginning; False when that was refused."""
        if headers.get(b"content-encoding", b"identity") not in (b"identity", b""):
            await _answer(send, 415, b"text/plain", b"bodies are wanted as they are: git config http.postBuffer\n")
            return False
        async with self._senders:
            size, more, until = 0, True, self._clock.monotonic() + SENDING_S_MAX
            while more:
                patience_s = min(SILENCE_S_MAX, until - self._clock.monotonic())
                message = await first_of(self._clock, receive(), patience_s) if patience_s > 0 else None
                if message is None or message["type"] == "http.disconnect":
                    return False
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if size > PUSH_BYTES_MAX:
                    await _answer(send, 413, b"text/plain", f"more than {PUSH_BYTES_MAX} bytes\n".encode())
                    return False
                body.write(chunk)
        body.seek(0)
        return True

    async def _judged(self, caller: Caller, body: IO[bytes], tell: Tell) -> str:
        """Build and deploy what was pushed; why it was refused, "" when it is live."""
        try:
            with self._alone(caller):
                await self._take(caller, body, tell)
        except PushRefused as refusal:
            await tell(f"error: {refusal}")
            if refusal.hint:
                await tell(f"hint: {refusal.hint}")
            return str(refusal).split("\n", 1)[0][:200]
        except Exception:
            log.exception("a push to %s failed", caller.project)
            await tell("error: a fault of the server's; its log says which")
            return "a fault of the server's"
        return ""

    @contextmanager
    def _alone(self, caller: Caller) -> Any:
        name = (caller.scope.account, caller.project)
        if name in self._busy:
            raise PushRefused(f"another push of {caller.project} is being built", "wait until it is done")
        self._busy.add(name)
        try:
            yield
        finally:
            self._busy.remove(name)

    async def _take(self, caller: Caller, body: IO[bytes], tell: Tell) -> None:
        repository = await asyncio.to_thread(self._repository, caller)
        push = read_push(body)
        await asyncio.to_thread(check_current, repository, push)
        name = f"{caller.scope.account}-{caller.project}"
        cache = self._folder / "caches" / name
        async with _LinesTo(tell) as say, self._slots, workplace(name, cache) as place:
            pack = place.root / "pack"
            await asyncio.to_thread(_copy, body, pack)
            commit = push.new.decode("ascii", "replace")
            builder = Builder(self._tools, place, caller.project, say)
            built = await builder.build(Path(repository.path), pack, commit)
            await self._deliver(of_commit(built, push.new), caller, push, say)
            await asyncio.to_thread(keep_objects, place.repository, Path(repository.path))
        await asyncio.to_thread(move_branch, repository, push)

    async def _deliver(self, project: Project, caller: Caller, push: Push, say: Callable[[str], None]) -> None:
        with self._access.lent(caller.scope, self._entropy) as (key, secret):
            connection = Connection(self._url, key, secret, caller.scope.region)
            await asyncio.to_thread(deliver, project, connection, push.options, _from_thread(say))


def _copy(body: IO[bytes], file: Path) -> None:
    with file.open("wb") as target:
        shutil.copyfileobj(body, target)


Tell = Callable[[str], Awaitable[None]]
_FRESH = (b"cache-control", b"no-cache")


def _telling(send: Send, clock: Clock) -> Tell:
    """Lines that git shows to who pushes, with `remote: ` before them. Who does not read is told no more."""
    gone = False

    async def tell(line: str) -> None:
        nonlocal gone
        if gone:
            return
        told = send(
            {"type": "http.response.body", "body": band(PROGRESS, f"{harmless(line)}\n".encode()), "more_body": True}
        )
        gone = await first_of(clock, _done(told), SILENCE_S_MAX) is None

    return tell


async def _done(sending: Awaitable[None]) -> bool:
    await sending
    return True


class _LinesTo:
    """Lines said without waiting, told one after the other; all are told when it ends."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._queue = tell, asyncio.Queue[str | None]()

    async def __aenter__(self) -> Callable[[str], None]:
        self._task = asyncio.create_task(self._run())
        return self._queue.put_nowait

    async def __aexit__(self, *_: object) -> None:
        self._queue.put_nowait(None)
        await self._task

    async def _run(self) -> None:
        while (line := await self._queue.get()) is not None:
            await self._tell(line)


def _from_thread(say: Callable[[str], None]) -> Callable[[str], None]:
    loop = asyncio.get_running_loop()
    return lambda line: loop.call_soon_threadsafe(say, line) and None


def _uploaded(repository: Any, body: bytes, *, advertise: bool) -> bytes:
    """What git-upload-pack answers."""
    given, answer = BytesIO(body), BytesIO()
    if advertise:
        answer.write(b"001e# service=git-upload-pack\n0000")
    protocol = ReceivableProtocol(given.read, answer.write)
    backend = DictBackend({"/": repository})
    UploadPackHandler(backend, ["/"], protocol, stateless_rpc=True, advertise_refs=advertise).handle()
    return answer.getvalue()


async def _answer(
    send: Send, status: int, kind: bytes, body: bytes, more: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), length, _FRESH, *more]}
    )
    await send({"type": "http.response.body", "body": body})
