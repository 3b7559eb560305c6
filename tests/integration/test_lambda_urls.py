"""Function URLs over HTTP: httpx as any client, a browser's headers, signed requests, curl where it is installed."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from .whole_server import ACCOUNT, PATIENCE_S, REGION, ROLE, SECRET, WholeServer, arn, whole_server, zipped

SOURCE = """
    import base64
    def handler(event, context):
        what = event["rawPath"]
        if what.endswith("/event"):
            return event
        if what.endswith("/custom"):
            return {"statusCode": 201, "headers": {"Content-Type": "text/plain", "X-N": 1, "Connection": "close",
                    "Access-Control-Allow-Origin": "*"}, "cookies": ["a=1; Path=/", "b=2"], "body": "höllo"}
        if what.endswith("/bytes"):
            return {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(bytes(range(256))).decode()}
        if what.endswith("/text"):
            return "Hello, world!"
        if what.endswith("/split"):
            return {"statusCode": 200, "headers": {"x-a": "1\\r\\nx-b: 2"}, "body": ""}
        if what.endswith("/nonsense"):
            return {"statusCode": "many"}
        if what.endswith("/empty"):
            return {"statusCode": 204}
        if "/status/" in what:
            return {"statusCode": int(what.rpartition("/")[2]), "body": "HTTP/1.1 200 OK"}
        raise RuntimeError("no")
