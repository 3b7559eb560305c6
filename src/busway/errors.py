"""Every error that Busway raises on purpose, one class per thing the caller can do about it.

    BuswayError
     +-- StorageFull, CorruptRecord, VersionConflict, EngineStopped, DataInUse, DataTooNew, DataUnusable   (engine)
     +-- InvalidPattern, InvalidEvent                                                         (pattern)
     +-- and one group a room below

The message says where, what was found, what was wanted; what it names is also an attribute. AWS codes and
HTTP statuses are given in `aws/errors.py`, by class: no room below `aws` knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


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

    hint = "ask that server (--endpoint), end it, or name another folder with --data"


class DataTooNew(BuswayError):
    """The data folder was written by a newer Busway."""


class DataUnusable(BuswayError):
    """What is in the data folder can't be opened as a store: damaged, something else, or on a disk that is full."""

    hint = "look at the disk and the file; put a backup in its place, or name another folder with --data"


# --- pattern ------------------------------------------------------------------------------------------------


class InvalidPattern(BuswayError):
    """An event pattern that does not compile. `reason` is AWS's text, `location` its second line or ""."""

    def __init__(self, reason: str, location: str = "") -> None:
        super().__init__(f"Event pattern is not valid. Reason: {reason}{location}")
        self.reason, self.location = reason, location


class InvalidEvent(BuswayError):
    """A text that should be an event but is not a JSON object."""


class MalformedJson(BuswayError):
    """A text that stops being JSON after `consumed` characters; `reason` is worded as AWS words it.

    Inside the pattern room only: callers see `InvalidPattern` or `InvalidEvent`.
    """

    def __init__(self, reason: str, consumed: int) -> None:
        super().__init__(f"{reason} (after {consumed} characters)")
        self.reason, self.consumed = reason, consumed


# --- delivery -----------------------------------------------------------------------------------------------


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


# --- bus ----------------------------------------------------------------------------------------------------


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


class QueueFeatureNotBuilt(QueueError):
    """AWS has it, Busway has not yet."""


# --- function -----------------------------------------------------------------------------------------------


class FunctionError(BuswayError):
    """Base of what a call about functions can be refused with, in AWS's words where it has some."""


class FunctionNotFound(FunctionError):
    """No function of this ARN (or no such version or alias of it)."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"Function not found: {arn}")
        self.arn = arn


class FunctionResourceNotFound(FunctionError):
    """The function has no such thing: event invoke config, policy, statement."""


class FunctionConflict(FunctionError):
    """There is one of this name already, or it changed meanwhile."""


class RevisionMismatch(FunctionError):
    """The caller's RevisionId is not the function's present one."""


class InvalidFunction(FunctionError):
    """A value in the call that the function can't have."""


class InvalidPackage(InvalidFunction):
    """A zip that is not unpacked: broken, too large, or with entries that reach outside. `reason` says which."""

    def __init__(self, reason: str) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html
        super().__init__(
            f"Could not unzip uploaded file. Please check your file, then try to upload again. ({reason})"
        )
        self.reason = reason


class FunctionFeatureNotBuilt(FunctionError):
    """Something that AWS's Lambda has and Busway does not have yet."""


class PayloadTooLarge(FunctionError):
    """The payload of an invocation is above the limit of its invocation type."""

    def __init__(self, size: int, invocation_type: str, limit: int) -> None:
        super().__init__(
            f"{size} byte payload is too large for the {invocation_type} invocation type (limit {limit} bytes)"
        )
        self.size, self.limit = size, limit


class InvalidPayload(FunctionError):
    """The payload of an invocation is no JSON."""


class FunctionThrottled(FunctionError):
    """No worker may be started for this invocation now. `reason` is AWS's word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason


class WorkersStopped(FunctionError):
    """The server is stopping: no invocation starts any more."""


# --- mail ---------------------------------------------------------------------------------------------------


class InvalidMail(BuswayError):
    """An email that cannot be sent as asked: an address, a header or a part is wrong or missing."""


class MailRefused(BuswayError):
    """The SMTP server refused the email for good; sending it again will not help."""


class MailServerUnavailable(BuswayError):
    """The SMTP server did not answer, or refused for now; the email was not sent."""


# --- event, handler -----------------------------------------------------------------------------------------


class InvalidEventClass(BuswayError):
    """An event class, or a sample asked of it, that makes no sense as written."""


class EventMismatch(BuswayError):
    """An event that arrived does not fit the class that the handler asks for."""


class NoEnvelope(BuswayError):
    """An event that was built, not received, has nothing around its detail."""

    def __init__(self, event_class: str) -> None:
        super().__init__(f"this {event_class} was built here and not received, so it has no envelope")
        self.hint = f"in a test, take the `event` fixture or {event_class}.sample(envelope={{...}})"


class PublishFailed(BuswayError):
    """The bus refused an entry; nothing of it was stored."""

    def __init__(self, detail_type: str, bus: str, code: str, reason: str) -> None:
        super().__init__(f"{detail_type!r} was not put on bus {bus!r}: {code}: {reason}")
        self.code, self.reason = code, reason


class InvalidHandler(BuswayError):
    """Options of `@handler` outside what AWS Lambda and EventBridge allow."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


