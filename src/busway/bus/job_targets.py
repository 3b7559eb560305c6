"""Jobs on AWS as targets of rules: what PutTargets asks of each kind. Pure.

Texts are AWS's where a source is named, otherwise ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from busway.arn import Arn
from busway.bus.record import TargetSpec
from busway.delivery.parameters import PIPELINE, is_path, pipeline_parameters
from busway.delivery.path import parse_path
from busway.errors import InvalidBusRequest

BATCH = "BatchParameters"


@dataclass(frozen=True, slots=True)
class JobKind:
    """`word` is for people, `resource` how the ARN's last part begins, `parameters` AWS's structure for it."""

    word: str
    resource: str
    parameters: str = ""
    required: bool = False


# By the service of the ARN.
JOB_KINDS: Mapping[str, JobKind] = {
    "batch": JobKind("Batch job queues", "job-queue/", BATCH, required=True),
    "glue": JobKind("Glue workflows", "workflow/"),
    "sagemaker": JobKind("SageMaker pipelines", "pipeline/", PIPELINE),
    "states": JobKind("Step Functions state machines", "stateMachine:"),
}
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_BatchArrayProperties.html
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_BatchRetryStrategy.html
_BATCH_RANGES = (("ArrayProperties", "Size", 2, 10_000), ("RetryStrategy", "Attempts", 1, 10))


def check_job_target(target: TargetSpec, arn: Arn) -> None:
    """Raise `InvalidBusRequest` for parameters of another kind, and for a job that could not be started."""
    kind = JOB_KINDS.get(arn.service)
    for name in target.parameters:
        if kind is None or name != kind.parameters:
            raise InvalidBusRequest(f"Parameter {name} is not valid for target {target.id}.")
    if kind is None:
        return
    if not arn.region:
        raise InvalidBusRequest(f"Parameter {target.arn} is not valid. Reason: the ARN has no Region.")
    if target.role_arn is None:
        # https://github.com/hashicorp/terraform-provider-aws/issues/27215
        raise InvalidBusRequest(f"RoleArn is required for target {target.arn}.")
    if kind.required and kind.parameters not in target.parameters:
        # https://github.com/aws/aws-cdk/issues/7137
        raise InvalidBusRequest(f"Parameter(s) {kind.parameters} must be specified for target: {target.id}.")
    _check_batch(target.id, target.parameters.get(BATCH) or {})
    for parameter in pipeline_parameters(target.parameters):
        if is_path(parameter["Value"]):
            parse_path(parameter["Value"])


def is_job(arn: Arn) -> bool:
    """Whether the ARN names a job of a kind that can be started."""
    kind = JOB_KINDS.get(arn.service)
    return kind is not None and arn.resource.startswith(kind.resource) and arn.resource != kind.resource


def _check_batch(target_id: str, batch: Mapping[str, Any]) -> None:
    for structure, member, low, high in _BATCH_RANGES:
        inner: Mapping[str, Any] = batch.get(structure) or {}
        value = inner.get(member)
        if value is not None and not low <= value <= high:
            raise InvalidBusRequest(
                f"Parameter {BATCH}.{structure}.{member} of target {target_id} is {value}; wanted {low} to {high}."
            )
