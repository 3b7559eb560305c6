"""Doors beside the services: who is turned away by a request's head alone, and what unverified bodies may hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from busway.aws.bodies import KNOWN_KEY_TIMES
from busway.aws.doors import Permission, Visit
from busway.aws.errors import AwsError
from busway.aws.gate import AccessKey, Keys
from busway.aws.protocols import Reply
from busway.aws.signature import sign

HOST = (b"host", b"localhost:4566")
WORKER, FUNCTION = "ASIAWORKER", "arn:aws:lambda:eu-west-1:000000000000:function:f"
KEYS = {"AKIDEXAMPLE": AccessKey("wJalrXUtnFEMI"), WORKER: AccessKey("wJalrXUtnFEMI", token="t", worker=FUNCTION)}


class Toy:
    """/door/open takes anybody, /door/signed who may invoke a URL, /door/shut who may do what no worker may."""

    body_max = 1000

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.hold: asyncio.Event | None = None
        self.reply = Reply(200, b"ok", b"text/plain")

    def takes(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        return path.startswith(b"/door/")

    def open_to_pages(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        return False

    def admit(self, visit: Visit) -> Permission | None:
        if visit.path == b"/door/none":
            raise AwsError("ResourceNotFoundException", "There is no such door.", 404)
        named = {b"/door/signed": "InvokeFunctionUrl", b"/door/shut": "DeleteFunction"}.get(visit.path)
        return Permission("lambda", named) if named else None

    async def answer(self, visit: Visit) -> Reply:
        self.visits.append(visit)
        if self.hold is not None:
            await self.hold.wait()
        return self.reply


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def house(make_door: Callable[..., Any], toy: Toy) -> Any:
    return make_door(Keys(KEYS), doors=[toy], open_bytes_max=100)


class Unread:
    """A request whose body nobody may read, and its answer."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        raise AssertionError("the body was read")

    async def send(self, message: Any) -> None:
        self.sent.append(message)


async def refused_unread(house: Any, path: str, headers: dict[str, str]) -> int:
    unread = Unread()
    pairs = [
        (name.lower().encode(), value.encode()) for name, value in ({"host": "localhost:4566"} | headers).items()
    ]
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": path, "raw_path": path.encode()}
    await house.gateway({**scope, "query_string": b"", "headers": pairs}, unread.receive, unread.send)
    return int(unread.sent[0]["status"])


def signed(house: Any, path: str, service: str = "lambda", **changed: str) -> dict[str, str]:
    """Headers of a request that announces ten bytes, some of them changed after it was signed."""
    url = f"http://localhost:4566{path}"
    now = house.clock.now()
    found = sign("POST", url, {}, b"0123456789", "AKIDEXAMPLE", "wJalrXUtnFEMI", "eu-west-1", service, now)
    return {name.lower(): value for name, value in found.items()} | {"content-length": "10"} | changed


async def test_who_is_turned_away_by_the_head_sends_no_body(house: Any):
    assert await refused_unread(house, "/door/none", {"content-length": "10"}) == 404
    assert await refused_unread(house, "/door/open", {"content-length": "1001"}) == 413
    for changed in (
        {"authorization": ""}, {"authorization": "AWS4-HMAC-SHA256 x"}, {"x-amz-date": "20200101T000000Z"},
        {"x-amz-security-token": "another"}, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
    ):  # fmt: skip
        assert await refused_unread(house, "/door/signed", signed(house, "/door/signed", **changed)) == 403
    unknown = signed(house, "/door/signed")
    unknown["authorization"] = unknown["authorization"].replace("AKIDEXAMPLE", "AKIDNOBODY")
    assert await refused_unread(house, "/door/signed", unknown) == 403
    assert await refused_unread(house, "/door/signed", signed(house, "/door/signed", "sqs")) == 403
    large = signed(house, "/door/signed", **{"content-length": "1001"})
    assert await refused_unread(house, "/door/signed", large) == 413


async def test_a_body_is_verified_once_it_is_there(house: Any, toy: Toy):
    assert (await house.ask(path="/door/signed", service="lambda")).status == 200
    assert (toy.visits[0].body, toy.visits[0].identity.access_key) == (b"{}", "AKIDEXAMPLE")
    pairs = [(name.encode(), value.encode()) for name, value in signed(house, "/door/signed").items()]
    answer = await house.send("POST", "/door/signed", b"9876543210", pairs)
    assert (answer.status, len(toy.visits)) == (403, 1)
    assert (await house.send("POST", "/door/signed", b"0123456789", pairs)).status == 200


