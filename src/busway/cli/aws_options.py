"""`--profile`, `--region` and `--env`: commands that ask AWS about a deployed project instead of a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from busway.cli.options import project_root

if TYPE_CHECKING:
    from busway.road.aws.access import Aws
    from busway.road.aws.release import Site
    from busway.road.root import ProjectConfig

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class OnAws:
    """Where on AWS: a profile of AWS's configuration, a region and an environment of the project, each if given."""

    profile: str | None
    region: str | None
    environment: str | None

    @property
    def wanted(self) -> bool:
        return self.profile is not None

    def open(self) -> tuple[ProjectConfig, Site, Aws]:
        """The project, its environment and AWS. Raises BrokenProject, AwsUnusable."""
        from busway.road.aws.access import open_aws
        from busway.road.aws.release import site_of
        from busway.road.root import read_config

        root = project_root()
        config = read_config(root)
        site = site_of(root, self._environment(config))
        return config, site, open_aws(site.settings, site.names.environment, self.profile, self.region)

    def _environment(self, config: ProjectConfig) -> str:
        """The one that is named, or called as the profile is, or the only one."""
        known = sorted(config.aws)
        if self.environment is None and self.profile in known:
            return str(self.profile)
        if self.environment is None and len(known) > 1:
            raise click.UsageError(f"--env is missing; the project's environments on AWS are {', '.join(known)}")
        return self.environment or (known[0] if known else "prod")


def aws_options(command: F) -> F:
    """`--profile`, `--region` and `--env`."""
    profile = click.option(
        "--profile",
        metavar="NAME",
        help="Ask AWS about the deployed project, with this profile, instead of a server.",
    )
    region = click.option("--region", metavar="REGION", help="With --profile: another region than the environment's.")
    environment = click.option(
        "--env", "environment", metavar="ENV", help="With --profile: the environment.  [default: the one on AWS]"
    )
    return profile(region(environment(command)))


def chosen(profile: str | None, region: str | None, environment: str | None) -> OnAws:
    """Raises UsageError for what means nothing without a profile."""
    if profile is None and (region or environment):
        raise click.UsageError("--region and --env are for AWS; --profile is missing")
    return OnAws(profile, region, environment)
