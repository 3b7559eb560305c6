"""Every error that Busway raises on purpose, one class per thing the caller can do about it.

    BuswayError
     +-- StorageFull, CorruptRecord, VersionConflict, EngineStopped, DataInUse, DataTooNew   (engine)
     +-- InvalidPattern, InvalidEvent                                                         (pattern)
     +-- and one group a room below

The message says where, what was found, what was wanted; what it names is also an attribute. AWS codes and
HTTP statuses are given in `aws/errors.py`, by class: no room below `aws` knows them.
"""

from __future__ import annotations


class BuswayError(Exception):
    """Base of all. `hint` is one line that says what to run or change, shown by the command line."""

    hint: str = ""


# --- engine -------------------------------------------------------------------------------------------------


class StorageFull(BuswayError):
    """The disk is full: nothing was stored. What was accepted before is still being delivered."""


class CorruptRecord(BuswayError):
    """A stored record does not fit its checksum; it is never delivered and never skipped in silence."""


class VersionConflict(BuswayError):
    """A record changed since it was read."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        super().__init__(f"record {key!r}: expected version {expected}, found {found}")
        self.key, self.expected, self.found = key, expected, found


class EngineStopped(BuswayError):
    """The engine was closed, or stopped itself after an I/O error; nothing more is stored."""


class DataInUse(BuswayError):
    """Another process holds the data folder."""


class DataTooNew(BuswayError):
    """The data folder was written by a newer Busway."""


# --- pattern ------------------------------------------------------------------------------------------------


class InvalidPattern(BuswayError):
    """An event pattern that does not compile. `reason` is AWS's text, `location` its second line or ""."""

    def __init__(self, reason: str, location: str = "") -> None:
        super().__init__(f"Event pattern is not valid. Reason: {reason}{location}")
        self.reason, self.location = reason, location


class InvalidEvent(BuswayError):
    """A text that should be an event but is not a JSON object."""


# --- queue --------------------------------------------------------------------------------------------------


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
        super().__init__(
            f"A queue already exists with the same name and a different value for attribute {attribute}"
        )
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


class QueueFeatureNotBuilt(QueueError):
    """AWS has it, Busway has not yet."""


# --- mail ---------------------------------------------------------------------------------------------------


class InvalidMail(BuswayError):
    """An email that cannot be sent as asked: an address, a header or a part is wrong or missing."""


class MailRefused(BuswayError):
    """The SMTP server refused the email for good; sending it again will not help."""


class MailServerUnavailable(BuswayError):
    """The SMTP server did not answer, or refused for now; the email was not sent."""
