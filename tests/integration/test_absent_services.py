"""What real clients of services that are not here print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .whole_server import BIN, WholeServer, whole_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("absent")) as server:
        yield server


@pytest.mark.parametrize(
    ("service", "operation", "request_", "code", "named"),
    [
        ("dynamodb", "list_tables", {}, "UnsupportedOperationException", "'dynamodb' (ListTables)"),
        ("stepfunctions", "list_state_machines", {}, "UnsupportedOperationException", "'states' (ListStateMachines)"),
        ("iam", "list_roles", {}, "UnsupportedOperationException", "'iam' (ListRoles)"),
        ("s3", "list_buckets", {}, "NotImplemented", "'s3' (GET /)"),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x"}, "NotImplemented", "'s3' (PUT /b/k)"),
        ("ec2", "describe_instances", {}, "UnsupportedOperation", "'ec2' (DescribeInstances)"),
        ("route53", "list_hosted_zones", {}, "UnsupportedOperationException", "'route53' (GET /"),
        ("apigateway", "get_rest_apis", {}, "UnsupportedOperationException", "'apigateway' (GET /restapis)"),
        ("events", "list_archives", {}, "UnsupportedOperationException", "events ListArchives is not implemented"),
    ],
)
def test_boto3_names_what_is_not_here(
    server: WholeServer, service: str, operation: str, request_: dict[str, Any], code: str, named: str
):
    with pytest.raises(ClientError) as refused:
        getattr(server.client(service), operation)(**request_)
    error = refused.value.response["Error"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert (error["Code"], named in error["Message"]) == (code, True), error
    assert "docs/coverage.md lists" in error["Message"]


def test_the_aws_command_says_that_s3_is_not_here(server: WholeServer):
    done = server.run(BIN / "aws", "s3", "ls")
    assert done.returncode != 0
    assert "(NotImplemented)" in done.stderr
    assert "does not have the service 's3'" in done.stderr
