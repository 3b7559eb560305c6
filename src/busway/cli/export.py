"""`busway export`: the project in the form of another tool."""

from __future__ import annotations

import os
from pathlib import Path

import click

from busway.cli.options import json_option, project_root
from busway.cli.output import print_json, say


@click.group()
def export() -> None:
    """Write the project in the form of another tool."""


@export.command(short_help="Write an app of AWS CDK.")
@click.option("--env", "environment", default="prod", show_default=True, help="The environment on AWS.")
@click.option("--out", default="cdk", show_default=True, metavar="DIR", help="The folder to write to.")
@json_option
def cdk(environment: str, out: str, as_json: bool) -> None:
    """Write an app of AWS CDK that makes the resources of `busway deploy`, to go on from.

    \b
    Example:
      busway export cdk && cd cdk && npx aws-cdk@2.1148.1 diff
    """
    from busway.road.aws.cdk_app import cdk_app
    from busway.road.aws.release import site_of
    from busway.road.rendering import write

    root, folder = project_root(), Path(out)
    files = [str(file) for file in write(folder, cdk_app(site_of(root, environment), os.path.relpath(root, folder)))]
    if as_json:
        print_json({"files": files})
        return
    for file in files:
        click.echo(file)
    say("\nnext: pip install 'busway[cdk]'; Node.js 22 or newer runs it")
