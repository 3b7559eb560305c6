"""Secrets on AWS: a function is told names, and finds values in its variables."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from busway.unsealing import unseal


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch):
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("secretsmanager")
        client.create_secret(Name="shop/prod/STRIPE_KEY", SecretString="sk_1")
        yield client


def test_a_function_finds_the_value_of_a_secret_that_it_is_told_the_name_of(secrets: object):
    environ = {"BUSWAY_SECRETS": '{"STRIPE_KEY": "shop/prod/STRIPE_KEY"}', "LEVEL": "debug"}
    unseal(environ)
    assert (environ["STRIPE_KEY"], environ["LEVEL"]) == ("sk_1", "debug")


def test_a_secret_that_is_not_there_ends_the_start_and_is_named(secrets: object):
    with pytest.raises(ClientError, match=r"secret shop/prod/NONE, for TOKEN.*ResourceNotFound"):
        unseal({"BUSWAY_SECRETS": '{"TOKEN": "shop/prod/NONE"}'})


def test_without_secrets_nobody_is_asked():
    environ = {"LEVEL": "debug"}
    unseal(environ)
    assert environ == {"LEVEL": "debug"}
