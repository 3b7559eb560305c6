"""Jobs as targets: what PutTargets refuses, and what of a target's parameters an event fills in."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from busway.bus.record import TargetSpec
from busway.bus.rules import check_target
from busway.clock import SeededEntropy
from busway.delivery import Delivered, Failed, RetryPolicy
from busway.delivery.outbox import Parcel
from busway.delivery.parameters import parameters_of
from busway.errors import InvalidBusRequest, InvalidTargetInput, UnsendablePayload
from busway.queue.message import decode_meta
from busway.targets.ways_back import WaysBack

BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/default"
START = "arn:aws:{}:eu-central-1:123456789012:{}"
QUEUE = START.format("batch", "job-queue/nightly")
WORKFLOW = START.format("glue", "workflow/load")
PIPELINE = START.format("sagemaker", "pipeline/train")
MACHINE = START.format("states", "stateMachine:ship")
ROLE = "arn:aws:iam::123456789012:role/any"
BATCH = {"BatchParameters": {"JobDefinition": "d", "JobName": "n"}}


def target(arn: str, role_arn: str | None = ROLE, **rest: Any) -> TargetSpec:
    return TargetSpec(id="t", arn=arn, role_arn=role_arn, **rest)


def listed(**values: str) -> dict[str, Any]:
    parameters = [{"Name": name, "Value": value} for name, value in values.items()]
    return {"SageMakerPipelineParameters": {"PipelineParameterList": parameters}}


@pytest.mark.parametrize(
    "good",
    [
        target(QUEUE, parameters=BATCH),
        target(QUEUE, parameters={"BatchParameters": {**BATCH["BatchParameters"], "ArrayProperties": {"Size": 2}}}),
        target(WORKFLOW),
        target(WORKFLOW, input_path="$.detail"),
        target(PIPELINE),
        target(PIPELINE, parameters=listed(Day="$.detail.day", Fixed="7")),
        target(MACHINE),
        target(MACHINE + ":live"),
    ],
    ids=lambda good: good.arn,
)
def test_a_job_is_taken(good: TargetSpec):
    check_target(good, BUS)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (target(MACHINE, None), f"RoleArn is required for target {MACHINE}."),
        (target(QUEUE, None, parameters=BATCH), f"RoleArn is required for target {QUEUE}."),
        (target(QUEUE), "Parameter(s) BatchParameters must be specified for target: t."),
        (target(WORKFLOW, parameters=BATCH), "Parameter BatchParameters is not valid for target t."),
        (target(MACHINE, parameters=listed(A="1")), "Parameter SageMakerPipelineParameters is not valid for target"),
        (target(START.format("sqs", "q"), parameters=BATCH), "Parameter BatchParameters is not valid for target t."),
        (target(START.format("batch", "job-definition/d:1")), "Reason: Busway delivers to Lambda functions"),
        (target(START.format("batch", "job-queue/")), "Reason: Busway delivers to Lambda functions"),
        (target(START.format("states", "execution:ship:1")), "Step Functions state machines"),
        (target("arn:aws:states:::stateMachine:ship"), "Reason: the ARN has no Region."),
        (
            target(QUEUE, parameters={"BatchParameters": {"ArrayProperties": {"Size": 1}}}),
            "Parameter BatchParameters.ArrayProperties.Size of target t is 1; wanted 2 to 10000.",
        ),
        (
            target(QUEUE, parameters={"BatchParameters": {"RetryStrategy": {"Attempts": 11}}}),
            "Parameter BatchParameters.RetryStrategy.Attempts of target t is 11; wanted 1 to 10.",
        ),
    ],
)  # fmt: skip
def test_what_could_not_be_started_is_refused_when_it_is_put(bad: TargetSpec, said: str):
    with pytest.raises(InvalidBusRequest) as caught:
        check_target(bad, BUS)
    assert said in str(caught.value)


def test_a_path_that_cannot_be_read_is_refused_when_it_is_put():
    with pytest.raises(InvalidTargetInput):
        check_target(target(PIPELINE, parameters=listed(Day="$.detail[")), BUS)


def test_a_value_that_is_a_path_is_taken_from_the_event():
    given = listed(Text="$.detail.name", Number="$.detail.n", Whole="$.detail.o", Fixed="a $.detail.n", Escaped="$.e")
    event = b'{"detail": {"name": "a", "n": 1.50, "o": {"x": [1]}}, "e": "q\\"\\u00e9"}'
    filled = parameters_of(given)(event)
    assert filled == listed(Text="a", Number="1.50", Whole='{"x": [1]}', Fixed="a $.detail.n", Escaped='q"é')
    assert given == listed(
        Text="$.detail.name", Number="$.detail.n", Whole="$.detail.o", Fixed="a $.detail.n", Escaped="$.e"
    )
    assert parameters_of(BATCH)(event) == BATCH
    assert parameters_of({})(event) == {}
    with pytest.raises(UnsendablePayload, match=r"Day: \$\.detail\.day found nothing"):
        parameters_of(listed(Day="$.detail.day"))(event)


async def test_a_job_is_tried_again_by_the_clock_then_dead_lettered_with_its_parameters(world):
    later = Failed("THROTTLING", "later", True)
    outside = world.outside(later, later, Delivered())
    world = await (await world.again(sagemaker=outside, states=world.outside(later)).start()).run()
    letters = await world.queue("letters")
    pipeline = target(
        PIPELINE, parameters=listed(N="$.detail.n"), input='"other"', retry=RetryPolicy(retries_max=2),
        dead_letter_arn=letters,
    )  # fmt: skip
    machine = TargetSpec(
        id="m", arn=MACHINE, role_arn=ROLE, retry=RetryPolicy(retries_max=1), dead_letter_arn=letters
    )  # fmt: skip
    await world.rule("r", '{"source":["shop"]}', pipeline, machine)
    await world.put(world.entry())
    for _ in range(40):
        await world.clock.advance(1)
    assert [delivery.parameters for delivery in outside.attempts] == [listed(N="1")] * 3
    (letter,) = await world.letters(letters)
    assert (letter["TARGET_ARN"], letter["ERROR_CODE"], letter["RETRY_ATTEMPTS"]) == (MACHINE, "THROTTLING", "1")
    assert letter["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    await world.stop()


async def test_a_job_is_redriven_with_the_parameters_that_it_had(world):
    world = await (await world.again(batch=world.outside(Failed("INVALID_PARAMETER", "no", False))).start()).run()
    letters = await world.queue("letters")
    await world.rule("r", '{"source":["shop"]}', target(QUEUE, parameters=BATCH, dead_letter_arn=letters))
    await world.put(world.entry())
    (letter,) = await world.items(letters)
    source = decode_meta(letter.meta).source
    ways = WaysBack(world.extra, world.outbox, cast(Any, None), world.queues, SeededEntropy(1))
    (put,) = ways.to_target(source, letter, 9.0)
    again = msgspec.json.decode(put.meta, type=Parcel).delivery
    assert (again.target_arn, again.parameters, again.accepted_at) == (QUEUE, BATCH, 9.0)
    await world.stop()


async def test_a_parameter_that_the_event_does_not_have_is_a_dead_letter_and_stops_nothing(world):
    world = await (await world.again(sagemaker=world.outside(Delivered())).start()).run()
    letters = await world.queue("letters")
    await world.rule(
        "r", '{"source":["shop"]}', target(PIPELINE, parameters=listed(D="$.detail.day"), dead_letter_arn=letters)
    )  # fmt: skip
    await world.put(world.entry())
    (letter,) = await world.letters(letters)
    assert letter["ERROR_CODE"] == "INVALID_JSON" and "$.detail.day" in letter["ERROR_MESSAGE"]
    await world.stop()
