"""`busway add ci`: the file by which a repository tests and deploys itself."""

from __future__ import annotations

import asyncio

import click

from busway.cli.options import json_option, project_root
from busway.cli.output import print_json, say


@click.command(short_help="Write the file that tests and deploys on push.")
@click.option("--github", "forge", flag_value="github", default=True, help="A workflow of GitHub Actions (default).")
@click.option("--gitlab", "forge", flag_value="gitlab", help="A pipeline of GitLab.")
@click.option("--env", "environment", default="prod", show_default=True, help="The environment on AWS.")
@click.option("--branch", default="main", show_default=True, help="What is deployed from.")
@json_option
def ci(forge: str, environment: str, branch: str, as_json: bool) -> None:
    """Write a workflow: tests, the difference as a comment on the pull request, deploy on the branch, by OIDC.

    \b
    Example:
      busway add ci --github
      busway add ci --gitlab --env prod
    """
    from busway.road.ci import CiSpec, Forge, add_ci
    from busway.road.describe import describe

    root = project_root()
    chosen: Forge = "gitlab" if forge == "gitlab" else "github"
    manifest = asyncio.run(describe(root))
    files = [str(file.relative_to(root)) for file in add_ci(root, CiSpec(chosen, environment, branch), manifest)]
    if as_json:
        print_json({"files": files})
        return
    for file in files:
        click.echo(file)
    say(
        "\nnext: roles for its OIDC token, as docs/aws.md says; their ARNs are the variables AWS_DEPLOY_ROLE and, for"
        " what only looks, AWS_DIFF_ROLE"
    )
