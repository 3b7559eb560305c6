"""Projects, generator and deploy."""

from __future__ import annotations

from collections.abc import Sequence

from busway.errors.root import BuswayError


class ProjectNotFound(BuswayError):
    """No folder upwards of here has a pyproject.toml with `[tool.busway]`, or a package.json with `"busway"`."""

    def __init__(self, start: str) -> None:
        super().__init__(
            f"{start} is not in a Busway project: no pyproject.toml with [tool.busway] here or above, "
            'and no package.json with "busway"'
        )
        self.hint = "busway new NAME makes one"


class BrokenProject(BuswayError):
    """A file of the project cannot be loaded or is not what its folder says."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class MissingVariable(BrokenProject):
    """A handler passes on a variable that has no value where it is deployed from."""

    def __init__(self, file: str, variable: str) -> None:
        super().__init__(
            f"{file} passes on env {variable!r}, which is not set here",
            f"set it where you deploy: export {variable}=...",
        )
        self.file, self.variable = file, variable


class MissingSecret(BrokenProject):
    """A handler asks for a secret that nobody has set; `name` is what the server would call it."""

    def __init__(self, file: str, variable: str, name: str) -> None:
        super().__init__(
            f"{file} asks for secret {variable!r}, which is neither on the server nor set here",
            f"busway secret set {variable}; then deploy again, as `busway dev` does by itself",
        )
        self.name = name


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
    """The server, or the environment on AWS, has no handler of that name."""

    def __init__(self, name: str, known: Sequence[str], where: str = "the server") -> None:
        super().__init__(f"{where} has no handler {name!r}; it has {', '.join(known) or 'none yet'}")
        self.hint = "`busway status` shows them; `busway dev` deploys those of a project"


class ServerRefused(BuswayError):
    """The server answered with an error; `code` is AWS's code, "" for an error of our own routes."""

    def __init__(self, asked: str, code: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{asked}: {code}: {reason}" if code else reason)
        self.code, self.reason, self.hint = code, reason, hint


class RedriveUnfinished(BuswayError):
    """The server, or AWS, ended in the middle of a redrive; what was sent back until then stays so."""

    def __init__(self, sent_back: int, why: str) -> None:
        super().__init__(f"{why}; {sent_back} were sent back until then, the others wait where they were")
        self.hint = "run it again for the others"
        self.sent_back = sent_back


class AwsUnusable(BuswayError):
    """AWS cannot be asked from here: no credentials that it takes, no region, another account, no way there."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


class AwsRefused(BuswayError):
    """AWS answered a call with an error; `code` is AWS's."""

    def __init__(self, asked: str, code: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{asked}: {code}: {reason}")
        self.code, self.reason, self.hint = code, reason, hint


class NothingLogged(BuswayError):
    """No log of the project's functions on AWS names that event or request, and no dead letter is of it."""

    def __init__(self, wanted: str, groups: Sequence[str], since: str, *, by_event: bool) -> None:
        where = ", ".join(groups[:_GROUPS_NAMED]) + (
            f" and {len(groups) - _GROUPS_NAMED} more" if len(groups) > _GROUPS_NAMED else ""
        )
        super().__init__(f"nothing names {wanted}: searched were the last {since} of {where}, and the dead letters")
        self.hint = "--since looks further back; a line takes some seconds to be found"
        if by_event:
            self.hint = (
                "a handler is found by what it prints: it must print the event's id, as generated ones do. "
                f"--request-id finds it by its invocation, {self.hint}"
            )


# Ours: a list of more says no more.
_GROUPS_NAMED = 10


class StackUnusable(BuswayError):
    """A stack cannot be changed in the state that it is in, or a change of it failed."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint
