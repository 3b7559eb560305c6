"""What `busway why` and `busway trace` ask AWS for, with `--profile`: the history of one event or invocation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from busway.cli.aws_options import OnAws
from busway.errors import NothingLogged

if TYPE_CHECKING:
    from busway.road.aws.access import Aws
    from busway.road.aws.history import History

# Ours: how far back is looked where nothing is said.
SINCE = "24h"


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and where. `prefix` begins the names of all that the environment has."""

    aws: Aws
    environment: str
    prefix: str
    found: History


def look(
    on_aws: OnAws, wanted: str, since: str, since_s: int, *, by_request: bool = False, may_be_empty: bool = False
) -> Looked:
    """Of an event's id, or an invocation's. Raises NothingLogged."""
    from busway.arn import DEFAULT_BUS
    from busway.road.aws.history import history_of_event, history_of_request
    from busway.road.aws.log_groups import function_groups

    config, site, aws = on_aws.open()
    groups, now = function_groups(aws, site.names), time.time()
    if by_request:
        found = history_of_request(aws, site.names, groups, wanted, now - since_s, now)
    else:
        buses = (config.bus, DEFAULT_BUS)
        found = history_of_event(aws, site.names, groups, buses, wanted, now - since_s, now)
    if found.empty and not may_be_empty:
        raise NothingLogged(wanted, groups, since, by_event=not by_request)
    return Looked(aws, site.names.environment, f"{config.name}-{site.names.environment}-", found)


def wanted_id(event_id: str | None, request_id: str | None) -> str:
    """The one that is given. Raises UsageError."""
    if (event_id is None) == (request_id is None):
        problem = "EVENT and --request-id do not go together" if event_id else "EVENT is missing, or --request-id"
        raise click.UsageError(f"{problem}: AWS does not tell which event was the newest")
    wanted = str(event_id or request_id).strip()
    if not wanted or '"' in wanted or "\\" in wanted:
        raise click.UsageError(f"{wanted!r} is no id")
    return wanted
