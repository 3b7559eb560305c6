from __future__ import annotations

import pytest

from busway.arn import Scope
from busway.errors import FunctionFeatureNotBuilt, InvalidFunction
from busway.function.record import (
    check_dead_letter,
    check_destination,
    check_environment,
    check_range,
    check_runtime,
    qualified,
    resolve,
    split,
)

HERE = Scope("111122223333", "eu-west-1")
ARN = "arn:aws:lambda:eu-west-1:111122223333:function:mail"


@pytest.mark.parametrize("given", ["mail", "function:mail", ARN, "111122223333:function:mail", "111122223333:mail"])
def test_a_function_is_found_by_name_partial_arn_and_arn(given: str):
    assert resolve(given, HERE) == (ARN, None)


@pytest.mark.parametrize("given", ["mail:live", f"{ARN}:live", "function:mail:live"])
def test_a_qualifier_may_stand_behind_the_name(given: str):
    assert resolve(given, HERE) == (ARN, "live")


def test_two_qualifiers_must_agree():
    assert resolve("mail:live", HERE, "live") == (ARN, "live")
    with pytest.raises(InvalidFunction, match="does not match the specified qualifier"):
        resolve("mail:live", HERE, "other")


@pytest.mark.parametrize("given", ["", "a b", "arn:aws:sqs:eu-west-1:111122223333:mail", "../x"])
def test_what_is_no_name_is_refused(given: str):
    with pytest.raises(InvalidFunction):
        resolve(given, HERE)


def test_a_qualified_arn_is_split_and_put_together():
    assert split(f"{ARN}:live") == (ARN, "live")
    assert split(ARN) == (ARN, "")
    assert qualified(*split(f"{ARN}:$LATEST")) == f"{ARN}:$LATEST"


@pytest.mark.parametrize("runtime", ["java21", "dotnet8", "python2.7"])
def test_a_runtime_that_is_not_there_is_refused_by_name(runtime: str):
    with pytest.raises(FunctionFeatureNotBuilt, match=f"Runtime {runtime} is not built yet"):
        check_runtime(runtime, "app.handler")


def test_runtime_and_handler_are_mandatory():
    check_runtime("python3.13", "app.handler")
    with pytest.raises(InvalidFunction, match="Runtime and Handler are mandatory"):
        check_runtime("python3.13", "")


def test_a_number_outside_its_range_is_refused_in_aws_s_words():
    assert check_range("timeout", 900, (1, 900)) == 900
    with pytest.raises(InvalidFunction) as caught:
        check_range("timeout", 901, (1, 900))
    assert str(caught.value) == (
        "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
        "Member must have value less than or equal to 900"
    )


def test_variables_above_four_kilobytes_are_refused_and_shown():
    check_environment({"A": "x" * 4_000})
    with pytest.raises(InvalidFunction, match=r"exceeded the 4KB limit. String measured: \{"):
        check_environment({"A": "x" * 4_090})


def test_variables_of_the_runtime_can_not_be_set():
    with pytest.raises(InvalidFunction, match="Reserved keys used in this request: AWS_REGION, _HANDLER"):
        check_environment({"AWS_REGION": "x", "_HANDLER": "y", "MINE": "z"})


def test_a_destination_may_not_be_the_function_itself():
    with pytest.raises(InvalidFunction, match=r"You can't specify the function as a destination for itself."):
        check_destination(f"{ARN}:$LATEST", ARN)


def test_a_destination_is_a_queue_a_function_or_a_bus():
    assert check_destination("", ARN) is None
    assert check_destination("arn:aws:sqs:eu-west-1:111122223333:q", ARN)
    with pytest.raises(InvalidFunction, match=r"The destination ARN nonsense is invalid."):
        check_destination("nonsense", ARN)
    with pytest.raises(InvalidFunction, match="is invalid"):
        check_destination("arn:aws:glue:eu-west-1:111122223333:job/x", ARN)
    with pytest.raises(FunctionFeatureNotBuilt, match="not built yet"):
        check_destination("arn:aws:sns:eu-west-1:111122223333:t", ARN)


def test_a_dead_letter_queue_is_a_queue():
    assert check_dead_letter("") is None
    with pytest.raises(FunctionFeatureNotBuilt, match="topic"):
        check_dead_letter("arn:aws:sns:eu-west-1:111122223333:t")
    with pytest.raises(InvalidFunction, match="wanted the ARN of an SQS queue"):
        check_dead_letter("q")
