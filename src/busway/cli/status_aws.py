"""`busway status ENV` where the environment is on AWS: the stack, and how each handler and rule does."""

from __future__ import annotations

from pathlib import Path

from busway.cli.output import line, print_json, styled, table

_STYLES = {"ALARM": "bold red", "OK": "green"}


def show_status(root: Path, environment: str, as_json: bool) -> None:
    """Raises BrokenProject, AwsUnusable, AwsRefused."""
    from busway.road.aws.access import open_aws
    from busway.road.aws.release import site_of
    from busway.road.aws.status import site_status

    site = site_of(root, environment)
    found = site_status(site, open_aws(site.settings, environment))
    if as_json:
        print_json(found)
        return
    stack = found.stack
    reason = f" ({stack.reason})" if stack.reason else ""
    changed = f" since {stack.changed[:19]}" if stack.status and stack.changed else ""
    line((f"stack {stack.name}: ", "bold"), stack.status or "not there yet: busway deploy makes it", changed, reason)
    if found.template:
        line(f"template {found.template[:12]}; a rollback can go back {found.before} deployments")
    entries = [(one, "") for one in found.handlers] + [(one, "rule") for one in found.rules]
    if entries:
        line("")
        table(
            ("handler", "", "function", "dead letters", "alarm"),
            [
                (one.name, kind, one.function, one.dead_letters, styled(one.alarm, _STYLES.get(one.alarm, "dim")))
                for one, kind in entries
            ],
        )
