"""Functions and their workers."""

from __future__ import annotations

from busway.errors.root import BuswayError


class FunctionError(BuswayError):
    """Base of what a call about functions can be refused with, in AWS's words where it has some."""


class FunctionNotFound(FunctionError):
    """No function of this ARN (or no such version or alias of it)."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"Function not found: {arn}")
        self.arn = arn


class FunctionAliasNotFound(FunctionError):
    """No alias of this ARN."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"Cannot find alias arn: {arn}")
        self.arn = arn


class FunctionResourceNotFound(FunctionError):
    """The function has no such thing: event invoke config, policy, statement."""


class FunctionConflict(FunctionError):
    """There is one of this name already, or it changed meanwhile."""


class FunctionNotReady(FunctionConflict):
    """What the function needs is still being built, or could not be. `state` is AWS's word, `reason` why."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {state}" + (f" ({reason})" if reason else "")
        )
        self.state, self.reason = state, reason


class RecursiveInvocation(FunctionError):
    """The event went through this function too often already."""

    def __init__(self, function_arn: str, passes: int) -> None:
        super().__init__(f"{function_arn} was invoked {passes} times by way of its own events; the loop ends here")
        self.function_arn, self.passes = function_arn, passes


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


class BuildFailed(FunctionError):
    """What the code needs could not be made: dependencies not installed, TypeScript not bundled.

    `reason` is for the function's StateReason: what was done, and the last lines of the tool that did it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MappingInUse(FunctionError):
    """An event source mapping whose last change has not taken effect yet. `verb` is what was to be done with it."""

    def __init__(self, verb: str) -> None:
        super().__init__(f"Cannot {verb} the event source mapping because it is in use.")
        self.verb = verb
