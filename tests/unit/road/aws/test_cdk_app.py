"""The app of AWS CDK that is exported; what CDK makes of it is tried in tests/integration/test_cdk.py, nightly."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from busway.road.aws.cdk_app import cdk_app
from busway.road.aws.names import Names
from busway.road.aws.release import Site
from busway.road.root import AwsSettings


@pytest.mark.parametrize(
    ("settings", "where"),
    [({}, []), ({"account": "1", "region": "eu-west-1"}, ["account='1'", "region='eu-west-1'"])],
)
def test_an_app_names_the_stack_the_project_and_where_it_goes(settings: dict[str, Any], where: list[str]):
    files = cdk_app(Site(Names("shop", "prod"), AwsSettings(**settings)), "../shop")
    calls = {
        ast.unparse(node.func): [ast.unparse(one) for one in (*node.args, *node.keywords)]
        for node in ast.walk(ast.parse(files["app.py"]))
        if isinstance(node, ast.Call)
    }
    assert calls["Stack"][1] == "'shop-prod'"
    assert calls.get("Environment", []) == where
    assert "project=Path(__file__).parent / '../shop'" in calls["EventHandlers"]
    assert "environment='prod'" in calls["EventHandlers"]
    assert json.loads(files["cdk.json"]) == {"app": "python3 app.py"}
