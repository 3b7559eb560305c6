"""Who may speak: on every route, before anything is parsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from busway.aws.gate import AccessKey, Keys, account_of, parse_access_keys
from busway.aws.service import Slow

# The secret with which the fixtures' doors sign.
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI"
TARGET = {"X-Amz-Target": "AWSEvents.PutRule"}
ROUTES = [
    ("POST", "/", TARGET),
    ("POST", "/", {"X-Amz-Target": "AWSEvents.PutEvents"}),
    ("POST", "/", {"X-Amz-Target": "Nobody.Knows"}),
    ("POST", "/", {"Content-Type": "application/x-www-form-urlencoded"}),
    ("POST", "/service/AWSEventsV2/operation/X", {"smithy-protocol": "rpc-v2-cbor"}),
    ("GET", "/2015-03-31/functions/", {}),
    ("POST", "/2015-03-31/functions/f/invocations", {}),
    ("GET", "/unknown", {}),
    ("GET", "/_busway/status", {}),
    ("POST", "/_busway/redrive", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), ROUTES)
@pytest.mark.parametrize("verified", [False, True])
async def test_no_route_answers_without_a_signature(
    make_door: Callable[..., Any], method: str, path: str, headers: dict[str, str], verified: bool
):
    door = make_door(Keys({KEY: AccessKey(SECRET)}) if verified else None)
    answer = await door.ask(method, path, headers=headers, service=None)
    assert answer.status == 403
    assert b"MissingAuthenticationToken" in answer.body
    assert not door.events.asked and not door.functions.asked and not door.owned


@pytest.mark.parametrize(("method", "path", "headers"), ROUTES)
async def test_no_route_answers_to_a_wrong_secret_when_keys_are_configured(
    make_door: Callable[..., Any], method: str, path: str, headers: dict[str, str]
):
    door = make_door(Keys({KEY: AccessKey("another")}))
    answer = await door.ask(method, path, headers=headers)
    assert answer.status == 403
    assert b"InvalidSignatureException" in answer.body or b"SignatureDoesNotMatch" in answer.body
    assert not door.events.asked and not door.functions.asked and not door.owned


async def test_nothing_is_parsed_or_unpacked_before_the_signature_is_verified(make_door: Callable[..., Any]):
    door = make_door(Keys({KEY: AccessKey("another")}))

    async def tripwire(body: bytes, caller: object) -> bytes:
        raise Slow

    door.events.raw["PutEvents"] = tripwire
    for body, headers in ((b"{{{", {}), (b"no gzip", {"Content-Encoding": "gzip"}), (b"[" * 100_000, {})):
        answer = await door.ask(body=body, headers={"X-Amz-Target": "AWSEvents.PutEvents"} | headers)
        assert answer.json["__type"] == "InvalidSignatureException"


async def test_a_right_signature_is_admitted_with_its_account_and_region(make_door: Callable[..., Any]):
    door = make_door(Keys({KEY: AccessKey(SECRET, "123456789012")}))
    answer = await door.json("AWSEvents.PutRule", {"Name": "r"})
    assert answer.json == {"RuleArn": "arn:aws:events:eu-west-1:123456789012:rule/r"}


async def test_without_keys_any_signature_is_taken_and_a_key_of_twelve_digits_is_the_account(door: Any):
    for key, account in (("AKIDEXAMPLE", "000000000000"), ("123456789012", "123456789012")):
        answer = await door.json("AWSEvents.PutRule", {"Name": "r"}, key=key)
        assert answer.json == {"RuleArn": f"arn:aws:events:eu-west-1:{account}:rule/r"}


async def test_a_signature_for_one_service_does_not_open_another(door: Any):
    answer = await door.json("AWSEvents.PutRule", {"Name": "r"}, service="sqs")
    assert answer.status == 403
    assert answer.json["message"] == "Credential should be scoped to correct service: 'events'."


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:4566", "127.0.0.1:9", "[::1]:4566", "[::1]", "LOCALHOST", "sqs.eu-west-1.localhost:1",
        "stream-localhost:4566", "streaming-127.0.0.1:9", "stream-[::1]:9", "stream-logs.localhost",
    ],
)  # fmt: skip
async def test_the_names_of_this_machine_are_answered(door: Any, host: str):
    answer = await door.json("AWSEvents.PutRule", {"Name": "r"}, headers={"Host": host})
    assert answer.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4566", "", "evil.example:4566",
        "localhost:x", "stream-localhost.evil.example", "stream-stream-localhost", "other-localhost",
    ],
)  # fmt: skip
async def test_a_host_that_is_not_ours_is_refused(door: Any, host: str):
    pairs = [(b"host", host.encode())] if host else []
    answer = await door.send("GET", "/health", b"", pairs)
    assert answer.status == 403
    assert "BUSWAY_ALLOWED_HOSTS" in answer.json["message"]


async def test_configured_hosts_are_answered(make_door: Callable[..., Any]):
    door = make_door(hosts=("bus.example.com", "*.corp.example"))
    statuses = [
        (await door.send("GET", "/health", b"", [(b"host", host)])).status
        for host in (
            b"bus.example.com:80", b"a.corp.example", b"corp.example", b"x.bus.example.com",
            # Anybody's, where many have names beside it.
            b"stream-bus.example.com",
        )
    ]  # fmt: skip
    assert statuses == [200, 200, 403, 403, 403]


@pytest.mark.parametrize(
    "header", [(b"origin", b"https://evil.example"), (b"origin", b"null"), (b"sec-fetch-site", b"cross-site")]
)
@pytest.mark.parametrize("path", ["/health", "/_busway/redrive", "/"])
async def test_a_web_page_is_refused_on_every_route(door: Any, header: tuple[bytes, bytes], path: str):
    answer = await door.send("POST", path, b"{}", [(b"host", b"localhost"), header])
    assert answer.status == 403
    assert "web pages" in answer.json["message"]
    assert "access-control-allow-origin" not in answer.headers


async def test_health_is_open_on_loopback_and_closed_beyond(make_door: Callable[..., Any]):
    asked = [(b"host", b"localhost")]
    assert (await make_door().send("GET", "/health", b"", asked)).body == b"own"
    beyond = make_door(open_paths=())
    assert (await beyond.send("GET", "/health", b"", asked)).status == 403
    signed = await beyond.ask("GET", "/health", b"")
    assert signed.body == b"own"


@pytest.mark.parametrize("name", ["Authorization", "Host", "X-Amz-Target", "Content-Type"])
async def test_a_header_that_decides_may_not_come_twice(door: Any, name: str):
    answer = await door.ask(headers=TARGET, body=b'{"Name":"r"}')
    assert answer.status == 200
    pairs = [(b"host", b"localhost"), (name.lower().encode(), b"a"), (name.lower().encode(), b"b")]
    answer = await door.send("POST", "/", b"{}", pairs)
    assert (answer.status, answer.json["__type"]) == (400, "BadRequest")


def test_access_keys_are_read_from_the_setting():
    keys = parse_access_keys(" AKID:se:cret , 123456789012:x,")
    assert keys == {"AKID": AccessKey("se:cret"), "123456789012": AccessKey("x", "123456789012")}
    assert account_of("12345678901x") == "000000000000"


@pytest.mark.parametrize("text", ["AKID", "AKID:", ":secret", "a/b:secret", "é:secret"])
def test_a_faulty_access_key_is_told_by_its_place_without_the_secret(text: str):
    with pytest.raises(ValueError, match="access key 2") as fault:
        parse_access_keys(f"good:one,{text}")
    assert "secret" not in str(fault.value)
