"""The way to AWS: calls through botocore, and errors that say exactly what is missing and where it goes."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from busway.errors import AwsRefused, AwsUnusable
from busway.road.root import AwsSettings

_UNKNOWN_KEY = frozenset(
    (
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    )
)
_EXPIRED = frozenset(("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"))
_DENIED = frozenset(("403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"))
_WHERE = (
    "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…, or AWS_PROFILE=… of a profile that `aws configure` or "
    "`aws configure sso` made; in CI, a role for its OIDC token: docs/aws.md"
)
_SIGN_IN = "`aws sso login`, or new keys in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"


# What services say of what is not there.
NOT_THERE = frozenset(("ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"))


@dataclass(slots=True)
class Aws:
    """AWS in one region, as the caller sees it. `client_of` makes a client of a service."""

    region: str
    client_of: Callable[[str], Any]
    _clients: dict[str, Any] = field(default_factory=dict[str, Any])
    _caller: dict[str, Any] | None = None

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One operation by AWS's name. Raises AwsUnusable, or AwsRefused with AWS's code."""
        from botocore import exceptions

        # botocore ships no types; what it gives is narrowed here.
        botocore: Any = importlib.import_module("botocore")
        try:
            if service not in self._clients:
                self._clients[service] = self.client_of(service)
            return cast(dict[str, Any], getattr(self._clients[service], botocore.xform_name(operation))(**parameters))
        except exceptions.ClientError as error:
            raise self._refusal(f"{service}:{operation}", cast(dict[str, Any], error.response)) from error
        except exceptions.ParamValidationError as error:
            raise AwsRefused(f"{service}:{operation}", "ParamValidation", str(error)) from error
        except exceptions.BotoCoreError as error:
            raise _unusable(error) from error

    def paged(
        self, service: str, operation: str, member: str, *, token: str = "NextToken", absent_ok: bool = False,
        **parameters: Any,
    ) -> Iterator[Any]:  # fmt: skip
        """What is in `member` of all pages. `token`: how the service spells it. Raises as `call`.

        `absent_ok`: of what is not there, or goes meanwhile, there is no more.
        """
        while True:
            try:
                answer = self.call(service, operation, **parameters)
            except AwsRefused as refusal:
                if absent_ok and refusal.code in NOT_THERE:
                    return
                raise
            yield from answer.get(member, [])
            # A page may be empty and yet not the last one.
            if not answer.get(token):
                return
            parameters[token] = answer[token]

    def queue_url(self, name: str) -> str | None:
        """None for a queue that is not there. Raises as `call`."""
        try:
            return str(self.call("sqs", "GetQueueUrl", QueueName=name)["QueueUrl"])
        except AwsRefused as refusal:
            if refusal.code not in NOT_THERE:
                raise
            return None

    @property
    def account(self) -> str:
        return str(self._who()["Account"])

    def _who(self) -> dict[str, Any]:
        if self._caller is None:
            self._caller = self.call("sts", "GetCallerIdentity")
        return self._caller

    def _refusal(self, asked: str, response: dict[str, Any]) -> AwsRefused | AwsUnusable:
        found = response.get("Error", {})
        code, reason = str(found.get("Code")), str(found.get("Message"))
        if code in _EXPIRED:
            return AwsUnusable(f"the credentials have expired: {reason}", _SIGN_IN)
        if code in _UNKNOWN_KEY:
            return AwsUnusable(f"AWS does not take these credentials: {code}: {reason}", _WHERE)
        if code in _DENIED:
            hint = f"{self._name()} needs permission to {asked}; docs/aws.md has the policy of who deploys"
            return AwsRefused(asked, code, reason, hint)
        return AwsRefused(asked, code, reason)

    def _name(self) -> str:
        """Who asks, if that is known already: whoever may do nothing is not asked for more."""
        return str(self._caller.get("Arn")) if self._caller else "the caller"


def open_aws(settings: AwsSettings, environment: str, profile: str | None = None, region: str | None = None) -> Aws:
    """AWS by the shell's own settings, as every AWS tool finds them. Raises AwsUnusable, before anything is done.

    `profile` is one of AWS's configuration, instead of the shell's; `region` wins over all others.
    """
    from botocore import exceptions

    session_module: Any = importlib.import_module("botocore.session")
    config: Any = importlib.import_module("botocore.config").Config(retries={"mode": "standard", "max_attempts": 8})
    try:
        session = session_module.Session(profile=profile)
        # botocore alone of all SDKs does not read AWS_REGION.
        region = region or settings.region or os.environ.get("AWS_REGION") or session.get_config_variable("region")
        credentials = session.get_credentials()
    except exceptions.BotoCoreError as error:
        raise _unusable(error) from error
    if not region:
        raise AwsUnusable(
            f"no region is known for the environment {environment!r}",
            f'region = "eu-central-1" in [tool.busway.env.{environment}], or export AWS_REGION=eu-central-1',
        )
    if credentials is None:
        raise AwsUnusable("there are no AWS credentials here", _WHERE)
    aws = Aws(region, lambda service: session.create_client(service, region_name=region, config=config))
    if settings.account and aws.account != settings.account:
        raise AwsUnusable(
            f"these credentials are of account {aws.account}; {environment!r} is in {settings.account}",
            _WHERE,
        )
    return aws


def _unusable(error: Exception) -> AwsUnusable:
    """What botocore could not do before AWS was even asked."""
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return AwsUnusable(f"there are no AWS credentials here: {error}", _WHERE)
    if isinstance(error, exceptions.ProfileNotFound):
        return AwsUnusable(f"{error}", "`aws configure list-profiles` shows those there are; AWS_PROFILE names one")
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return AwsUnusable(f"AWS cannot be reached: {error}", "check the network, the proxy and AWS_ENDPOINT_URL")
    return AwsUnusable(f"AWS cannot be asked: {error}", _SIGN_IN)
