"""`busway synth`: what would be deployed to AWS, as CloudFormation, made without asking AWS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from busway.cli.options import json_option, project_root
from busway.cli.output import print_json, say


@click.command()
@click.argument("environment")
@click.option(
    "--out", metavar="DIR", help="Write template.json and the functions' zips there; without it, print the template."
)
@json_option
def synth(environment: str, out: str | None, as_json: bool) -> None:
    """Make the CloudFormation template of an environment on AWS.

    \b
    Example:
      busway synth prod
      busway synth prod --out build && aws s3 sync build s3://my-bucket && aws cloudformation deploy
        --template-file build/template.json --stack-name shop-prod --capabilities CAPABILITY_IAM
        --parameter-overrides CodeBucket=my-bucket
    """
    from busway.road.aws.release import make_release, write_release
    from busway.road.aws.template import template_json

    release = asyncio.run(make_release(project_root(), environment))
    if out is None:
        click.echo(template_json(release.template), nl=False)
        return
    files = [str(file) for file in write_release(release, Path(out))]
    if as_json:
        print_json({"stack": release.site.stack, "files": files})
        return
    for file in files:
        click.echo(file)
    say(f"{len(release.template['Resources'])} resources of the stack {release.site.stack}")
