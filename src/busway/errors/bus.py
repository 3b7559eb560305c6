"""Buses, rules, targets, deliveries and their way back."""

from __future__ import annotations

from collections.abc import Mapping

from busway.errors.root import BuswayError


class InvalidTargetInput(BuswayError):
    """What a target should get (InputPath, InputTransformer) can't be understood; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnsendablePayload(BuswayError):
    """An event and a target's input settings make no valid JSON together. `body` is what came out."""

    def __init__(self, message: str, body: bytes) -> None:
        super().__init__(message)
        self.body = body


class BusError(BuswayError):
    """Base of what a call about buses, rules and targets can be refused with, in AWS's words where it has some."""


class MalformedDetail(BusError):
    """Detail of an entry is not a JSON object."""


class MalformedTime(BusError):
    """Time of an entry is outside what an event can say."""


class InvalidBusRequest(BusError):
    """A value in the call, or the state of what it is about, does not allow it."""


class BusNotFound(BusError):
    """No bus of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Event bus {name} does not exist.")
        self.name = name


class BusExists(BusError):
    """There is a bus of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Event bus {name} already exists.")
        self.name = name


class RuleNotFound(BusError):
    """No rule of this name on the bus."""

    def __init__(self, rule: str, bus: str) -> None:
        super().__init__(f"Rule {rule} does not exist on EventBus {bus}.")
        self.rule, self.bus = rule, bus


class StatementNotFound(BusError):
    """The policy of the bus has no statement of this id."""


class BusPolicyTooLong(BusError):
    """The policy of the bus would be longer than AWS's 10,240 characters."""


class BusLimitExceeded(BusError):
    """A quota: buses, rules on a bus, targets of a rule."""


class NoWayBack(BuswayError):
    """A dead letter of a kind that no room takes back."""

    def __init__(self, message_id: str, kind: str) -> None:
        super().__init__(f"message {message_id}: nothing takes back dead letters of the kind {kind!r}")
        self.message_id, self.kind = message_id, kind


class NotEditable(BuswayError):
    """A dead letter whose content is no event of its own, so that there is nothing to edit; it stays."""

    def __init__(self, message_id: str) -> None:
        super().__init__(f"message {message_id} is records of a stream, which are not edited")
        self.hint = "`busway redrive` without an edit runs each of them again"
        self.message_id = message_id


class TargetRefused(BuswayError):
    """A target that cannot take a redriven delivery; the dead letter stays."""

    def __init__(self, arn: str, reason: str) -> None:
        super().__init__(f"target {arn}: {reason}")
        self.arn, self.reason = arn, reason


class NoSuchDestination(BuswayError):
    """A destination of a kind that this server does not have."""

    def __init__(self, arn: str, kinds: Mapping[str, str]) -> None:
        super().__init__(f"destination {arn}: wanted {', '.join(kinds.values())} of this server")
        self.arn = arn
