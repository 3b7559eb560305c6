"""Jobs on AWS that a file in `rules/` names, and what they are started with, in AWS's words. Pure.

    {"Job": "nightly", "BatchParameters": {"JobDefinition": "resize", "JobName": "resize"}}     a Batch job queue
    {"Workflow": "load"}                                                                       a Glue workflow
    {"Pipeline": "train", "SageMakerPipelineParameters": {"PipelineParameterList": […]}}       a SageMaker pipeline
    {"StateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:ship"}                Step Functions

Each by its ARN, or by its name in the account and Region to which the project is deployed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from busway.arn import Scope, parse_arn
from busway.bus.job_targets import JOB_KINDS
from busway.delivery.parameters import is_path
from busway.delivery.path import parse_path
from busway.errors import InvalidTargetInput


class ArrayProperties(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_BatchArrayProperties.html"""

    size: Annotated[int, Meta(ge=2, le=10_000)]


class RetryStrategy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_BatchRetryStrategy.html"""

    attempts: Annotated[int, Meta(ge=1, le=10)]


class BatchParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal", omit_defaults=True):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_BatchParameters.html"""

    job_definition: Annotated[str, Meta(min_length=1)]
    # https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html
    job_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")]
    array_properties: ArrayProperties | None = None
    retry_strategy: RetryStrategy | None = None


class PipelineParameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """A value such as `$.detail.day` is read from the event.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_SageMakerPipelineParameter.html
    """

    name: Annotated[str, Meta(max_length=256, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$")]
    value: Annotated[str, Meta(max_length=1024)]


class PipelineParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_SageMakerPipelineParameters.html"""

    pipeline_parameter_list: Annotated[list[PipelineParameter], Meta(max_length=200)]


@dataclass(frozen=True, slots=True)
class Job:
    """One kind: the service of its ARN, and what its name may be."""

    service: str
    name: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """The name, or an ARN that ends in it."""
        resource = JOB_KINDS[self.service].resource
        return re.compile(f"(?:arn:[a-z-]+:{self.service}:[a-z0-9-]+:[0-9]{{12}}:{resource})?{self.name}")


# By the word in the file.
JOBS: Mapping[str, Job] = {
    "Job": Job("batch", "[A-Za-z0-9_-]{1,128}"),
    "Workflow": Job("glue", "[A-Za-z0-9_.-]{1,255}"),
    "Pipeline": Job("sagemaker", "[A-Za-z0-9-]{1,256}"),
    "StateMachine": Job("states", "[A-Za-z0-9_-]{1,80}(?::[A-Za-z0-9_.-]{1,80})?"),
}


def check_value(name: str, value: str) -> None:
    """Raises ValueError for the value of a pipeline's parameter that is a path nobody can read."""
    try:
        if is_path(value):
            parse_path(value)
    except InvalidTargetInput as error:
        raise ValueError(f"the pipeline's parameter {name} is {value!r}: {error}") from error


def service_of(kind: str, name: str) -> str:
    """The service of a job, also of one that is named as an `Arn`; "" for what is no job."""
    if kind in JOBS:
        return JOBS[kind].service
    arn = parse_arn(name) if kind == "Arn" else None
    return arn.service if arn is not None and arn.service in JOB_KINDS else ""


def job_arn(kind: str, name: str, scope: Scope) -> str:
    """The ARN of a job; a mere name is one of `scope`."""
    if name.startswith("arn:"):
        return name
    service = JOBS[kind].service
    return scope.arn(service, JOB_KINDS[service].resource + name)
