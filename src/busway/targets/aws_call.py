"""One call to AWS with the server's own credentials, sent once; its answer is an outcome. Repeating is the outbox's.

What the environment says of endpoints is ignored: it may name this very server. The call goes to AWS, or to the
server's `upstream`. botocore blocks, so each call has a thread of its own, which a slow target holds up for no other.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from busway.alert.routes import is_loopback
from busway.arn import Scope
from busway.delivery import Delivered, Failed, Outcome

T = TypeVar("T")

# Ours. Together less than an attempt may take (the outbox's ATTEMPT_S_MAX), so that AWS's answer is what is told.
CONNECT_S, READ_S = 5.0, 30.0
# Ours: clients that are kept, one for each service and Region.
CLIENTS_MAX = 64

NO_KEYS = (
    "no AWS credentials: neither the server's environment (AWS_ACCESS_KEY_ID, …) nor its ~/.aws nor this machine's "
    "role has any"
)
# Such a server is open to everyone who reaches its port, other users of the machine too; its owner's credentials
# must not be.
NOT_IN_DEVELOPMENT = (
    "a server without access keys starts nothing on AWS: set BUSWAY_ACCESS_KEYS, or --upstream URL for what stands "
    "in for AWS"
)

# How AWS says it, by service or by all of them. A status of 5xx or 429 says enough by itself.
_THROTTLED = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded",
        "RequestThrottled", "RequestThrottledException", "SlowDown", "KmsThrottlingException",
    }
)  # fmt: skip
_DENIED = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "KmsAccessDeniedException", "NotAuthorized", "OptInRequired",
        "UnauthorizedOperation",
    }
)  # fmt: skip
# The server's own credentials are at fault, not the target: they may be set right before the event is too old.
_BAD_KEYS = frozenset(
    {
        "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
        "ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed",
        "MissingAuthenticationToken", "MissingAuthenticationTokenException", "IncompleteSignature",
    }
)  # fmt: skip
_MISSING = frozenset(
    {
        "EntityNotFoundException", "ResourceNotFound", "ResourceNotFoundException", "StateMachineDoesNotExist",
        "StateMachineDeleting",
    }
)  # fmt: skip
# Runs end, so what is full now need not be later.
_FULL = frozenset(
    {
        "ConcurrentRunsExceededException", "ExecutionLimitExceeded", "ResourceLimitExceeded",
        "ResourceNumberLimitExceededException",
    }
)  # fmt: skip
_COLLISIONS = frozenset({"ConflictException", "ConcurrentModificationException"})
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class AwsCall:
    """An operation by botocore's names, in the account and Region of `scope`.

    `done` is the error that says it was done before: an earlier attempt, whose answer was lost.
    """

    service: str
    operation: str
    scope: Scope
    members: Mapping[str, Any]
    done: str = ""


# Makes the client of a service, account and Region; called in a thread. What it raises is the call's outcome.
MakeClient = Callable[[str, Scope], Any]


class AwsCalls:
    """Sends calls. `closed` says why nothing may be sent, "" when it may."""

    def __init__(self, make_client: MakeClient, closed: str = "") -> None:
        self._make_client, self._closed = make_client, closed

    async def send(self, call: AwsCall) -> Outcome:
        if self._closed:
            return Failed("NO_PERMISSIONS", self._closed, True)
        return await _in_thread(lambda: self._send(call), f"{call.service}:{call.operation}")

    def _send(self, call: AwsCall) -> Outcome:
        from botocore import exceptions

        try:
            client = self._make_client(call.service, call.scope)
            # botocore ships no types; what it gives is narrowed here.
            botocore: Any = importlib.import_module("botocore")
            getattr(client, botocore.xform_name(call.operation))(**call.members)
        except exceptions.ClientError as error:
            response = cast(dict[str, Any], error.response)
            return _refused(call, response.get("Error", {}), response.get("ResponseMetadata", {}))
        except exceptions.BotoCoreError as error:
            return _unsent(call, error)
        return Delivered()


class Clients:
    """The clients of one server; safe to be asked from many threads."""

    def __init__(self, upstream: str) -> None:
        """`upstream` is the URL that everything goes to, "" for AWS."""
        self._upstream = upstream
        self._session: Any = None
        self._lock = threading.Lock()
        self._made: dict[tuple[str, Scope], Any] = {}

    def __call__(self, service: str, scope: Scope) -> Any:
        with self._lock:
            if (service, scope) not in self._made:
                if len(self._made) >= CLIENTS_MAX:
                    self._made.clear()
                self._made[service, scope] = self._make(service, scope)
            return self._made[service, scope]

    def _make(self, service: str, scope: Scope) -> Any:
        from botocore.config import Config

        if self._session is None:
            self._session = cast(Any, importlib.import_module("botocore.session")).get_session()
            # For the session, so that the calls that fetch credentials ignore them too.
            self._session.set_config_variable("ignore_configured_endpoint_urls", True)
        own: dict[str, Any] = {}
        if self._upstream:
            own["endpoint_url"] = self._upstream
            if self._session.get_credentials() is None:
                # What stands in for AWS asks for no secret, and some take the account from the key.
                own |= {"aws_access_key_id": scope.account or "test", "aws_secret_access_key": "test"}
        once = {"total_max_attempts": 1}
        proxies: dict[str, Any] = {"proxies": {}} if is_loopback(self._upstream) else {}
        config = Config(retries=once, connect_timeout=CONNECT_S, read_timeout=READ_S, **proxies)
        return self._session.create_client(service, region_name=scope.region, config=config, **own)


def _refused(call: AwsCall, said: Mapping[str, Any], about: Mapping[str, Any]) -> Outcome:
    """What an error that AWS answered with means: final, unless time or the server's owner can mend it."""
    code, status = str(said.get("Code", "")), int(about.get("HTTPStatusCode") or 0)
    if call.done and code == call.done:
        return Delivered()
    message = f"{call.service}:{call.operation} answered {code}: {said.get('Message', '')}"
    if code in _THROTTLED or status == _TOO_MANY_REQUESTS:
        return Failed("THROTTLING", message, True)
    if code in _BAD_KEYS:
        return Failed("NO_PERMISSIONS", message, True)
    if code in _FULL:
        return Failed("RESOURCE_LIMIT_EXCEEDED", message, True)
    if code in _COLLISIONS:
        return Failed("RESOURCE_MODIFICATION_COLLISION", message, True)
    if status >= 500:
        return Failed("ERROR_FROM_TARGET", message, True)
    if code in _DENIED or status in (401, 403):
        return Failed("NO_PERMISSIONS", message, False)
    return Failed("NO_RESOURCE" if code in _MISSING else "INVALID_PARAMETER", message, False)


def _unsent(call: AwsCall, error: Exception) -> Failed:
    """What it means that there is no answer."""
    from botocore import exceptions

    message = f"{call.service}:{call.operation}: {error}"
    if isinstance(error, exceptions.ParamValidationError | exceptions.InvalidRegionError):
        return Failed("INVALID_PARAMETER", message, False)
    if isinstance(error, exceptions.NoCredentialsError):
        return Failed("NO_PERMISSIONS", NO_KEYS, True)
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        return Failed("TIMEOUT", message, True)
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return Failed("CONNECTION_FAILURE", message, True)
    # The server's own set-up: a profile that is not there, credentials that cannot be fetched.
    return Failed("SDK_CLIENT_ERROR", message, True)


async def _in_thread(work: Callable[[], T], name: str) -> T:
    """The result of `work`. The thread ends with the process: one that hangs keeps no server from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[Any], None], result: Any) -> None:
        if not done.done():
            settle(result)

    def run() -> None:
        try:
            settle, result = cast(Callable[[Any], None], done.set_result), work()
        except BaseException as error:  # noqa: BLE001, raised where it is awaited, or that would wait for ever
            settle, result = done.set_exception, cast(Any, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, settle, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
