"""What the doctor finds, from facts alone: each defect by itself, and nothing in a project as it is deployed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from busway.road.aws.findings import AlarmFacts, Facts, FunctionFacts, QueueFacts, TargetFacts, allows, findings

RULE = "arn:aws:events:eu-west-1:123456789012:rule/shop-prod-one"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:shop-prod-one"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:shop-prod-one-dead-letters"


def policy(action: str, operator: str = "ArnLike", source: Any = RULE, **more: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": action, "Resource": "*",
        "Condition": {operator: {"AWS:SourceArn": source}},
    }  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [{**statement, **more}]}


TARGET = TargetFacts(
    rule="shop-prod-one", rule_arn=RULE, id="t", arn=FUNCTION, dead_letter_arn=QUEUE, max_age_s=21_600
)
LETTERS = QueueFacts(
    name="shop-prod-one-dead-letters", arn=QUEUE, retention_s=1_209_600, policy=policy("sqs:SendMessage", "ArnEquals")
)
HANDLER = FunctionFacts(
    name="shop-prod-one", arn=FUNCTION, policy=policy("lambda:InvokeFunction"), failures_to=(QUEUE,)
)
ALARM = AlarmFacts(name="shop-prod-one-dead-letters", queue="shop-prod-one-dead-letters", actions=1, enabled=True)
WELL = Facts(handlers=("shop-prod-one",), targets=(TARGET,), queues=(LETTERS,), functions=(HANDLER,), alarms=(ALARM,))


def test_a_project_as_it_is_deployed_has_nothing_wrong():
    assert findings(WELL) == []


DEFECTS = {
    "target-without-dead-letters": replace(WELL, targets=(replace(TARGET, dead_letter_arn=None),)),
    "dead-letter-queue-missing": replace(WELL, queues=(), alarms=()),
    "no-invoke-permission": replace(WELL, functions=(replace(HANDLER, policy={}),)),
    "function-without-dead-letters": replace(WELL, functions=(replace(HANDLER, failures_to=()),)),
    "function-missing": replace(WELL, functions=(), targets=(replace(TARGET, arn="arn:aws:sqs:::x"),)),
    "dead-letter-queue-drops": replace(WELL, queues=(replace(LETTERS, policy={}),)),
    "retention-too-short": replace(WELL, queues=(replace(LETTERS, retention_s=3_600),)),
    "queue-without-alarm": replace(WELL, alarms=()),
    "alarm-without-actions": replace(WELL, alarms=(replace(ALARM, actions=0),)),
}


@pytest.mark.parametrize("code", DEFECTS)
def test_each_defect_is_found_named_and_says_what_mends_it(code: str):
    (found,) = findings(DEFECTS[code])
    assert found.code == code
    assert found.what and found.problem and found.hint
    lost = code in ("retention-too-short", "queue-without-alarm", "alarm-without-actions")
    assert found.level == ("warning" if lost else "error")


def test_an_alarm_whose_actions_are_off_is_told_apart_from_one_without_any():
    (found,) = findings(replace(WELL, alarms=(replace(ALARM, enabled=False),)))
    assert "switched off" in found.problem and "enable-alarm-actions" in found.hint


def test_a_queue_whose_letters_live_shorter_than_the_function_retries_is_found():
    queue, handler = replace(LETTERS, retention_s=21_600), replace(HANDLER, max_age_s=21_601)
    (found,) = findings(replace(WELL, queues=(queue,), functions=(handler,)))
    assert found.code == "retention-too-short" and "21601" in found.problem


def test_a_target_with_a_role_needs_no_policy_of_the_function():
    target, handler = replace(TARGET, role_arn="arn:aws:iam::1:role/x"), replace(HANDLER, policy={})
    assert findings(replace(WELL, targets=(target,), functions=(handler,))) == []


def test_errors_come_before_warnings():
    worse = replace(WELL, alarms=(), functions=(replace(HANDLER, policy={}),))
    assert [one.level for one in findings(worse)] == ["error", "warning"]


@pytest.mark.parametrize(
    ("document", "allowed"),
    [
        (policy("lambda:InvokeFunction"), True),
        (policy("lambda:*"), True),
        (policy("LAMBDA:invokefunction"), True),
        (policy("lambda:GetFunction"), False),
        (policy("lambda:InvokeFunction", source=[RULE, "other"]), True),
        (policy("lambda:InvokeFunction", source="arn:aws:events:eu-west-1:123456789012:rule/*"), True),
        (policy("lambda:InvokeFunction", source="arn:aws:events:eu-west-1:123456789012:rule/other"), False),
        (policy("lambda:InvokeFunction", Principal="*"), True),
        (policy("lambda:InvokeFunction", Principal={"AWS": "*"}), True),
        (policy("lambda:InvokeFunction", Principal={"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}), True),
        (policy("lambda:InvokeFunction", Principal={"Service": "s3.amazonaws.com"}), False),
        (policy("lambda:InvokeFunction", Condition={}), True),
        (policy("lambda:InvokeFunction", Condition={"StringEquals": {"AWS:SourceAccount": "123456789012"}}), True),
        (policy("lambda:InvokeFunction", Condition={"StringEquals": {"AWS:SourceAccount": "1"}}), False),
        (policy("lambda:InvokeFunction", "StringEquals", source="arn:aws:events:*"), False),
        (policy("lambda:InvokeFunction", "ArnNotLike"), False),
        (policy("lambda:InvokeFunction", "ArnNotLike", source="other"), True),
        (policy("lambda:InvokeFunction", Effect="Deny"), False),
        ({"Statement": policy("lambda:InvokeFunction")["Statement"][0]}, True),
        ({}, False),
    ],
)
def test_a_policy_is_read_as_aws_reads_it(document: dict[str, Any], allowed: bool):
    assert allows(document, "lambda:InvokeFunction", RULE) is allowed


def test_a_deny_wins_over_an_allow():
    both = policy("lambda:InvokeFunction")["Statement"] + policy("lambda:*", Effect="Deny")["Statement"]
    assert not allows({"Statement": both}, "lambda:InvokeFunction", RULE)
