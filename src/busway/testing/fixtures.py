"""The fixtures themselves: events, caught mail, a bus of the test's own."""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

import pytest

if TYPE_CHECKING:
    from busway.event import Event
    from busway.road.project import Project
    from busway.testing.local_bus import LocalBus

E = TypeVar("E", bound="Event")


@pytest.fixture(autouse=True)
def nothing_done_before() -> None:
    """Each test begins with no step of `once` done."""
    if "busway.idempotent" in sys.modules:
        sys.modules["busway.idempotent"].forget()


class MakeEvent(Protocol):
    """Makes events as a handler gets them; the `event` fixture."""

    def __call__(self, event_class: type[E], sample: str = "sample.json", /, **fields: Any) -> E:
        """A typed event from the sample file beside the test, or made from the class when there is none.

        `fields` replace members of the detail, by name or alias; `envelope` replaces members around it.
        """
        ...


@pytest.fixture
def event(request: pytest.FixtureRequest) -> MakeEvent:
    """Makes typed events from the sample beside the test."""
    folder = Path(request.path).parent

    def make(event_class: type[E], sample: str = "sample.json", /, **fields: Any) -> E:
        file = folder / sample
        if not file.exists():
            if sample != "sample.json":
                raise FileNotFoundError(f"{file}: no such sample")
            return event_class.sample(**fields)
        raw = json.loads(file.read_text(encoding="utf-8"))
        if (raw.get("source"), raw.get("detail-type")) != (event_class.event_source, event_class.event_detail_type):
            return event_class.sample(**fields)
        around = {**raw, **fields.pop("envelope", {})}
        detail = cast(dict[str, Any], around.pop("detail", {}))
        return event_class.sample(
            envelope=around, **{**_by_name(event_class, detail), **_by_name(event_class, fields)}
        )

    return make


def _by_name(event_class: type[Event], detail: Mapping[str, Any]) -> dict[str, Any]:
    """Members under their Python names, so that a field's name and its alias are the same member."""
    from busway.event import names_by_wire

    names = names_by_wire(event_class)
    return {names.get(name, name): value for name, value in detail.items()}


@dataclass(frozen=True, slots=True)
class Mail:
    """An email as the handler asked SES to send it."""

    sender: str
    to: list[str]
    subject: str
    text: str
    html: str
    request: Mapping[str, Any]


class SentMail(Sequence[Mail]):
    """What the code under test sent through SES (`sesv2` SendEmail), oldest first; the `sent_mail` fixture."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []
        self.refusal: tuple[str, str] | None = None

    def refuse(self, code: str = "MessageRejected", reason: str = "Email address is not verified.") -> None:
        """From now on answer every SendEmail with this error."""
        self.refusal = (code, reason)

    def accept(self) -> None:
        """Take emails again after `refuse`."""
        self.refusal = None

    def clear(self) -> None:
        self._mails.clear()
        self.refusal = None

    def record(self, request: Mapping[str, Any]) -> None:
        content = request.get("Content", {}).get("Simple", {})
        body = content.get("Body", {})
        destination = request.get("Destination", {})
        self._mails.append(
            Mail(
                sender=request.get("FromEmailAddress", ""),
                to=list(destination.get("ToAddresses", [])),
                subject=content.get("Subject", {}).get("Data", ""),
                text=body.get("Text", {}).get("Data", ""),
                html=body.get("Html", {}).get("Data", ""),
                request=request,
            )
        )

    def __len__(self) -> int:
        return len(self._mails)

    @overload
    def __getitem__(self, index: int) -> Mail: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mail]: ...
    def __getitem__(self, index: int | slice) -> Mail | Sequence[Mail]:
        if isinstance(index, int) and not -len(self) <= index < len(self):
            raise IndexError(f"mail {index} was asked for; {len(self)} were sent")
        return self._mails[index]


@pytest.fixture(scope="session")
def mail_endpoint() -> Iterator[tuple[SentMail, str]]:
    """One endpoint for the whole run: a client that a handler keeps stays good from test to test."""
    outbox = SentMail()

    class Ses(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer, code = _answer(outbox, self.path, body)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            if code:
                self.send_header("x-amzn-ErrorType", code)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are the test's to show."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ses)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    try:
        yield outbox, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _answer(outbox: SentMail, path: str, body: bytes) -> tuple[int, dict[str, str], str]:
    """(status, body, error code or "") for one request."""
    if path != "/v2/email/outbound-emails":
        return 404, {"message": f"only SendEmail is answered in tests, not {path}"}, "NotFoundException"
    if outbox.refusal:
        code, reason = outbox.refusal
        return 400, {"message": reason}, code
    outbox.record(json.loads(body))
    return 200, {"MessageId": f"test-mail-{len(outbox)}"}, ""


@pytest.fixture
def sent_mail(mail_endpoint: tuple[SentMail, str], monkeypatch: pytest.MonkeyPatch) -> SentMail:
    """Catches the emails that the code under test sends with an SDK's `sesv2` client."""
    outbox, endpoint = mail_endpoint
    outbox.clear()
    for name, value in {
        "AWS_ENDPOINT_URL_SESV2": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return outbox


@functools.cache
def _project(root: Path) -> Project:
    """What a project has, read once in a run: its modules are those that the tests have imported."""
    from busway.road.project import load_project

    return load_project(root, fresh=False)


@pytest.fixture
def bus(request: pytest.FixtureRequest) -> Iterator[LocalBus]:
    """A bus in memory. Beside a handler it has that one, in `rules/` the rules; elsewhere in the project all."""
    from busway.errors import ProjectNotFound
    from busway.road.root import find_root
    from busway.road.rules import FOLDER, read_rules
    from busway.testing.local_bus import LocalBus

    try:
        project = _project(find_root(Path(request.path).parent))
        bus_name, folder = project.manifest.bus, Path(request.path).parent
        beside = folder.name if folder.parent == project.root / "handlers" else None
        handlers = {name: one for name, one in project.handlers.items() if beside in (None, name)}
        rules = [] if beside else read_rules(project.root)
        if folder == project.root / FOLDER:
            handlers = {}
    except ProjectNotFound:
        bus_name, handlers, rules = "default", {}, []
    made = LocalBus(bus_name)
    try:
        for name, handler in handlers.items():
            made.add(handler, name)
        for entry in rules:
            made.add_rule(entry.name, entry.rule)
        yield made
    finally:
        made.close()
