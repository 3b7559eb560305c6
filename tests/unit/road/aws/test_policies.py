"""The policy that docs/aws.md gives to who deploys, with moto asking IAM at each call.

Moto judges actions; of resources it knows too little, so that the page's are taken for all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count
from tests.unit.road.aws.test_deploy import ENVIRON, release

from busway.road.aws.access import Aws, open_aws
from busway.road.aws.compare import compare
from busway.road.aws.deploy import deploy, rollback
from busway.road.root import AwsSettings

PAGE = Path(__file__).parents[4] / "docs" / "aws.md"
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


def of_who_deploys() -> dict[str, Any]:
    texts = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (text,) = [one for one in texts if '"cloudformation:*"' in one]
    # Moto calls CloudWatch by the beginning of its address.
    policy = json.loads(text.replace('"cloudwatch:*"', '"cloudwatch:*", "monitoring:*"'))
    return {**policy, "Statement": [{**one, "Resource": "*"} for one in policy["Statement"]]}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Generator[Aws]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        iam = boto3.client("iam")
        iam.create_user(UserName="ci")
        iam.put_user_policy(UserName="ci", PolicyName="p", PolicyDocument=json.dumps(of_who_deploys()))
        key = iam.create_access_key(UserName="ci")["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        yield open_aws(AwsSettings(), "prod")


# The three calls of the fixture are anybody's.
@set_initial_no_auth_action_count(3)
def test_the_policy_of_who_deploys_is_enough_for_all_that_is_asked(aws: Aws):
    def silent(_: object) -> None:
        pass

    deploy(release(), aws, ENVIRON, silent, silent)
    assert compare(release(512), aws, ENVIRON, silent, silent).changes
    deploy(release(512), aws, ENVIRON, silent, silent)
    assert rollback(release().site, aws, silent, silent).changed
