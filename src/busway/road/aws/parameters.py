"""The values of a template's parameters: from the shell, else as they are, else their default. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from busway.errors import BrokenProject
from busway.road.aws.names import is_url_variable
from busway.road.aws.template import ABOUT, Template

CODE_BUCKET = "CodeBucket"
# Ours: for parameters of an overlay, which names no variable.
PREFIX = "BUSWAY_PARAMETER_"
SLACK_HOST = "hooks.slack.com"


def parameters_of(
    template: Template, deployed: Mapping[str, str], environ: Mapping[str, str], bucket: str
) -> list[dict[str, Any]]:
    """As CloudFormation takes them. `deployed`: those of the stack. Raises BrokenProject for those without value."""
    given: list[dict[str, Any]] = []
    missing: dict[str, str] = {}
    for name, parameter in template.get("Parameters", {}).items():
        variable = variable_of(template, name)
        value = bucket if name == CODE_BUCKET else environ.get(variable)
        if value is not None:
            if is_url_variable(variable):
                _check_address(variable, value)
            given.append({"ParameterKey": name, "ParameterValue": value})
        elif name in deployed:
            given.append({"ParameterKey": name, "UsePreviousValue": True})
        elif "Default" not in parameter:
            missing[variable] = str(parameter.get("Description", name))
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise BrokenProject(
            f"{'; '.join(missing.values())} {are} not set here, and not in the stack from before",
            f"set it where you deploy: export {' '.join(f'{variable}=…' for variable in missing)}",
        )
    return given


def _check_address(variable: str, address: str) -> None:
    """What SNS can tell by HTTPS, or nothing. Raises BrokenProject, without the address: it may hold a key.

    A Slack webhook would never confirm the subscription, and nobody would be told:
    https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html
    """
    if urlsplit(address).hostname == SLACK_HOST:
        raise BrokenProject(
            f"{variable} is the address of a Slack webhook, which does not take what SNS sends",
            "leave it unset, and let Amazon Q Developer in chat applications post the route's topic: docs/alerts.md",
        )
    if address and not address.startswith("https://"):
        raise BrokenProject(
            f"{variable} is no https address",
            "leave it unset for email: a subscription of the route's topic in aws/overlay.json: docs/alerts.md",
        )


def plain(template: Template, deployed: Mapping[str, str]) -> dict[str, str]:
    """The values that may be seen: not those of hidden parameters, nor where the code lies."""
    hidden = {name for name, one in template.get("Parameters", {}).items() if one.get("NoEcho")}
    return {name: value for name, value in deployed.items() if name not in hidden | {CODE_BUCKET}}


def others(template: Template, deployed: Mapping[str, str], given: Sequence[Mapping[str, Any]]) -> list[str]:
    """The variables whose parameters get another value than the stack has, of those that may be seen."""
    known = plain(template, deployed)
    return [
        variable_of(template, one["ParameterKey"])
        for one in given
        if one["ParameterKey"] in known
        and not one.get("UsePreviousValue")
        and one["ParameterValue"] != known[one["ParameterKey"]]
    ]


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
