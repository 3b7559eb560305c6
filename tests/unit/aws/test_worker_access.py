from __future__ import annotations

import importlib
from typing import Any

import pytest

from busway.aws.errors import AwsError
from busway.aws.worker_access import WORKER_MAY, action_of, allows, check, check_own_path

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shop-bill"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("events", "PutEvents"), ("sqs", "SendMessageBatch"), ("sqs", "DeleteMessage"), ("lambda", "Invoke"),
        ("lambda", "InvokeFunctionUrl"),
        ("sesv2", "SendEmail"), ("kinesis", "PutRecords"), ("cloudwatch", "PutMetricData"),
        ("sts", "GetCallerIdentity"), ("logs", "PutLogEvents"),
    ],
)  # fmt: skip
def test_a_worker_may_send_receive_and_invoke(service: str, operation: str):
    check(ARN, "", service, operation)


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("events", "PutRule", "events:PutRule"), ("lambda", "CreateFunction", "lambda:CreateFunction"),
        ("lambda", "TagResource", "lambda:TagResource"), ("sqs", "PurgeQueue", "sqs:PurgeQueue"),
        ("sesv2", "CreateEmailIdentity", "ses:CreateEmailIdentity"),
        ("kinesis", "DeleteStream", "kinesis:DeleteStream"), ("logs", "FilterLogEvents", "logs:FilterLogEvents"),
    ],
)  # fmt: skip
def test_a_worker_administers_nothing_and_is_refused_in_aws_words(service: str, operation: str, action: str):
    with pytest.raises(AwsError) as refused:
        check(ARN, "", service, operation)
    assert refused.value.code == "AccessDeniedException"
    assert refused.value.status == 403
    assert refused.value.message.startswith(
        "User: arn:aws:sts::123456789012:assumed-role/busway-worker/shop-bill is not authorized to perform: "
        f"{action} because no identity-based policy allows the {action} action."
    )


@pytest.mark.parametrize("tag", ["events", "events:*", "events:PutRule", "sqs events:PutRule lambda"])
def test_a_function_s_tag_adds_to_what_its_workers_may(tag: str):
    check(ARN, tag, "events", "PutRule")


@pytest.mark.parametrize("tag", ["", "sqs", "events:PutTargets", "*", "events:Put*", "event", "events:PutRules"])
def test_a_tag_that_does_not_name_it_does_not_allow_it(tag: str):
    with pytest.raises(AwsError):
        check(ARN, tag, "events", "PutRule")


def test_a_tag_takes_nothing_away():
    assert allows("sqs:CreateQueue", "events", "PutEvents")


@pytest.mark.parametrize(
    "path", [b"/_busway/status", b"/_busway/redrive", b"/health", b"/_busway/once-more", b"/metrics"]
)
def test_our_own_paths_are_shut_but_for_the_one_that_handlers_need(path: bytes):
    with pytest.raises(AwsError):
        check_own_path(ARN, path)
    check_own_path(ARN, b"/_busway/once")
    check_own_path(ARN, b"/_busway/once/step")


def test_every_word_of_the_table_is_an_operation_of_aws():
    """Or a word of IAM's for one; nothing is allowed by a misspelt name."""
    session: Any = importlib.import_module("botocore.session").get_session()
    # Function URLs have no API of their own.
    known: set[tuple[str, str]] = {("lambda", "InvokeFunctionUrl")}
    for service in ("events", "sqs", "kinesis", "lambda", "sesv2", "cloudwatch", "logs", "sns", "sts"):
        known |= {action_of(service, name) for name in session.get_service_model(service).operation_names}
    listed = {(prefix, action) for prefix, actions in WORKER_MAY.items() for action in actions}
    assert listed <= known
