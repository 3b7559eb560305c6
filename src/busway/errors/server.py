"""The server and its doors."""

from __future__ import annotations

from collections.abc import Sequence

from busway.errors.root import BuswayError


class CannotListen(BuswayError):
    """The address cannot be listened on: taken, not this machine's, or not permitted."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}")
        self.host, self.port = host, port
        self.hint = "choose another address or port with --host and --port"


class UnknownPath(BuswayError):
    """No such path below /_busway/, or not with that method."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"there is no {method} {path}")
        self.method, self.path = method, path


class InvalidQuestion(BuswayError):
    """A query or body of an own route with something missing, unknown or out of range."""


class EventNotFound(BuswayError):
    """No bus of this server retains an event of that id."""

    def __init__(self, event_id: str, why: str = "") -> None:
        super().__init__(f"no bus has an event {event_id}{why}")
        self.event_id = event_id
        self.hint = "`busway tail` shows the ids of events as they come; a bus keeps them for its retention"


class TraceNotFound(BuswayError):
    """None of the newest events is of that trace; `looked_at` says among how many it was looked for."""

    def __init__(self, trace_id: str, looked_at: int, looked_at_max: int) -> None:
        super().__init__(f"no event of the trace {trace_id} is among the newest {looked_at}")
        self.trace_id, self.looked_at = trace_id, looked_at
        self.hint = f"at most {looked_at_max} are looked at; `busway trace EVENT` finds older ones by an event's id"


class LetterNotFound(BuswayError):
    """No queue of the caller's holds a dead letter of that event or message."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"there is no dead letter of {wanted!r}" if wanted else "there is no such dead letter")
        self.wanted = wanted
        self.hint = "`busway dlq` lists those there are; `busway why EVENT` tells what became of an event"


class NotATarget(BuswayError):
    """An event was to be sent again to what no rule of its bus has as a target."""

    def __init__(self, name: str, bus: str, known: Sequence[str]) -> None:
        super().__init__(f"no rule of bus {bus} has the target {name!r}; there are {', '.join(known) or 'none yet'}")
        self.hint = "`busway status` shows rules and their targets"


class NoEventYet(BuswayError):
    """The newest event was asked for, and no bus retains any."""

    hint = "`busway send EVENT` puts one on the bus"

    def __init__(self) -> None:
        super().__init__("no bus has an event yet")


class PushRefused(BuswayError):
    """What was pushed is not deployed: it is no project, a step of its build failed, or it cannot take over."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class DeploymentConflict(BuswayError):
    """Somebody else deploys the project, or has since the caller looked."""

    hint = "wait until that is done, then see what is left to do with `busway diff`"

    def __init__(self, project: str, number: int, wanted: str) -> None:
        super().__init__(f"deployment {number} of {project} cannot be written: {wanted}")
        self.project, self.number = project, number


class ClockNotManual(BuswayError):
    """Time was to be moved on a server that runs on the machine's clock."""

    hint = "start the server with --clock manual"

    def __init__(self) -> None:
        super().__init__("this server runs on the machine's clock, which nobody moves")


class NotLoopback(BuswayError):
    """The server was to listen beyond this machine without access keys."""

    hint = "set BUSWAY_ACCESS_KEYS=KEY:SECRET, or listen on 127.0.0.1"

    def __init__(self, host: str) -> None:
        super().__init__(f"refusing to listen on {host}: without access keys anyone who reaches it could run code")
        self.host = host


class SandboxUnavailable(BuswayError):
    """The sandbox that the settings name can't be had on this machine."""

    hint = "choose another level with BUSWAY_SANDBOX; auto takes kernel where it works, else process"

    def __init__(self, level: str, reason: str) -> None:
        super().__init__(f"sandbox {level!r} can't be had: {reason}")
        self.level, self.reason = level, reason


class UnknownEngine(BuswayError):
    """No engine of that name."""

    hint = "engines are: embedded, memory"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no engine {name!r}")
        self.name = name
