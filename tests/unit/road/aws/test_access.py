"""What is said when AWS cannot be asked, or says no: what is missing, and where it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.stub import Stubber

from busway.errors import AwsRefused, AwsUnusable
from busway.road.aws.access import Aws, open_aws
from busway.road.aws.bucket import Bucket
from busway.road.root import AwsSettings


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
        "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


def told(error: AwsUnusable | AwsRefused) -> str:
    return f"{error}\n{error.hint}"


def test_without_credentials_it_says_where_they_go():
    with pytest.raises(AwsUnusable, match="no AWS credentials") as error:
        open_aws(AwsSettings(region="eu-west-1"), "prod")
    assert all(place in told(error.value) for place in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "aws configure", "OIDC"))


def test_without_a_region_it_says_where_one_goes(monkeypatch: pytest.MonkeyPatch):
    keys(monkeypatch)
    with pytest.raises(AwsUnusable, match="no region is known for the environment 'prod'") as error:
        open_aws(AwsSettings(), "prod")
    assert "[tool.busway.env.prod]" in told(error.value) and "AWS_REGION" in told(error.value)


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_shells_region_is_taken_and_the_environments_wins(monkeypatch: pytest.MonkeyPatch, variable: str):
    keys(monkeypatch)
    monkeypatch.setenv(variable, "eu-west-1")
    assert open_aws(AwsSettings(), "prod").region == "eu-west-1"
    assert open_aws(AwsSettings(region="eu-north-1"), "prod").region == "eu-north-1"


def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AwsUnusable, match="nobody"):
        open_aws(AwsSettings(region="eu-west-1"), "prod")


def scripted(service: str, operation: str, code: str, reason: str = "no", status: int = 400) -> Aws:
    client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    stub = Stubber(client)
    stub.add_client_error(operation, code, reason, http_status_code=status)
    stub.activate()
    return Aws("eu-west-1", lambda _: client)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
def test_what_may_not_be_done_is_named_with_the_permission_that_is_missing(code: str):
    aws = scripted("cloudformation", "create_change_set", code, "User: arn:aws:iam::1:user/me is not authorized")
    with pytest.raises(AwsRefused, match="user/me is not authorized") as error:
        aws.call("cloudformation", "CreateChangeSet", StackName="s", ChangeSetName="c")
    assert "permission to cloudformation:CreateChangeSet" in error.value.hint


@pytest.mark.parametrize(
    ("code", "problem"),
    [("ExpiredToken", "expired"), ("ExpiredTokenException", "expired"), ("InvalidClientTokenId", "does not take")],
)
def test_credentials_that_aws_does_not_take_are_told_apart(code: str, problem: str):
    with pytest.raises(AwsUnusable, match=problem) as error:
        _ = scripted("sts", "get_caller_identity", code).account
    assert "AWS_ACCESS_KEY_ID" in error.value.hint


@pytest.mark.parametrize(
    ("raised", "problem"),
    [
        (exceptions.NoCredentialsError(), "no AWS credentials"),
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), "cannot be reached"),
        (exceptions.UnauthorizedSSOTokenError(), "cannot be asked"),
    ],
)
def test_what_keeps_a_call_from_being_made_is_told(raised: Exception, problem: str):
    class Client:
        def get_caller_identity(self) -> Any:
            raise raised

    with pytest.raises(AwsUnusable, match=problem):
        _ = Aws("eu-west-1", lambda _: Client()).account


def test_an_error_that_nobody_foresaw_keeps_its_code():
    with pytest.raises(AwsRefused, match="sts:GetCallerIdentity: Odd: no") as error:
        _ = scripted("sts", "get_caller_identity", "Odd").account
    assert error.value.code == "Odd"


def test_a_bucket_of_somebody_elses_is_told_with_the_setting_that_names_another():
    aws = scripted("s3", "head_bucket", "403", "Forbidden", 403)
    with pytest.raises(AwsUnusable, match="not of account 1") as error:
        Bucket(aws, "busway-1-eu-west-1", "1").is_there()
    assert "bucket = " in error.value.hint
