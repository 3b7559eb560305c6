"""What is deployed: a project's template with the packages that it names, and the site where it goes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from busway.errors import BrokenProject
from busway.road.aws.names import Ids, Names
from busway.road.aws.overlay import overlaid, read_overlay
from busway.road.aws.packages import Package, make_packages
from busway.road.aws.template import Template, make_template
from busway.road.describe import describe
from busway.road.root import AWS, AwsSettings, read_config


@dataclass(frozen=True, slots=True)
class Site:
    """An environment of a project on AWS."""

    names: Names
    settings: AwsSettings

    @property
    def stack(self) -> str:
        return self.settings.stack or self.names.stack


@dataclass(frozen=True, slots=True)
class Release:
    """`packages`: by handler. `secrets`: by variable, the file of a handler that asks for it.

    `handler_ids`: how the logical ids of each handler begin.
    """

    site: Site
    template: Template
    packages: Mapping[str, Package]
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    handler_ids: Mapping[str, str] = field(default_factory=dict[str, str])


def site_of(root: Path, environment: str) -> Site:
    """Raises BrokenProject for an environment that there is not, or that is not on AWS."""
    config = read_config(root)
    if environment in config.aws:
        return Site(Names(config.name, environment), config.aws[environment])
    if environment in config.targets:
        raise BrokenProject(
            f"the environment {environment!r} is the server at {config.targets[environment]}; wanted one on AWS"
        )
    meant = difflib.get_close_matches(environment, config.targets, 1)
    raise BrokenProject(
        f"{root} has no environment {environment!r}; it has {', '.join(sorted(config.targets)) or 'none'}",
        f"was {meant[0]!r} meant?" if meant else f'[tool.busway.env.{environment}] with target = "{AWS}"',
    )


async def make_release(root: Path, environment: str) -> Release:
    """Everything that is deployed, made here; nothing is sent. Raises BrokenProject."""
    site = site_of(root, environment)
    manifest = await describe(root)
    if not (manifest.handlers or manifest.rules):
        raise BrokenProject(
            f"{root} has no handlers and no rules yet: there is nothing to make a stack of",
            "busway add handler; a stack that is there is ended by aws cloudformation delete-stack",
        )
    packages = await make_packages(root, manifest, site.settings)
    codes = {name: package.code for name, package in packages.items()}
    template = make_template(manifest, environment, site.settings, codes)
    secrets = {variable: entry.file for entry in manifest.handlers for variable in entry.secrets}
    return Release(site, overlaid(template, read_overlay(root)), packages, secrets, Ids.of(manifest).entries)


def write_release(release: Release, folder: Path) -> list[Path]:
    """The template and the packages as files, for tools of others to deploy: `folder` is the bucket's beginning."""
    from busway.road.aws.template import template_json

    files = {"template.json": template_json(release.template).encode()}
    files |= {package.code.key: package.data for package in release.packages.values()}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return [folder / name for name in files]
