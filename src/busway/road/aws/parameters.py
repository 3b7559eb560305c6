"""The values of a template's parameters: from the shell, else as they are, else their default. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.errors import BrokenProject
from busway.road.aws.template import ABOUT, Template

CODE_BUCKET = "CodeBucket"
# Ours: for parameters of an overlay, which names no variable.
PREFIX = "BUSWAY_PARAMETER_"


def parameters_of(
    template: Template, deployed: Mapping[str, str], environ: Mapping[str, str], bucket: str
) -> list[dict[str, Any]]:
    """As CloudFormation takes them. `deployed`: those of the stack. Raises BrokenProject for one without value."""
    given: list[dict[str, Any]] = []
    for name, parameter in template.get("Parameters", {}).items():
        variable = variable_of(template, name)
        value = bucket if name == CODE_BUCKET else environ.get(variable)
        if value is not None:
            given.append({"ParameterKey": name, "ParameterValue": value})
        elif name in deployed:
            given.append({"ParameterKey": name, "UsePreviousValue": True})
        elif "Default" not in parameter:
            raise BrokenProject(
                f"{parameter.get('Description', name)} is not set here, and not in the stack from before",
                f"set it where you deploy: export {variable}=…",
            )
    return given


def variable_of(template: Template, parameter: str) -> str:
    """The variable of the shell that holds a parameter's value."""
    return template.get("Metadata", {}).get(ABOUT, {}).get("Variables", {}).get(parameter, f"{PREFIX}{parameter}")


def unheard(template: Template, parameters: list[dict[str, Any]]) -> list[str]:
    """The variables of alert routes whose topics nobody subscribes to."""
    given = {one["ParameterKey"] for one in parameters if one.get("UsePreviousValue") or one.get("ParameterValue")}
    return [
        variable_of(template, name)
        for name, parameter in template.get("Parameters", {}).items()
        if parameter.get("NoEcho") and name not in given
    ]
