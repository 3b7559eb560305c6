"""The model's constraints in AWS's words (the messages are recorded ones where a service of AWS shows them)."""

from __future__ import annotations

from typing import Any

import pytest

from busway.aws.shapes import load_model
from busway.aws.validation import Validator, dialect_of
from busway.aws.wording import validation_message

EVENTS = Validator(load_model("events"))
ENTRY = {"Source": "s", "DetailType": "t", "Detail": "{}"}


def told(shape: str, request: dict[str, Any]) -> str:
    return validation_message(EVENTS.faults(shape, request))


def test_a_request_in_order_has_no_faults():
    assert EVENTS.faults("PutEventsRequest", {"Entries": [ENTRY]}) == []
    assert (
        EVENTS.faults("PutRuleRequest", {"Name": "r", "State": "ENABLED", "Tags": [{"Key": "k", "Value": ""}]}) == []
    )


def test_more_than_ten_entries_are_told_with_the_entries():
    text = told("PutEventsRequest", {"Entries": [ENTRY] * 11})
    assert text.startswith(
        "1 validation error detected: Value '[PutEventsRequestEntry(time=null, source=s, resources=null, "
        "detailType=t, detail={}, eventBusName=null, traceHeader=null"
    )
    assert text.endswith(
        "' at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10"
    )


def test_an_empty_list_fails_on_its_least_length():
    assert told("PutEventsRequest", {"Entries": []}) == (
        "1 validation error detected: Value '[]' at 'entries' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )


def test_a_missing_member_is_null():
    assert told("PutEventsRequest", {}) == (
        "1 validation error detected: Value null at 'entries' failed to satisfy constraint: Member must not be null"
    )


def test_places_in_lists_count_from_one_and_several_faults_are_joined():
    targets = [{"Id": "ok", "Arn": "a"}, {"Id": "no space", "Arn": "a"}, {"Arn": "a"}]
    assert told("PutTargetsRequest", {"Rule": "r", "Targets": targets}) == (
        "2 validation errors detected: Value 'no space' at 'targets.2.member.id' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+; "
        "Value null at 'targets.3.member.id' failed to satisfy constraint: Member must not be null"
    )


def test_an_id_that_is_too_long_is_told_with_its_length():
    text = told("PutTargetsRequest", {"Rule": "r", "Targets": [{"Id": "x" * 65, "Arn": "a"}]})
    assert text.endswith(
        "at 'targets.1.member.id' failed to satisfy constraint: Member must have length less than or equal to 64"
    )


def test_a_number_out_of_range_is_told_by_its_value():
    policy = {"MaximumRetryAttempts": 186, "MaximumEventAgeInSeconds": 59}
    faults = EVENTS.faults(
        "PutTargetsRequest", {"Rule": "r", "Targets": [{"Id": "i", "Arn": "a", "RetryPolicy": policy}]}
    )
    assert faults == [
        "Value '186' at 'targets.1.member.retryPolicy.maximumRetryAttempts' failed to satisfy constraint: "
        "Member must have value less than or equal to 185",
        "Value '59' at 'targets.1.member.retryPolicy.maximumEventAgeInSeconds' failed to satisfy constraint: "
        "Member must have value greater than or equal to 60",
    ]


def test_a_word_outside_of_an_enumeration_is_told_with_all_words():
    assert told("PutRuleRequest", {"Name": "r", "State": "ON"}) == (
        "1 validation error detected: Value 'ON' at 'state' failed to satisfy constraint: Member must satisfy enum "
        "value set: [ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]"
    )


def test_the_scalars_of_a_map_are_told_at_the_map():
    transformer = {"InputTemplate": '"x"', "InputPathsMap": {"bad key": "$.x"}}
    targets = [{"Id": "i", "Arn": "a", "InputTransformer": transformer}]
    text = told("PutTargetsRequest", {"Rule": "r", "Targets": targets})
    assert "Value '{bad key=$.x}' at 'targets.1.member.inputTransformer.inputPathsMap'" in text
    assert "Map keys must satisfy constraint: [Member must have length less than or equal to 256, " in text


def test_the_scalars_of_a_list_are_told_at_the_list():
    validator = Validator(load_model("cloudwatch"))
    faults = validator.faults("DescribeAlarmsInput", {"AlarmTypes": ["MetricAlarm", "Nonsense"]})
    assert len(faults) == 1
    assert faults[0].startswith(
        "Value '[MetricAlarm, Nonsense]' at 'alarmTypes' failed to satisfy constraint: Member must satisfy "
        "constraint: [Member must satisfy enum value set: ["
    )


def test_null_in_a_list_is_told_at_its_place():
    assert "Value null at 'entries.1.member'" in told("PutEventsRequest", {"Entries": [None]})


def test_a_sensitive_value_is_not_shown():
    auth = {"ApiKeyAuthParameters": {"ApiKeyName": "n", "ApiKeyValue": "canary" * 100}}
    request = {"Name": "c", "AuthorizationType": "API_KEY", "AuthParameters": auth}
    assert told("CreateConnectionRequest", request) == (
        "1 validation error detected: Value at 'authParameters.apiKeyAuthParameters.apiKeyValue' failed to satisfy "
        "constraint: Member must have length less than or equal to 512"
    )


def test_a_long_value_is_cut_so_that_an_error_is_not_a_megabyte():
    text = told("PutEventsRequest", {"Entries": [ENTRY | {"Detail": "x" * 100_000}] * 11})
    assert len(text) < 3000


def test_javas_unicode_classes_are_understood():
    lambdas = Validator(load_model("lambda"))
    arn = "arn:aws:lambda:eu-west-1:000000000000:function:f"
    assert lambdas.faults("TagResourceRequest", {"Resource": arn, "Tags": {"Größe ٣": "ü_.:/=+-@"}}) == []
    assert lambdas.faults("TagResourceRequest", {"Resource": arn, "Tags": {"no!": "x"}})


def test_sqs_names_the_first_missing_parameter_and_leaves_enumerations_to_its_operations():
    dialect = dialect_of("sqs")
    validator = Validator(load_model("sqs"), dialect)
    error = dialect.error(validator.faults("SendMessageRequest", {}))
    assert (error.code, error.message) == (
        "MissingRequiredParameterException",
        "The request must contain the parameter QueueUrl.",
    )
    assert validator.faults("SetQueueAttributesRequest", {"QueueUrl": "u", "Attributes": {"Nonsense": "1"}}) == []


@pytest.mark.parametrize("service", ["events", "lambda", "sqs", "sesv2", "cloudwatch", "sts"])
def test_every_shape_of_every_service_compiles(service: str):
    model = load_model(service)
    validator = Validator(model, dialect_of(service))
    for name in model.shapes:
        validator.check(name)
