"""A stack: the state it is in, a change set made and executed, and what happens meanwhile, told as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, cast

import msgspec

from busway.errors import AwsRefused, StackUnusable
from busway.road.aws.access import Aws

# Ours: between two looks. CloudFormation makes a function in some ten seconds.
LOOK_EVERY_S = 3.0
# Ours: how often it is looked for the beginning of what was begun.
LOOKS_MAX = 20
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html (status codes)
_EMPTY = "REVIEW_IN_PROGRESS"
_CREATES = frozenset(("", _EMPTY, "DELETE_COMPLETE"))
_UPDATES = frozenset(
    (
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    )
)
_SUCCEEDED = frozenset(("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"))
_UNCHANGED = ("didn't contain changes", "No updates are to be performed", "The submitted information didn't contain")
REASONS_MAX = 5

Sleep = Callable[[float], None]


class Progress(msgspec.Struct, frozen=True):
    """Something that happened: `what` by its name, its new `status`, and AWS's reason, if it gave one."""

    what: str
    status: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.status}" + (f" ({self.reason})" if self.reason else "")


Say = Callable[[Progress], None]


class StackState(msgspec.Struct, frozen=True):
    """A stack as it is; `status` "" for one that is not there. Hidden parameters have no value."""

    name: str
    id: str = ""
    status: str = ""
    reason: str = ""
    changed: str = ""
    parameters: dict[str, str] = {}
    outputs: dict[str, str] = {}

    @property
    def exists(self) -> bool:
        return self.status not in _CREATES

    @property
    def moves(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status not in _CREATES


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change set to be made: the template's address, and parameters as CloudFormation takes them."""

    name: str
    template_url: str
    parameters: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack. `sleep` waits so many seconds."""

    aws: Aws
    name: str
    say: Say
    sleep: Sleep

    def state(self, of: str = "") -> StackState:
        """`of`: its id, by which also a deleted stack is found."""
        try:
            (found,) = self._call("DescribeStacks", StackName=of or self.name)["Stacks"]
        except AwsRefused as refusal:
            if refusal.code == "ValidationError" and "does not exist" in refusal.reason:
                return StackState(self.name)
            raise
        return StackState(
            self.name,
            found["StackId"],
            found["StackStatus"],
            found.get("StackStatusReason", ""),
            str(found.get("LastUpdatedTime") or found.get("CreationTime") or ""),
            {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters", [])},
            {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])},
        )

    def template(self) -> dict[str, Any]:
        """The template that is deployed, as it was given."""
        found: Any = self._call("GetTemplate", StackName=self.name, TemplateStage="Original")["TemplateBody"]
        # botocore reads JSON; not every CloudFormation that is not AWS's writes it so that it does.
        return msgspec.json.decode(found) if isinstance(found, str) else cast(dict[str, Any], found)

    def ready(self) -> StackState:
        """Wait for what somebody else, or a deploy that was interrupted, began. Raises StackUnusable."""
        state = self.state()
        if state.moves:
            self.say(Progress(self.name, state.status, "waiting for the change before to end"))
            state = self.settled(state.id, self._newest(state.id))
        if state.status == _EMPTY:
            # A first deploy was interrupted before it began to make anything; what it would have made is not ours.
            self._call("DeleteStack", StackName=state.id)
            state = self.settled(state.id, self._newest(state.id))
        if state.status not in _CREATES | _UPDATES:
            raise _unusable(state)
        return state

    def make(self, change: ChangeSet, state: StackState) -> list[dict[str, Any]] | None:
        """Make a change set; the changes it would make, None for none at all. Raises StackUnusable."""
        # What somebody changed by hand is set back, and told of before.
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html
        update = {"ChangeSetType": "UPDATE", "DeploymentMode": "REVERT_DRIFT"}
        # A first deploy that fails leaves nothing that the next one could not go on from.
        create = {"ChangeSetType": "CREATE", "OnStackFailure": "DELETE"}
        # What a rule or an earlier stack left behind under this name is taken over.
        return self._made(change, ImportExistingResources=True, **(update if state.exists else create))

    def take(self, change: ChangeSet, resources: Sequence[Mapping[str, Any]]) -> StackState:
        """Take resources into the stack as they are; the stack then. Raises StackUnusable."""
        self._made(change, ChangeSetType="IMPORT", ResourcesToImport=list(resources))
        return self.execute(change.name)

    def _made(self, change: ChangeSet, **more: Any) -> list[dict[str, Any]] | None:
        wanted: dict[str, Any] = {
            "StackName": self.name,
            "ChangeSetName": change.name,
            "TemplateURL": change.template_url,
            "Parameters": list(change.parameters),
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            **more,
        }
        try:
            self._call("CreateChangeSet", **wanted)
        except AwsRefused as refusal:
            if refusal.code not in ("AlreadyExists", "AlreadyExistsException"):
                raise
            # Of a deploy that was interrupted.
            self.drop(change.name)
            self._call("CreateChangeSet", **wanted)
        return self._changes(change.name)

    def _changes(self, name: str) -> list[dict[str, Any]] | None:
        while True:
            found = self._call("DescribeChangeSet", StackName=self.name, ChangeSetName=name)
            if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                break
            self.sleep(LOOK_EVERY_S)
        reason = str(found.get("StatusReason", ""))
        if found["Status"] == "FAILED":
            self.drop(name)
            if any(words in reason for words in _UNCHANGED):
                return None
            raise StackUnusable(f"CloudFormation refused the change of {self.name}: {reason}", _hint(reason))
        changes = list(found.get("Changes", []))
        while found.get("NextToken"):
            found = self._call(
                "DescribeChangeSet", StackName=self.name, ChangeSetName=name, NextToken=found["NextToken"]
            )
            changes += found.get("Changes", [])
        return changes

    def drop(self, name: str) -> None:
        self._call("DeleteChangeSet", StackName=self.name, ChangeSetName=name)

    def execute(self, name: str) -> StackState:
        """Execute a change set and wait for its end, telling what happens. Raises StackUnusable with the reasons."""
        stack = self.state()
        newest = self._newest(stack.id)
        self._call("ExecuteChangeSet", StackName=self.name, ChangeSetName=name)
        failures: list[Progress] = []
        state = self.settled(stack.id, newest, failures, begins=True)
        if state.status in _SUCCEEDED:
            return state
        reasons = "\n".join(f"  {failure}" for failure in failures[:REASONS_MAX])
        raise StackUnusable(
            f"the change of {self.name} failed; the stack is {state.status}\n{reasons}",
            "what was there before is there still; mend this and deploy again"
            if state.status == "UPDATE_ROLLBACK_COMPLETE"
            else "mend this and deploy again",
        )

    def settled(
        self, stack_id: str, after: str, failures: list[Progress] | None = None, *, begins: bool = False
    ) -> StackState:
        """Wait until nothing moves. `begins`: something was begun, and may not be seen to move yet."""
        seen, looks = {after}, 0
        while True:
            state = self.state(stack_id)
            for event in self._events(stack_id, seen):
                self.say(event)
                begins = False
                # "cancelled" is what happens to others when one fails.
                if failures is not None and event.status.endswith("_FAILED") and "cancelled" not in event.reason:
                    failures.append(event)
            looks += 1
            if not state.moves and (not begins or looks > LOOKS_MAX):
                return state
            self.sleep(LOOK_EVERY_S)

    def _events(self, stack_id: str, seen: set[str]) -> Iterator[Progress]:
        """What happened since the last look, the oldest first. Events come newest first, a page at a time."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"StackName": stack_id}
        while True:
            answer = self._call("DescribeStackEvents", **page)
            events: list[dict[str, Any]] = answer["StackEvents"]
            fresh = list(takewhile(lambda event: event["EventId"] not in seen, events))
            found += fresh
            if len(fresh) < len(events) or not answer.get("NextToken"):
                break
            page["NextToken"] = answer["NextToken"]
        for event in reversed(found):
            seen.add(event["EventId"])
            yield Progress(
                event.get("LogicalResourceId", ""),
                event.get("ResourceStatus", ""),
                event.get("ResourceStatusReason", ""),
            )

    def _newest(self, stack_id: str) -> str:
        events = self._call("DescribeStackEvents", StackName=stack_id)["StackEvents"]
        return events[0]["EventId"] if events else ""

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.aws.call("cloudformation", operation, **parameters)


def _unusable(state: StackState) -> StackUnusable:
    if state.status == "UPDATE_ROLLBACK_FAILED":
        return StackUnusable(
            f"the stack {state.name} is UPDATE_ROLLBACK_FAILED: {state.reason}",
            f"mend what it names, then: aws cloudformation continue-update-rollback --stack-name {state.name}",
        )
    return StackUnusable(
        f"the stack {state.name} is {state.status}, which CloudFormation lets nobody change: {state.reason}",
        f"it holds nothing that works; delete it and deploy again: aws cloudformation delete-stack "
        f"--stack-name {state.name}",
    )


def _hint(reason: str) -> str:
    if "already exists" in reason or "belongs to" in reason:
        return (
            "something of this name is in another stack; for the bus: create_bus = false in the environment's "
            "settings, for the rest: another name"
        )
    return ""
