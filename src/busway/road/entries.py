"""A handler's line in the manifest, from what its decorator made of its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.batch_handling import BatchHandler, BatchOptions
from busway.bus.schedule import parse_schedule
from busway.errors import BrokenProject, InvalidBusRequest
from busway.handling import RETRIES_AWS_MAX, Handler
from busway.road.filters import check_filter
from busway.road.manifest import BatchEntry, HandlerEntry, function_name
from busway.road.root import AWS, ProjectConfig

AnyHandler = Handler[Any, Any] | BatchHandler[Any, Any]

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
RULE_NAME_LENGTH_MAX = 64


def handler_entry(
    config: ProjectConfig,
    file: str,
    handler: AnyHandler,
    *,
    event: str,
    schema: Mapping[str, Any] | None,
    entry_point: str,
    runtime: str = "",
    code: str = "",
) -> HandlerEntry:
    """`file` is handlers/FOLDER/..., `runtime` "" for the Python that deploys. Raises BrokenProject.

    `schema`: the JSON Schema of the event's detail, None where its fields are not known.
    """
    options, folder = handler.options, file.split("/")[1]
    check_filter(file, options.filter, schema)
    if isinstance(handler, Handler):
        check_limits(config, file, options.retries)
    # The names that AWS's people write have hyphens; `busway add handler send-mail` makes the folder send_mail.
    name = options.name or folder.replace("_", "-")
    if len(function_name(config.name, name)) > RULE_NAME_LENGTH_MAX:
        raise BrokenProject(
            f"{function_name(config.name, name)!r} is longer than {RULE_NAME_LENGTH_MAX} characters, "
            "the most that a rule's name may have",
            f"shorten the folder handlers/{folder} or the project's name",
        )
    return HandlerEntry(
        name=name,
        file=file,
        entry_point=entry_point,
        event=event,
        pattern=handler.pattern(),
        retries=options.retries,
        max_age_s=options.max_age_s,
        timeout_s=options.timeout_s,
        memory_mb=options.memory_mb,
        alert=options.alert,
        alarms=config.alarms,
        env=list(options.env),
        secrets=list(options.secrets),
        rate=options.rate,
        once=options.once,
        schedule=_schedule(file, options.schedule),
        concurrency=options.concurrency,
        permissions={action: list(named) for action, named in options.permissions.items()},
        batch=_batch_entry(handler.batch) if isinstance(handler, BatchHandler) else None,
        runtime=runtime,
        code=code,
    )


def check_limits(config: ProjectConfig, file: str, retries: int) -> None:
    """Raises BrokenProject for what an environment of the project does not have."""
    on_aws = next((name for name, target in config.targets.items() if target == AWS), None)
    if on_aws and retries > RETRIES_AWS_MAX:
        raise BrokenProject(
            f"{file}: retries={retries}; AWS Lambda retries an event at most {RETRIES_AWS_MAX} times, "
            f"and the environment {on_aws!r} is on AWS",
            f"take at most {RETRIES_AWS_MAX}: what is given up waits in the dead-letter queue for `busway redrive`; "
            "or let the environment's target be a Busway server",
        )


def refuse_twins(handlers: list[HandlerEntry]) -> None:
    """Raises BrokenProject when two have one name."""
    files: dict[str, str] = {}
    for entry in handlers:
        if entry.name in files:
            raise BrokenProject(f"{entry.file}: {files[entry.name]} has the name {entry.name!r} too")
        files[entry.name] = entry.file


def _schedule(file: str, text: str | None) -> str | None:
    """The schedule, if it is one. Raises BrokenProject."""
    try:
        _ = None if text is None else parse_schedule(text)
    except InvalidBusRequest as error:
        raise BrokenProject(
            f"{file}: schedule={text!r}: {error} {error.__cause__}", "docs/schedules.md says how they are written"
        ) from error
    return text


def _batch_entry(batch: BatchOptions) -> BatchEntry:
    return BatchEntry(
        source=batch.source,
        size=batch.size,
        window_s=batch.window_s,
        parallelism=batch.parallelism,
        bisect=batch.bisect,
        order_by=batch.order_by,
    )
