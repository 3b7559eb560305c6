"""A stack in every state that one meets it in, by answers in AWS's own shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from busway.errors import StackUnusable
from busway.road.aws.access import Aws
from busway.road.aws.adopt import importing
from busway.road.aws.compare import by_hand
from busway.road.aws.stack import ChangeSet, Progress, Stack, StackState

ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop-prod/1"
CHANGE = ChangeSet("busway-1", "https://s3/t.json", [])


class Script:
    """CloudFormation that answers as it was told, in this order, and holds that it is asked so."""

    def __init__(self) -> None:
        client = boto3.client(
            "cloudformation", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.stub, self.said, self.slept = Stubber(client), [], []
        self.stub.activate()
        self.stack = Stack(Aws("eu-west-1", lambda _: client), "shop-prod", self.said.append, self.slept.append)

    def state(self, status: str, reason: str = "") -> None:
        stack = {"StackName": "shop-prod", "StackId": ID, "StackStatus": status, "CreationTime": datetime.now(UTC)}
        self.stub.add_response("describe_stacks", {"Stacks": [{**stack, "StackStatusReason": reason}]})

    def absent(self) -> None:
        self.stub.add_client_error("describe_stacks", "ValidationError", "Stack with id shop-prod does not exist")

    def events(self, *events: tuple[str, str, str, str], more: str = "") -> None:
        """(id, what, status, reason), the newest first."""
        found = [
            {
                "StackId": ID, "StackName": "shop-prod", "EventId": number, "LogicalResourceId": what,
                "ResourceStatus": status, "ResourceStatusReason": reason, "Timestamp": datetime.now(UTC),
            }
            for number, what, status, reason in events
        ]  # fmt: skip
        self.stub.add_response(
            "describe_stack_events", {"StackEvents": found, **({"NextToken": more} if more else {})}
        )

    def expect(self, operation: str, answer: dict[str, Any], **parameters: Any) -> None:
        self.stub.add_response(operation, answer, parameters or None)


@pytest.fixture
def script():
    made = Script()
    yield made
    made.stub.assert_no_pending_responses()


def test_a_stack_that_is_not_there_or_can_be_changed_is_ready(script: Script):
    script.absent()
    assert not script.stack.ready().exists
    script.state("UPDATE_ROLLBACK_COMPLETE")
    assert script.stack.ready().exists


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_FAILED"])
def test_a_stack_that_nobody_can_change_is_told_with_the_command_that_ends_it(script: Script, status: str):
    script.state(status, "the role may not")
    with pytest.raises(StackUnusable, match=f"shop-prod is {status}.*the role may not") as told:
        script.stack.ready()
    assert "aws cloudformation delete-stack --stack-name shop-prod" in told.value.hint


def test_a_rollback_that_failed_is_told_with_the_command_that_goes_on(script: Script):
    script.state("UPDATE_ROLLBACK_FAILED", "a queue is gone")
    with pytest.raises(StackUnusable, match="a queue is gone") as told:
        script.stack.ready()
    assert "continue-update-rollback --stack-name shop-prod" in told.value.hint


def test_a_change_that_somebody_began_is_waited_for_and_told(script: Script):
    script.state("UPDATE_IN_PROGRESS")
    script.events(("1", "Old", "CREATE_COMPLETE", ""))
    script.state("UPDATE_IN_PROGRESS")
    older = ("0", "Older", "CREATE_COMPLETE", "")
    script.events(("2", "Queue", "UPDATE_COMPLETE", ""), ("1", "Old", "CREATE_COMPLETE", ""), older)
    script.state("UPDATE_COMPLETE")
    script.events(("3", "shop-prod", "UPDATE_COMPLETE", ""), ("2", "Queue", "UPDATE_COMPLETE", ""))
    assert script.stack.ready().status == "UPDATE_COMPLETE"
    assert [str(one) for one in script.said[1:]] == ["Queue: UPDATE_COMPLETE", "shop-prod: UPDATE_COMPLETE"]
    assert script.slept == [3.0]


def test_a_stack_that_was_never_begun_is_ended_before_it_is_made(script: Script):
    script.state("REVIEW_IN_PROGRESS")
    script.expect("delete_stack", {}, StackName=ID)
    script.events()
    script.state("DELETE_COMPLETE")
    script.events()
    assert not script.stack.ready().exists


def test_a_first_change_set_creates_and_leaves_nothing_when_it_fails(script: Script):
    wanted = {
        "StackName": "shop-prod", "ChangeSetName": "busway-1", "ChangeSetType": "CREATE",
        "TemplateURL": "https://s3/t.json", "Parameters": [],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"], "ImportExistingResources": True,
        "OnStackFailure": "DELETE",
    }  # fmt: skip
    script.expect("create_change_set", {}, **wanted)
    script.expect("describe_change_set", {"Status": "CREATE_IN_PROGRESS"})
    script.expect("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": [{"Type": "Resource"}]})
    assert script.stack.make(CHANGE, StackState("shop-prod")) == [{"Type": "Resource"}]
    assert script.slept == [3.0]


def test_a_change_set_sets_back_what_was_changed_by_hand(script: Script):
    script.expect("create_change_set", {}, StackName="shop-prod", ChangeSetName="busway-1", ChangeSetType="UPDATE",
                  TemplateURL="https://s3/t.json", Parameters=[], DeploymentMode="REVERT_DRIFT", Capabilities=ANY,
                  ImportExistingResources=True)  # fmt: skip
    script.expect("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": []})
    assert script.stack.make(CHANGE, StackState("shop-prod", ID, "UPDATE_COMPLETE")) == []


def test_what_was_changed_by_hand_is_told_by_property():
    target = {
        "Attribute": "Properties", "Path": "/Properties/EventPattern/source/0", "BeforeValue": "shop",
        "Drift": {"PreviousValue": "shop", "ActualValue": "evil", "DriftDetectionTimestamp": datetime.now(UTC)},
    }  # fmt: skip
    ours = {"Attribute": "Properties", "Path": "/Properties/State", "BeforeValue": "ENABLED"}
    change = {"LogicalResourceId": "Rule", "ResourceDriftStatus": "MODIFIED"}
    told = by_hand({**change, "Details": [{"Target": target}, {"Target": ours}]})
    assert [str(one) for one in told] == ["! Rule EventPattern/source/0: it is evil, and was deployed as shop"]
    gone = by_hand({"LogicalResourceId": "Rule", "ResourceDriftStatus": "DELETED"})
    assert [str(one) for one in gone] == ["! Rule was deleted by hand"]
    assert by_hand({"LogicalResourceId": "Rule", "ResourceDriftStatus": "IN_SYNC"}) == []


def test_queues_that_are_there_are_imported_by_their_names_beside_what_is_deployed():
    deployed = {"Parameters": {"Level": {"Type": "String"}}, "Resources": {"Bus": {"Type": "AWS::Events::EventBus"}}}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "RedrivePolicy": {"Fn::GetAtt": "Other"}}}
    assert importing(deployed, {"Resources": {"Queue": queue, "New": {}}}, ["Queue"]) == {
        "Parameters": {"Level": {"Type": "String"}},
        "Resources": {
            "Bus": {"Type": "AWS::Events::EventBus"},
            "Queue": {
                "Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
                "Properties": {"QueueName": "q"},
            },
        },
    }  # fmt: skip


def test_resources_are_taken_into_a_stack_by_an_import(script: Script):
    queue = {
        "ResourceType": "AWS::SQS::Queue", "LogicalResourceId": "Queue", "ResourceIdentifier": {"QueueUrl": "https://q"},
    }  # fmt: skip
    script.expect(
        "create_change_set", {}, StackName="shop-prod", ChangeSetName="busway-1", ChangeSetType="IMPORT",
        TemplateURL="https://s3/t.json", Parameters=[], Capabilities=ANY, ResourcesToImport=[queue],
    )  # fmt: skip
    script.expect("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": []})
    begun(script)
    script.state("IMPORT_COMPLETE")
    script.events(("2", "Queue", "IMPORT_COMPLETE", ""), ("1", "shop-prod", "UPDATE_COMPLETE", ""))
    assert script.stack.take(CHANGE, [queue]).status == "IMPORT_COMPLETE"


def test_a_change_set_that_an_interruption_left_is_made_anew(script: Script):
    script.stub.add_client_error("create_change_set", "AlreadyExistsException", "there")
    script.expect("delete_change_set", {}, StackName="shop-prod", ChangeSetName="busway-1")
    script.expect("create_change_set", {})
    script.expect("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": [], "NextToken": "2"})
    script.expect("describe_change_set", {"Changes": [{"Type": "Resource"}]}, StackName="shop-prod",
                  ChangeSetName="busway-1", NextToken="2")  # fmt: skip
    assert script.stack.make(CHANGE, StackState("shop-prod", ID, "UPDATE_COMPLETE")) == [{"Type": "Resource"}]


def test_a_change_set_without_changes_is_none_and_is_dropped(script: Script):
    script.expect("create_change_set", {})
    reason = "The submitted information didn't contain changes. Submit different information to create a change set."
    script.expect("describe_change_set", {"Status": "FAILED", "StatusReason": reason})
    script.expect("delete_change_set", {}, StackName="shop-prod", ChangeSetName="busway-1")
    assert script.stack.make(CHANGE, StackState("shop-prod", ID, "UPDATE_COMPLETE")) is None


def test_a_change_set_that_is_refused_says_why_and_what_helps(script: Script):
    script.expect("create_change_set", {})
    script.expect("describe_change_set", {"Status": "FAILED", "StatusReason": "bus orders already exists"})
    script.expect("delete_change_set", {}, StackName=ANY, ChangeSetName=ANY)
    with pytest.raises(StackUnusable, match="bus orders already exists") as told:
        script.stack.make(CHANGE, StackState("shop-prod"))
    assert "create_bus = false" in told.value.hint


def begun(script: Script) -> None:
    script.state("UPDATE_COMPLETE")
    script.events(("1", "shop-prod", "UPDATE_COMPLETE", ""))
    script.expect("execute_change_set", {}, StackName="shop-prod", ChangeSetName="busway-1")


def test_what_happens_is_told_as_it_happens_over_several_pages(script: Script):
    begun(script)
    # It may not be seen to move yet.
    script.state("UPDATE_COMPLETE")
    script.events(("1", "shop-prod", "UPDATE_COMPLETE", ""))
    script.state("UPDATE_IN_PROGRESS")
    script.events(("3", "Queue", "UPDATE_IN_PROGRESS", ""), more="2")
    script.events(
        ("2", "shop-prod", "UPDATE_IN_PROGRESS", "User Initiated"), ("1", "shop-prod", "UPDATE_COMPLETE", "")
    )
    script.state("UPDATE_COMPLETE")
    script.events(("4", "shop-prod", "UPDATE_COMPLETE", ""), ("3", "Queue", "UPDATE_IN_PROGRESS", ""))
    assert script.stack.execute("busway-1").status == "UPDATE_COMPLETE"
    assert script.said == [
        Progress("shop-prod", "UPDATE_IN_PROGRESS", "User Initiated"),
        Progress("Queue", "UPDATE_IN_PROGRESS"),
        Progress("shop-prod", "UPDATE_COMPLETE"),
    ]


def test_a_change_that_failed_names_the_reasons_and_not_what_was_cancelled(script: Script):
    begun(script)
    script.state("UPDATE_ROLLBACK_COMPLETE")
    script.events(
        ("4", "shop-prod", "UPDATE_ROLLBACK_COMPLETE", ""),
        ("3", "LedgerAlarm", "CREATE_FAILED", "Resource creation cancelled"),
        ("2", "LedgerFunction", "CREATE_FAILED", "The role may not be assumed"),
        ("1", "shop-prod", "UPDATE_COMPLETE", ""),
    )
    with pytest.raises(StackUnusable) as told:
        script.stack.execute("busway-1")
    assert "LedgerFunction: CREATE_FAILED (The role may not be assumed)" in str(told.value)
    assert "LedgerAlarm" not in str(told.value)
    assert "what was there before is there still" in told.value.hint