"""
PAGE = {"origin": "https://page.example", "sec-fetch-site": "cross-site"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("urls")) as server:
        functions = server.client("lambda")
        for name in ("open", "signed", "shared"):
            functions.create_function(
                FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Publish=True,
                Code={"ZipFile": zipped(SOURCE)},
            )  # fmt: skip
        yield server


@pytest.fixture(scope="module")
def functions(server: WholeServer) -> Any:
    return server.client("lambda")


@pytest.fixture(scope="module")
def url(functions: Any) -> str:
    return str(functions.create_function_url_config(FunctionName="open", AuthType="NONE")["FunctionUrl"])


def test_a_url_is_made_told_changed_and_removed(functions: Any, server: WholeServer):
    functions.create_alias(FunctionName="shared", Name="live", FunctionVersion="1")
    made = functions.create_function_url_config(FunctionName="shared", Qualifier="live", AuthType="AWS_IAM")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["FunctionUrl"].startswith(f"{server.url}/_lambda_url/")
    assert made["FunctionArn"] == arn("lambda", "function:shared:live")
    cors = {"AllowOrigins": ["https://page.example"], "AllowMethods": ["GET"], "MaxAge": 60}
    functions.update_function_url_config(FunctionName="shared", Qualifier="live", AuthType="NONE", Cors=cors)
    found = functions.get_function_url_config(FunctionName="shared", Qualifier="live")
    assert (found["AuthType"], found["InvokeMode"], found["FunctionUrl"]) == ("NONE", "BUFFERED", made["FunctionUrl"])
    assert found["Cors"] == {**cors, "AllowCredentials": False}
    listed = functions.list_function_url_configs(FunctionName="shared")["FunctionUrlConfigs"]
    assert [one["FunctionArn"] for one in listed] == [made["FunctionArn"]]
    assert json.loads(httpx.get(found["FunctionUrl"] + "event").content)["rawPath"] == "/event"
    with pytest.raises(ClientError, match="FunctionUrlConfig exists for this Lambda function"):
        functions.create_function_url_config(FunctionName="shared", Qualifier="live", AuthType="NONE")
    with pytest.raises(ClientError, match="must satisfy regular expression pattern"):
        functions.create_function_url_config(FunctionName="shared", Qualifier="1", AuthType="NONE")
    functions.delete_function_url_config(FunctionName="shared", Qualifier="live")
    assert httpx.get(found["FunctionUrl"] + "event").status_code == 404
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.get_function_url_config(FunctionName="shared", Qualifier="live")


def test_the_event_is_aws_s(url: str):
    headers = {"cookie": "a=1; b=2", "x-custom": "é".encode(), "content-type": "application/json"}
    event = httpx.post(f"{url}some/path%20x/event?q=1&q=2&r=%C3%A9&s=", content='{"a":1}', headers=headers).json()
    url_id = url.rstrip("/").rpartition("/")[2]
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert event["rawPath"] == "/some/path%20x/event"
    assert event["rawQueryString"] == "q=1&q=2&r=%C3%A9&s="
    assert event["queryStringParameters"] == {"q": "1,2", "r": "é", "s": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"a":1}', False)
    assert event["headers"]["content-type"] == "application/json"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    context = event["requestContext"]
    assert (context["accountId"], context["apiId"], context["stage"]) == ("anonymous", url_id, "$default")
    assert context["http"]["method"] == "POST" and context["http"]["path"] == event["rawPath"]
    assert "authorizer" not in context
    raw = httpx.put(f"{url}event", content=b"\x00\xff", headers={"content-type": "application/octet-stream"}).json()
    assert (raw["body"], raw["isBase64Encoded"]) == (base64.b64encode(b"\x00\xff").decode(), True)
    bare = httpx.get(f"{url}event").json()
    assert not {"body", "cookies", "queryStringParameters"} & set(bare)
    assert httpx.get(url.rstrip("/")).status_code == 502


def test_the_result_is_the_answer(url: str):
    plain = httpx.get(f"{url}text")
    told = (plain.status_code, plain.headers["content-type"], plain.text)
    assert told == (200, "application/json", '"Hello, world!"')
    custom = httpx.get(f"{url}custom")
    assert (custom.status_code, custom.headers["content-type"], custom.text) == (201, "text/plain", "höllo")
    assert custom.headers["x-n"] == "1" and custom.headers["x-amzn-remapped-connection"] == "close"
    assert custom.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
    assert custom.headers["access-control-allow-origin"] == "*"
    assert httpx.get(f"{url}bytes").content == bytes(range(256))
    assert "x-b" not in httpx.get(f"{url}split").headers
    assert (httpx.get(f"{url}empty").status_code, httpx.get(f"{url}empty").content) == (204, b"")
    for path in ("nonsense", "raises"):
        broken = httpx.get(f"{url}{path}")
        assert (broken.status_code, broken.text) == (502, "Internal Server Error")
    head = httpx.head(f"{url}custom")
    assert (head.status_code, head.content) == (201, b"")
    assert httpx.get(url.replace("_lambda_url/", "_lambda_url/x")).status_code == 404


@pytest.mark.parametrize("http2", [False, True])
def test_an_answer_that_may_have_no_body_is_sent_none_and_the_connection_goes_on(url: str, http2: bool):
    with httpx.Client(http1=not http2, http2=http2) as client:
        for status, length in ((204, None), (205, "0"), (304, None)):
            for method in ("GET", "HEAD"):
                answer = client.request(method, f"{url}status/{status}")
                told = "0" if method == "GET" and length else None
                assert (answer.status_code, answer.content) == (status, b"")
                assert answer.headers.get("content-length") == told
        assert client.head(f"{url}status/200").headers["content-length"] == "15"
        assert client.get(f"{url}status/200").text == "HTTP/1.1 200 OK"


def test_who_is_turned_away_by_the_head_need_not_send_the_body(url: str, functions: Any, server: WholeServer):
    """The answer comes while the body is still awaited."""
    signed = functions.create_function_url_config(FunctionName="signed", AuthType="AWS_IAM")["FunctionUrl"]
    address = server.url.removeprefix("http://").split(":")
    for target, length, status in (
        ("/_lambda_url/nosuch/", 6_000_000, b"404"),
        (signed.removeprefix(server.url), 6_000_000, b"403"),
        (url.removeprefix(server.url), 6_291_457, b"413"),
    ):
        with socket.create_connection((address[0], int(address[1])), timeout=PATIENCE_S) as connection:
            head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(12) == b"HTTP/1.1 " + status
    functions.delete_function_url_config(FunctionName="signed")


def test_aws_s_form_of_the_host_works_where_names_below_localhost_do(url: str, server: WholeServer):
    url_id = url.rstrip("/").rpartition("/")[2]
    host = f"{url_id}.lambda-url.{REGION}.localhost:{server.url.rpartition(':')[2]}"
    answer = httpx.get(f"{server.url}/health/event", headers={"host": host})
    assert answer.json()["rawPath"] == "/health/event"
    assert answer.json()["requestContext"]["domainName"] == host.partition(":")[0]
    # A page there has an origin of its own; where all share one it is sandboxed.
    assert "content-security-policy" not in answer.headers
    assert httpx.get(f"{url}event").headers["content-security-policy"].startswith("sandbox")
    stranger = httpx.get(f"{server.url}/event", headers={"host": f"{url_id}.lambda-url.{REGION}.on.evil"})
    assert stranger.status_code == 403


def test_pages_reach_urls_that_are_open_and_nothing_else(url: str, functions: Any, server: WholeServer):
    assert httpx.get(f"{url}event", headers=PAGE).status_code == 200
    for path in ("/health", "/_busway/status", "/2015-03-31/functions/", "/_lambda_url/nosuch/event"):
        assert httpx.get(f"{server.url}{path}", headers=PAGE).status_code == 403
    signed = functions.create_function_url_config(FunctionName="signed", AuthType="AWS_IAM")["FunctionUrl"]
    assert httpx.get(f"{signed}event", headers=PAGE).status_code == 403
    functions.delete_function_url_config(FunctionName="signed")


def test_browsers_are_told_what_the_cors_configuration_allows(functions: Any):
    cors = {
        "AllowCredentials": True, "AllowHeaders": ["x-custom"], "AllowMethods": ["PUT"], "ExposeHeaders": ["x-n"],
        "AllowOrigins": ["https://page.example"], "MaxAge": 60,
    }  # fmt: skip
    made = functions.create_function_url_config(FunctionName="shared", AuthType="AWS_IAM", Cors=cors)
    asked = {**PAGE, "access-control-request-method": "PUT"}
    preflight = httpx.options(made["FunctionUrl"] + "custom", headers=asked)
    assert preflight.status_code == 200
    told = {name: value for name, value in preflight.headers.items() if name.startswith("access-control-")}
    assert told == {
        "access-control-allow-origin": "https://page.example", "access-control-allow-credentials": "true",
        "access-control-allow-methods": "PUT", "access-control-allow-headers": "x-custom",
        "access-control-expose-headers": "x-n", "access-control-max-age": "60",
    }  # fmt: skip
    other = httpx.options(made["FunctionUrl"] + "custom", headers={**asked, "origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
    functions.update_function_url_config(FunctionName="shared", AuthType="NONE")
    answer = httpx.get(made["FunctionUrl"] + "custom", headers=PAGE)
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert answer.headers.get_list("vary") == ["Origin"]
    stranger = httpx.get(made["FunctionUrl"] + "custom", headers={**PAGE, "origin": "https://other.example"})
    assert stranger.status_code == 201 and "access-control-allow-origin" not in stranger.headers
    functions.delete_function_url_config(FunctionName="shared")


def test_a_url_for_signers_takes_only_them(functions: Any):
    target = functions.create_function_url_config(FunctionName="signed", AuthType="AWS_IAM")["FunctionUrl"] + "event"

    def signed(secret: str, service: str) -> httpx.Response:
        credentials = boto3.Session(ACCOUNT, secret, region_name=REGION).get_credentials()
        request = AWSRequest("POST", target, data=b"{}", headers={"content-type": "application/json"})
        SigV4Auth(credentials, service, REGION).add_auth(request)
        return httpx.post(target, content=b"{}", headers=dict(request.headers.items()))

    assert httpx.post(target, content=b"{}").status_code == 403
    assert signed("wrong", "lambda").status_code == 403
    assert signed(SECRET, "sqs").status_code == 403
    answer = signed(SECRET, "lambda")
    assert answer.status_code == 200
    context = answer.json()["requestContext"]
    assert (context["accountId"], context["authorizer"]["iam"]["accessKey"]) == (ACCOUNT, ACCOUNT)
    functions.delete_function_url_config(FunctionName="signed")


def test_a_request_that_is_too_large_or_throttled_is_refused(url: str, functions: Any):
    assert httpx.post(f"{url}event", content=b"x" * 6_291_457).status_code == 413
    functions.put_function_concurrency(FunctionName="open", ReservedConcurrentExecutions=0)
    assert httpx.get(f"{url}event").status_code == 429
    functions.delete_function_concurrency(FunctionName="open")


def test_curl_finds_the_url(url: str):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl: install the package `curl`")
    done = subprocess.run([curl, "-s", "-d", '{"a":1}', f"{url}event"], capture_output=True, check=True, timeout=60)
    assert base64.b64decode(json.loads(done.stdout)["body"]) == b'{"a":1}'