async def test_a_worker_invokes_urls_by_the_table_and_nothing_beyond_it(house: Any, toy: Toy):
    async def ask(path: str) -> Any:
        now = house.clock.now()
        url = f"http://localhost:4566{path}"
        found = sign("POST", url, {}, b"", WORKER, "wJalrXUtnFEMI", "eu-west-1", "lambda", now, token="t")
        pairs = [(name.lower().encode(), value.encode()) for name, value in found.items()]
        return await house.send("POST", path, b"", pairs)

    assert (await ask("/door/signed")).status == 200
    refused = await ask("/door/shut")
    assert (refused.status, refused.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert "not authorized to perform: lambda:DeleteFunction" in refused.body.decode()
    assert len(toy.visits) == 1


async def test_bodies_of_callers_without_a_key_have_a_room_and_no_more(house: Any, toy: Toy):
    """As long as they are under way: what was answered takes no room."""
    toy.hold = asyncio.Event()
    first = asyncio.create_task(house.send("POST", "/door/open", b"x" * 60, [HOST]))
    while not toy.visits:
        await asyncio.sleep(0)
    for chunks in (1, 5):
        crowded = await house.send("POST", "/door/open", b"x" * 41, [HOST], chunks=chunks)
        assert (crowded.status, crowded.headers["retry-after"]) == (503, "1")
        assert crowded.json["__type"] == "ServiceUnavailable"
    second = asyncio.create_task(house.send("POST", "/door/open", b"x" * 40, [HOST]))
    while len(toy.visits) < 2:
        await asyncio.sleep(0)
    toy.hold.set()
    assert [(await task).status for task in (first, second)] == [200, 200]
    assert (await house.send("POST", "/door/open", b"x" * 100, [HOST])).status == 200


async def test_who_has_a_key_is_not_crowded_out_and_takes_no_room_once_verified(house: Any, toy: Toy):
    toy.hold = asyncio.Event()
    size = 100 * KNOWN_KEY_TIMES
    waiting = [
        asyncio.create_task(house.ask(path="/door/signed", body=b"x" * size, service="lambda")),
        asyncio.create_task(house.send("POST", "/door/open", b"x" * 100, [HOST])),
        asyncio.create_task(house.ask(path="/door/signed", body=b"x" * size, service="lambda")),
    ]
    while len(toy.visits) < 3:
        await asyncio.sleep(0)
    toy.hold.set()
    assert [(await task).status for task in waiting] == [200, 200, 200]
    crowded = await house.ask(path="/door/signed", body=b"x" * (size + 1), service="lambda")
    assert crowded.status == 503
    crowded = await house.json("AWSEvents.PutEvents", b"x" * (size + 1))
    assert (crowded.status, crowded.headers["retry-after"]) == (503, "1")


async def test_a_client_that_leaves_or_is_refused_gives_its_room_back(house: Any, toy: Toy):
    toy.reply = Reply(500, b"", b"text/plain")
    for body in (b"x" * 100, b"x" * 1001, b"x" * 100, b"x" * 2000):
        await house.send("POST", "/door/open", body, [HOST], chunks=7)
    gone = [{"type": "http.request", "body": b"x" * 90, "more_body": True}, {"type": "http.disconnect"}]
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/door/open", "raw_path": b"/door/open"}
    unread = Unread()

    async def receive() -> Any:
        return gone.pop(0)

    await house.gateway({**scope, "query_string": b"", "headers": [HOST]}, receive, unread.send)
    assert unread.sent == []
    assert (await house.send("POST", "/door/open", b"x" * 100, [HOST])).status == 500


@pytest.mark.parametrize(
    ("status", "method", "length", "body"),
    [
        (200, "GET", "2", b"ok"), (200, "HEAD", "2", b""), (404, "HEAD", "2", b""),
        (204, "GET", None, b""), (304, "GET", None, b""), (205, "GET", "0", b""),
        (204, "HEAD", None, b""), (304, "HEAD", None, b""),
    ],
)  # fmt: skip
async def test_an_answer_that_has_no_body_is_sent_none(
    house: Any, toy: Toy, status: int, method: str, length: str | None, body: bytes
):
    toy.reply = Reply(status, b"ok", b"text/plain")
    answer = await house.send(method, "/door/open", b"", [HOST])
    assert (answer.status, answer.headers.get("content-length"), answer.body) == (status, length, body)


async def test_nothing_is_said_to_head_of_a_length_that_is_not_known(house: Any, toy: Toy):
    toy.reply = Reply(200, b"", b"text/plain")
    assert "content-length" not in (await house.send("HEAD", "/door/open", b"", [HOST])).headers
    assert (await house.send("GET", "/door/open", b"", [HOST])).headers["content-length"] == "0"
