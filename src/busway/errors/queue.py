"""SQS-shaped queues."""

from __future__ import annotations

from busway.errors.root import BuswayError


class QueueError(BuswayError):
    """Base of what the queue room refuses: a bad request, not a fault of ours."""


class QueueNotFound(QueueError):
    """No such queue."""

    def __init__(self, arn: str) -> None:
        super().__init__("The specified queue does not exist.")
        self.arn = arn


class QueueNameTaken(QueueError):
    """A queue of that name exists and `attribute` has another value there."""

    def __init__(self, name: str, attribute: str) -> None:
        super().__init__(f"A queue already exists with the same name and a different value for attribute {attribute}")
        self.name, self.attribute = name, attribute


class InvalidQueueRequest(QueueError):
    """A parameter of a queue request has a value that cannot be used."""


class MissingQueueParameter(QueueError):
    """A parameter that the request needs is absent or empty."""

    def __init__(self, parameter: str) -> None:
        super().__init__(f"The request must contain the parameter {parameter}.")
        self.parameter = parameter


class UnknownQueueAttribute(QueueError):
    """No attribute of that name, or none that can be set on this kind of queue."""

    def __init__(self, attribute: str) -> None:
        super().__init__(f"Unknown Attribute {attribute}.")
        self.attribute = attribute


class InvalidQueueAttribute(QueueError):
    """A queue attribute's value is out of its range or not of its form."""

    def __init__(self, attribute: str, reason: str = "") -> None:
        super().__init__(f"Invalid value for the parameter {attribute}.{' Reason: ' if reason else ''}{reason}")
        self.attribute = attribute


class InvalidMessage(QueueError):
    """A message body with characters that the queue does not carry."""


class InvalidReceiptHandle(QueueError):
    """A text that is not a receipt handle of this queue."""

    def __init__(self, handle: str) -> None:
        super().__init__(f'The input receipt handle "{handle}" is not a valid receipt handle.')
        self.handle = handle


class MessageNotInFlight(QueueError):
    """The message is not held by this receipt handle any more: it went back to the queue."""


class PurgeInProgress(QueueError):
    """The queue was purged less than a minute ago."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Only one PurgeQueue operation on {name} is allowed every 60 seconds.")
        self.name = name


class QueueDeletedRecently(QueueError):
    """A queue of that name was deleted a moment ago."""

    def __init__(self, name: str, wait_s: float) -> None:
        super().__init__(
            f"You must wait {wait_s:.0f} seconds after deleting a queue before you can create another with the same "
            "name."
        )
        self.name = name


class QueueLimitExceeded(QueueError):
    """A queue holds, or a request asks for, more than there may be."""


class NoSuchMove(QueueError):
    """A queue that is to be moved from or to, or the task that moves, does not exist."""


class MoveNotRunning(QueueError):
    """The task ended, so it can't be cancelled."""
