"""Calls to AWS: which answers are final, what stands in for credentials, and that a slow one holds up no other."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import exceptions
from botocore.stub import Stubber

from busway.arn import Scope
from busway.delivery import Delivered, Failed, Outcome
from busway.targets.aws_call import CLIENTS_MAX, NO_KEYS, NOT_IN_DEVELOPMENT, AwsCall, AwsCalls, Clients

MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:ship"
SCOPE = Scope("123456789012", "eu-west-1")
CALL = AwsCall(
    "stepfunctions", "StartExecution", SCOPE, {"stateMachineArn": MACHINE}, done="ExecutionAlreadyExists"
)  # fmt: skip


async def answered(code: str, status: int) -> Outcome:
    client = botocore.session.get_session().create_client(
        "stepfunctions", region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    with Stubber(client) as stub:
        stub.add_client_error("start_execution", code, "so it is", status)
        return await AwsCalls(lambda service, scope: client).send(CALL)


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        ("ThrottlingException", 400, "THROTTLING"),
        ("Anything", 429, "THROTTLING"),
        ("ServerException", 500, "ERROR_FROM_TARGET"),
        ("Anything", 503, "ERROR_FROM_TARGET"),
        ("ConcurrentRunsExceededException", 400, "RESOURCE_LIMIT_EXCEEDED"),
        ("ConflictException", 400, "RESOURCE_MODIFICATION_COLLISION"),
        ("ExpiredTokenException", 403, "NO_PERMISSIONS"),
        ("UnrecognizedClientException", 400, "NO_PERMISSIONS"),
    ],
)
async def test_what_time_or_the_owner_of_the_server_mends_is_tried_again(code: str, status: int, word: str):
    failed = await answered(code, status)
    assert failed == Failed(word, f"stepfunctions:StartExecution answered {code}: so it is", True)


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        ("AccessDeniedException", 400, "NO_PERMISSIONS"),
        ("Anything", 403, "NO_PERMISSIONS"),
        ("StateMachineDoesNotExist", 400, "NO_RESOURCE"),
        ("EntityNotFoundException", 400, "NO_RESOURCE"),
        ("ResourceNotFound", 400, "NO_RESOURCE"),
        ("ClientException", 400, "INVALID_PARAMETER"),
        ("ValidationException", 400, "INVALID_PARAMETER"),
    ],
)
async def test_what_stays_as_it_is_is_final(code: str, status: int, word: str):
    failed = await answered(code, status)
    assert failed == Failed(word, f"stepfunctions:StartExecution answered {code}: so it is", False)


async def test_a_start_that_was_made_by_an_earlier_attempt_is_done():
    assert await answered("ExecutionAlreadyExists", 400) == Delivered()


@pytest.mark.parametrize(
    ("error", "code", "retriable"),
    [
        (exceptions.NoCredentialsError(), "NO_PERMISSIONS", True),
        (exceptions.ReadTimeoutError(endpoint_url="u"), "TIMEOUT", True),
        (exceptions.ConnectTimeoutError(endpoint_url="u"), "TIMEOUT", True),
        (exceptions.EndpointConnectionError(endpoint_url="u"), "CONNECTION_FAILURE", True),
        (exceptions.ProfileNotFound(profile="p"), "SDK_CLIENT_ERROR", True),
        (exceptions.InvalidRegionError(region_name="a/b"), "INVALID_PARAMETER", False),
    ],
)
async def test_without_an_answer_only_what_was_asked_wrongly_is_final(error: Exception, code: str, retriable: bool):
    def make(service: str, scope: Scope) -> Any:
        raise error

    failed = await AwsCalls(make).send(CALL)
    assert isinstance(failed, Failed) and (failed.code, failed.retriable) == (code, retriable)
    assert (failed.message == NO_KEYS) == isinstance(error, exceptions.NoCredentialsError)


async def test_a_server_that_is_open_to_everyone_sends_nothing():
    failed = await AwsCalls(lambda service, scope: pytest.fail("asked for a client"), NOT_IN_DEVELOPMENT).send(CALL)
    assert failed == Failed("NO_PERMISSIONS", NOT_IN_DEVELOPMENT, True)


async def test_a_call_that_hangs_holds_up_no_other():
    hanging = threading.Event()

    class Client:
        def __init__(self, hangs: bool) -> None:
            self.hangs = hangs

        def start_execution(self, **members: Any) -> None:
            if self.hangs:
                hanging.wait()

    calls = AwsCalls(lambda service, scope: Client(scope.region == "slow"))
    slow = [
        asyncio.create_task(calls.send(AwsCall("stepfunctions", "StartExecution", Scope("1", "slow"), {})))
        for _ in range(100)
    ]
    try:
        assert await calls.send(CALL) == Delivered()
        assert not any(task.done() for task in slow)
    finally:
        hanging.set()
    assert await asyncio.gather(*slow) == [Delivered()] * 100


# --- clients ---


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No credentials, anywhere."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    return monkeypatch


def test_what_the_environment_says_of_endpoints_is_ignored(nothing_set: pytest.MonkeyPatch):
    nothing_set.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    nothing_set.setenv("AWS_ENDPOINT_URL_SFN", "http://127.0.0.1:4566")
    assert Clients("")("stepfunctions", SCOPE).meta.endpoint_url == "https://states.eu-west-1.amazonaws.com"
    upstream = Clients("http://127.0.0.1:5000")
    assert upstream("stepfunctions", SCOPE).meta.endpoint_url == "http://127.0.0.1:5000"


async def test_without_credentials_aws_is_not_asked_and_what_stands_in_for_it_gets_the_account(
    nothing_set: pytest.MonkeyPatch,
):
    assert await AwsCalls(Clients("")).send(CALL) == Failed("NO_PERMISSIONS", NO_KEYS, True)
    stand_in = Clients("http://127.0.0.1:1")("stepfunctions", SCOPE)
    assert stand_in._request_signer._credentials.access_key == SCOPE.account
    failed = await AwsCalls(Clients("http://127.0.0.1:1")).send(CALL)
    assert isinstance(failed, Failed) and (failed.code, failed.retriable) == ("CONNECTION_FAILURE", True)


def test_clients_are_kept_and_bounded(nothing_set: pytest.MonkeyPatch):
    clients = Clients("")
    clients._make = lambda service, scope: object()  # type: ignore[method-assign]
    first = clients("glue", SCOPE)
    assert clients("glue", SCOPE) is first
    for number in range(CLIENTS_MAX):
        clients("glue", Scope("1", f"r-{number}"))
    assert len(clients._made) <= CLIENTS_MAX


def test_a_region_that_is_no_name_of_a_host_is_refused(nothing_set: pytest.MonkeyPatch):
    with pytest.raises(exceptions.InvalidRegionError):
        Clients("")("stepfunctions", Scope("1", "eu.example.com/"))