# --- road ---------------------------------------------------------------------------------------------------


class ProjectNotFound(BuswayError):
    """No folder upwards of here has a pyproject.toml with `[tool.busway]`."""

    def __init__(self, start: str) -> None:
        super().__init__(f"{start} is not in a Busway project: no pyproject.toml with [tool.busway] here or above")
        self.hint = "busway new NAME makes one"


class BrokenProject(BuswayError):
    """A file of the project cannot be loaded or is not what its folder says."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class GeneratorRefused(BuswayError):
    """What should be generated has an impossible name or would overwrite a file."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class ServerUnreachable(BuswayError):
    """Nothing answers at the endpoint."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"no Busway server answers at {endpoint}")
        self.hint = "start one with `busway dev` (in a project) or `busway serve`, or name another with --endpoint"


class UnknownHandler(BuswayError):
    """The server has no handler of that name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"the server has no handler {name!r}; it has {', '.join(known) or 'none yet'}")
        self.hint = "`busway status` shows them; `busway dev` deploys those of a project"


class ServerRefused(BuswayError):
    """The server answered with an error; `code` is AWS's code, "" for an error of our own routes."""

    def __init__(self, asked: str, code: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{asked}: {code}: {reason}" if code else reason)
        self.code, self.reason, self.hint = code, reason, hint


# --- alarm --------------------------------------------------------------------------------------------------


class AlarmNotFound(BuswayError):
    """No alarm of that name."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"alarm {arn} does not exist")
        self.arn = arn


class InvalidAlarm(BuswayError):
    """An alarm's settings contradict each other or are out of their range."""


class AlarmFeatureNotBuilt(BuswayError):
    """CloudWatch has it, Busway has not yet."""


# --- alert --------------------------------------------------------------------------------------------------


class InvalidRoute(BuswayError):
    """An alert route with a name, kind or URL that cannot be used."""


class RouteNotFound(BuswayError):
    """No alert route of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"alert route {name!r} does not exist")
        self.name = name
        self.hint = "busway alert set NAME --kind pagerduty makes one"


# --- redrive ------------------------------------------------------------------------------------------------


class NoWayBack(BuswayError):
    """A dead letter of a kind that no room takes back."""

    def __init__(self, message_id: str, kind: str) -> None:
        super().__init__(f"message {message_id}: nothing takes back dead letters of the kind {kind!r}")
        self.message_id, self.kind = message_id, kind


# --- targets ------------------------------------------------------------------------------------------------


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


# --- aws ----------------------------------------------------------------------------------------------------


class CannotListen(BuswayError):
    """The address cannot be listened on: taken, not this machine's, or not permitted."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}")
        self.host, self.port = host, port
        self.hint = "choose another address or port with --host and --port"


# --- inspect ------------------------------------------------------------------------------------------------


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


class NoEventYet(BuswayError):
    """The newest event was asked for, and no bus retains any."""

    hint = "`busway send EVENT` puts one on the bus"

    def __init__(self) -> None:
        super().__init__("no bus has an event yet")


class ClockNotManual(BuswayError):
    """Time was to be moved on a server that runs on the machine's clock."""

    hint = "start the server with --clock manual"

    def __init__(self) -> None:
        super().__init__("this server runs on the machine's clock, which nobody moves")


# --- server -------------------------------------------------------------------------------------------------


class NotLoopback(BuswayError):
    """The server was to listen beyond this machine without access keys."""

    hint = "set BUSWAY_ACCESS_KEYS=KEY:SECRET, or listen on 127.0.0.1"

    def __init__(self, host: str) -> None:
        super().__init__(f"refusing to listen on {host}: without access keys anyone who reaches it could run code")
        self.host = host


class UnknownEngine(BuswayError):
    """No engine of that name."""

    hint = "engines are: embedded, memory"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no engine {name!r}")
        self.name = name
