from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from busway.aws.doors import Visit
from busway.aws.url_event import Place, answer_of, event_of

PLACE = Place("abc", "abc.lambda-url.us-east-1.localhost", "/a/b", ("AKIA", "123456789012"))


def event(method: str = "GET", query: bytes = b"", body: bytes = b"", **headers: str) -> dict[str, Any]:
    lower = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    visit = Visit(method, "http", b"/x", query, lower, body, "r-1", "127.0.0.1")
    return json.loads(event_of(visit, PLACE, 1_583_348_638.39))


def test_an_event_has_the_members_of_payload_format_2():
    found = event(
        "POST", b"a=1&a=2&b=x%20y", b'{"n":1}', content_type="application/json", user_agent="u", cookie="c=1"
    )
    assert found == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a/b",
        "rawQueryString": "a=1&a=2&b=x%20y",
        "cookies": ["c=1"],
        "headers": {
            "content-type": "application/json", "user-agent": "u", "cookie": "c=1", "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"a": "1,2", "b": "x y"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "authorizer": {"iam": {
                "accessKey": "AKIA", "accountId": "123456789012", "callerId": "AKIA", "cognitoIdentity": None,
                "principalOrgId": None, "userArn": "arn:aws:iam::123456789012:root", "userId": "AKIA",
            }},
            "domainName": "abc.lambda-url.us-east-1.localhost",
            "domainPrefix": "abc",
            "http": {
                "method": "POST", "path": "/a/b", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "u",
            },
            "requestId": "r-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "body": '{"n":1}',
        "isBase64Encoded": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"),
    [("text/csv; charset=utf-8", True), ("application/problem+json", True), ("", True), ("image/png", False),
     ("application/x-www-form-urlencoded", False)],
)  # fmt: skip
def test_text_goes_as_it_is_and_all_else_in_base64(kind: str, text: bool):
    found = event("POST", body="é".encode(), **({"content_type": kind} if kind else {}))
    assert (found["body"], found["isBase64Encoded"]) == (("é", False) if text else ("w6k=", True))
    packed = event("POST", body=b"{}", content_type="application/json", content_encoding="gzip")
    assert packed["isBase64Encoded"]


def test_a_result_without_a_status_is_the_body():
    for result in (b'"Hello, world!"', b'{"message": 1}', b"null", b"[1]"):
        reply = answer_of(result)
        assert reply is not None
        assert (reply.status, reply.body, reply.content_type, reply.headers) == (200, result, b"application/json", [])


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "many"}, {"statusCode": 99}, {"statusCode": 600}, {"statusCode": None}, {"statusCode": 101},
        {"statusCode": 200, "headers": {"a b": "1"}}, {"statusCode": 200, "headers": {"": "1"}},
        {"statusCode": 200, "headers": {"a": [1]}}, {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
    ],
)  # fmt: skip
def test_a_result_that_makes_no_sense_is_no_answer(result: dict[str, Any]):
    assert answer_of(json.dumps(result).encode()) is None


def test_a_header_can_not_end_itself_nor_speak_for_the_connection():
    said = {"X-A": "1\r\nx-b: 2", "Transfer-Encoding": "chunked", "x-n": 1, "x-t": True}
    reply = answer_of(json.dumps({"statusCode": "201", "headers": said, "cookies": ["a=1\r\nb: 2"]}).encode())
    assert reply is not None and reply.status == 201
    assert reply.headers == [
        (b"x-a", b"1  x-b: 2"), (b"x-amzn-remapped-transfer-encoding", b"chunked"), (b"x-n", b"1"), (b"x-t", b"true"),
        (b"set-cookie", b"a=1  b: 2"),
    ]  # fmt: skip


values = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=10)
names = st.sampled_from(["statusCode", "headers", "cookies", "body", "isBase64Encoded", "x"])


@given(st.dictionaries(names, values | st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=5), values)))
def test_whatever_a_function_returns_is_an_answer_or_none(result: dict[str, Any]):
    reply = answer_of(msgspec.json.encode(result))
    if reply is not None:
        assert 200 <= reply.status <= 599
        assert not any(b"\n" in part or b"\r" in part for pair in reply.headers for part in pair)


@given(st.binary(max_size=50), st.binary(max_size=30), st.sampled_from(["", "text/plain", "x/y"]))
def test_whatever_arrives_is_an_event(body: bytes, query: bytes, kind: str):
    found = event("PUT", query, body, **({"content_type": kind} if kind else {}))
    assert ("body" in found) == bool(body)
