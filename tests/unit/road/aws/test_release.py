"""Which environment is meant, and parameters from where it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.road.aws.manifests import EVERYTHING, codes_of

from busway.errors import BrokenProject
from busway.road.aws.names import Names
from busway.road.aws.parameters import parameters_of, unheard
from busway.road.aws.release import site_of
from busway.road.aws.template import make_template
from busway.road.root import AwsSettings

TEMPLATE = make_template(EVERYTHING, "prod", AwsSettings(), codes_of(EVERYTHING))


def values(deployed: dict[str, str], environ: dict[str, str], **parameters: Any) -> dict[str, Any]:
    template = {**TEMPLATE, "Parameters": {**TEMPLATE["Parameters"], **parameters}}
    found = parameters_of(template, deployed, environ, "b")
    return {one["ParameterKey"]: one.get("ParameterValue", "as before") for one in found}


def test_a_value_is_the_shells_else_what_it_was_else_the_default():
    assert values({}, {"LEVEL": "debug"}) == {"CodeBucket": "b", "EnvLevel": "debug"}
    assert values({"EnvLevel": "info"}, {}) == {"CodeBucket": "b", "EnvLevel": "as before"}
    assert values({"EnvLevel": "info"}, {"LEVEL": ""})["EnvLevel"] == ""
    with pytest.raises(BrokenProject, match="LEVEL is not set here"):
        values({}, {})


def test_a_parameter_of_an_overlay_has_a_variable_too():
    own = {"Vpc": {"Type": "String"}}
    assert values({}, {"LEVEL": "", "BUSWAY_PARAMETER_Vpc": "vpc-1"}, **own)["Vpc"] == "vpc-1"
    with pytest.raises(BrokenProject) as told:
        values({}, {"LEVEL": ""}, **own)
    assert "export BUSWAY_PARAMETER_Vpc=" in told.value.hint


def test_routes_whose_alarms_nobody_hears_are_known_by_their_variables():
    given = parameters_of(TEMPLATE, {}, {"LEVEL": "", "BUSWAY_ALERT_DATADOG_URL": "https://d"}, "b")
    assert unheard(TEMPLATE, given) == ["BUSWAY_ALERT_PAGERDUTY_URL"]


def project(root: Path) -> Path:
    (root / "pyproject.toml").write_text(
        '[tool.busway]\nname="shop"\n[tool.busway.env.prod]\ntarget="aws"\nstack="mine"\n'
        '[tool.busway.env.next]\ntarget="aws"\n[tool.busway.env.own]\ntarget="https://bus"'
    )
    return root


def test_a_site_is_an_environment_on_aws(tmp_path: Path):
    root = project(tmp_path)
    assert site_of(root, "prod").stack == "mine"
    assert site_of(root, "next").stack == "shop-next"
    with pytest.raises(BrokenProject, match="'own' is the server at https://bus"):
        site_of(root, "own")
    with pytest.raises(BrokenProject, match="it has next, own, prod") as told:
        site_of(root, "prd")
    assert told.value.hint == "was 'prod' meant?"


def test_a_stacks_name_is_one_that_cloudformation_takes():
    assert Names("1st_shop", "prod").stack == "busway-1st-shop-prod"
    assert len(Names("a" * 200, "prod").stack) == 128
