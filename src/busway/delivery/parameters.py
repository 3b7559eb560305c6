"""The parameters of a target beside its payload (BatchParameters, SageMakerPipelineParameters), for one event. Pure.

They are kept in AWS's words, each structure under its own name. A value of a pipeline's parameter may be a JSON path
as a whole; it reads the event as it was, not what the target's input settings made of it.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html#targets-specifics-dynamic
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from busway.delivery.path import find, parse_path
from busway.errors import UnsendablePayload

PIPELINE = "SageMakerPipelineParameters"
LIST = "PipelineParameterList"

Parameters = Mapping[str, Any]


def parameters_of(given: Parameters) -> Callable[[bytes], dict[str, Any]]:
    """What gives a delivery's parameters from its event. Raises `UnsendablePayload` where a path finds nothing."""
    fixed = dict(given)
    listed = pipeline_parameters(given)
    if not any(is_path(parameter["Value"]) for parameter in listed):
        return lambda event: fixed

    def parameters(event: bytes) -> dict[str, Any]:
        filled = [{**parameter, "Value": _value(parameter, event)} for parameter in listed]
        return {**fixed, PIPELINE: {**fixed[PIPELINE], LIST: filled}}

    return parameters


def pipeline_parameters(given: Parameters) -> list[dict[str, str]]:
    """`[{"Name", "Value"}]` of a SageMaker pipeline, none where there are none."""
    block: Mapping[str, Any] = given.get(PIPELINE) or {}
    return block.get(LIST) or []


def is_path(value: str) -> bool:
    return value == "$" or value.startswith(("$.", "$["))


def _value(parameter: Mapping[str, str], event: bytes) -> str:
    """A parameter's value as text: what is text in the event loses its quotation marks."""
    name, value = parameter["Name"], parameter["Value"]
    if not is_path(value):
        return value
    steps = parse_path(value)
    found = None if steps is None else find(event, steps)
    if found is None:
        # What AWS does here is not recorded. Ours: never in silence, as with InputPath.
        raise UnsendablePayload(f"The pipeline parameter {name}: {value} found nothing in the event", event)
    return str(msgspec.json.decode(found)) if found[:1] == b'"' else found.decode()
