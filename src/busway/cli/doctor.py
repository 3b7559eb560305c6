"""`busway doctor`: where a project that is deployed to AWS would lose events, or tell nobody."""

from __future__ import annotations

import click

from busway.cli.aws_options import OnAws
from busway.cli.options import json_option, project_root
from busway.cli.output import counted, line, print_json, say

_STYLES = {"error": "bold red", "warning": "yellow"}


@click.command()
@click.option(
    "--profile", metavar="NAME", help="A profile of AWS's configuration.  [default: as every AWS tool finds its keys]"
)
@click.option("--region", metavar="REGION", help="Another region than the environment's.")
@click.option("--env", "environment", metavar="ENV", help="The environment.  [default: the one on AWS]")
@json_option
def doctor(profile: str | None, region: str | None, environment: str | None, as_json: bool) -> None:
    """Look at a project as it is deployed to AWS: dead letters, permissions, policies, alarms. Changes nothing.

    Exits 1 when there is an error: events would be lost. A warning says that nobody would be told, or too late.

    \b
    Example:
      busway doctor --profile prod
    """
    from busway.arn import DEFAULT_BUS
    from busway.road.aws.doctor import gather
    from busway.road.aws.findings import findings
    from busway.road.root import handler_names

    config, site, aws = OnAws(profile, region, environment).open()
    handlers = sorted(handler_names(project_root()))
    facts = gather(aws, site.names, list(dict.fromkeys((DEFAULT_BUS, config.bus))), handlers)
    found = findings(facts)
    errors = sum(one.level == "error" for one in found)
    if as_json:
        print_json({"environment": site.names.environment, "region": aws.region, "findings": found})
    else:
        for one in found:
            line((f"{one.level}: ", _STYLES[one.level]), (f"{one.what}: ", "bold"), one.problem)
            line((f"  └ {one.hint}", "dim"))
        nouns = (
            (facts.targets, "target"), (facts.functions, "function"), (facts.queues, "dead-letter queue"),
            (facts.alarms, "alarm"),
        )  # fmt: skip
        looked = ", ".join(counted(len(each), noun) for each, noun in nouns)
        told = f"{counted(errors, 'error')}, {counted(len(found) - errors, 'warning')}"
        say(f"{told} in {looked} of {site.names.environment}")
    click.get_current_context().exit(1 if errors else 0)
