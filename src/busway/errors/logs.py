"""Log groups: what is not there, what is there already, what cannot be taken; in AWS's words where they are known."""

from __future__ import annotations

from busway.errors.root import BuswayError


class LogsError(BuswayError):
    """A request about log groups that cannot be done."""


class LogGroupNotFound(LogsError):
    """No log group of that name."""

    def __init__(self, name: str) -> None:
        super().__init__("The specified log group does not exist.")
        self.name = name


class LogStreamNotFound(LogsError):
    """The group has no stream of that name."""

    def __init__(self, name: str) -> None:
        super().__init__("The specified log stream does not exist.")
        self.name = name


class LogGroupExists(LogsError):
    """A group has that name already."""

    def __init__(self, name: str) -> None:
        super().__init__("The specified log group already exists")
        self.name = name


class LogStreamExists(LogsError):
    """A stream of the group has that name already."""

    def __init__(self, name: str) -> None:
        super().__init__("The specified log stream already exists")
        self.name = name


class LogLimitExceeded(LogsError):
    """As many groups, streams or tags as are kept, or as many sessions of Live Tail as there may be."""


class InvalidLogRequest(LogsError):
    """A request, or log events, that do not fit."""


class InvalidLogFilter(LogsError):
    """A filter pattern that says nothing, or something that is not built."""


class InvalidLogOperation(LogsError):
    """What groups of this class cannot do."""


class LogSessionTimedOut(LogsError):
    """A session of Live Tail went on for as long as one may."""


class LogSessionEnded(LogsError):
    """The server ended a session of Live Tail."""
