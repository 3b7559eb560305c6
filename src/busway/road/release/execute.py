"""Makes a plan true on a running server. Every stage may be made again: a deployment that was cut off goes on so."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from busway.errors import BrokenProject, BuswayError
from busway.handling import DRY_RUN
from busway.road.calls import Call
from busway.road.connection import Connection
from busway.road.deploy import make_calls
from busway.road.manifest import function_name
from busway.road.release.history import Journal, Released
from busway.road.release.idle import is_idle
from busway.road.release.plan import LIVE, Plan, Stage, Trial

Say = Callable[[str], None]


def execute(plan: Plan, connection: Connection, journal: Journal, say: Say) -> None:
    """Stage by stage. What fails before the switch leaves all that runs as it was; it is written down, and raised."""
    journal.write()
    try:
        for stage in plan.prepare:
            make_calls(connection, stage.calls)
        released = {**journal.deployment.released, **plan.released}
        for trial in plan.trials:
            released[trial.handler] = _tried(connection, trial)
            say(f"{trial.handler}: version {released[trial.handler].version} starts and reads its sample")
        journal.write(released=released)
        _switch(plan.switch, connection, journal, say)
        end(plan.end, connection, say)
        journal.write(state="live")
    except BuswayError as error:
        _note_failure(journal, error)
        raise


def _note_failure(journal: Journal, failure: BuswayError) -> None:
    try:
        journal.write(state="failed", error=str(failure))
    except BuswayError as error:
        # The server is away: the next deployment finds this one unfinished.
        failure.add_note(f"and that could not be written down: {error}")


def _tried(connection: Connection, trial: Trial) -> Released:
    """A version of the function as it is now, which can start, and can read the sample. Raises BrokenProject."""
    made = connection.call("lambda", "PublishVersion", {"FunctionName": trial.function})
    version = str(made["Version"])
    if reason := connection.settled(f"{trial.function}:{version}"):
        raise BrokenProject(f"{trial.handler} cannot be built: {reason}", "what ran before goes on")
    context = msgspec.json.encode({"custom": DRY_RUN})
    answer = connection.call(
        "lambda",
        "Invoke",
        {
            "FunctionName": trial.function,
            "Qualifier": version,
            "Payload": msgspec.json.encode(trial.sample),
            "ClientContext": base64.b64encode(context).decode(),
        },
    )
    payload = answer["Payload"].read()
    if answer.get("FunctionError"):
        raise BrokenProject(
            f"{trial.handler}: version {version} cannot start and read its sample: {_error_in(payload)}",
            f"nothing was switched, what ran before goes on; its output: busway logs {trial.function}",
        )
    if not _was_dry(payload):
        raise BrokenProject(
            f"{trial.handler}: version {version} handled its sample instead of only reading it",
            "its busway is older than this one: bring what the project depends on up to date",
        )
    return Released(version, str(made["CodeSha256"]))


def _was_dry(payload: bytes) -> bool:
    """Whether the handler says that it only read its event."""
    try:
        return msgspec.json.decode(payload) == DRY_RUN
    except msgspec.DecodeError:
        return False


def _error_in(payload: bytes) -> str:
    try:
        told = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return payload.decode(errors="replace")
    return f"{told.get('errorType', 'error')}: {told.get('errorMessage', '')}"


def _switch(stages: Sequence[Stage], connection: Connection, journal: Journal, say: Say) -> None:
    project, released = journal.deployment.manifest.project, journal.deployment.released
    handlers = {entry.name for entry in journal.deployment.manifest.handlers}
    for stage in stages:
        if stage.name in handlers:
            make_calls(connection, [_alias_call(function_name(project, stage.name), released[stage.name].version)])
        make_calls(connection, stage.calls)
        say(stage.says)
        # Who else wants to deploy sees that this one goes on.
        journal.write()


def _alias_call(function: str, version: str) -> Call:
    """From its answer on, what begins runs this version."""
    alias = {"FunctionName": function, "Name": LIVE, "FunctionVersion": version}
    return Call(
        "lambda",
        "UpdateAlias",
        alias,
        exists=("ResourceNotFoundException",),
        then=(Call("lambda", "CreateAlias", alias),),
    )


def end(stages: Sequence[Stage], connection: Connection, say: Say) -> None:
    for stage in stages:
        if stage.idle and not is_idle(connection.get("/_busway/status"), stage.idle):
            continue
        make_calls(connection, stage.calls)
        if stage.says:
            say(stage.says)
