"""Files that make a repository test itself, show what a change would do on AWS, and deploy: GitHub's and GitLab's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from busway.road.aws.names import url_variable
from busway.road.aws.release import site_of
from busway.road.manifest import Manifest
from busway.road.rendering import render, write
from busway.road.root import is_node, is_python

Forge = Literal["github", "gitlab"]
FILES: dict[Forge, str] = {"github": ".github/workflows/deploy.yml", "gitlab": ".gitlab-ci.yml"}
# Ours, where the environment names none: it is seen in the file, and changed there.
REGION = "us-east-1"
# Whether with Node.js beside Python.
_IMAGES = {False: "python:3.13", True: "nikolaik/python-nodejs:python3.13-nodejs22"}


@dataclass(frozen=True, slots=True)
class CiSpec:
    """`branch`: what is deployed from. `environment`: one of the project's on AWS."""

    forge: Forge
    environment: str
    branch: str = "main"


def add_ci(root: Path, spec: CiSpec, manifest: Manifest) -> list[Path]:
    """Write the file, unless there is one. Raises GeneratorRefused, and BrokenProject for the environment."""
    return write(root, {FILES[spec.forge]: ci_text(root, spec, manifest)})


def ci_text(root: Path, spec: CiSpec, manifest: Manifest) -> str:
    settings, node = site_of(root, spec.environment).settings, is_node(root)
    facts: dict[str, Any] = {
        "environment": spec.environment,
        "branch": spec.branch,
        "region": settings.region or REGION,
        "node": node,
        "python": is_python(root),
        "image": _IMAGES[node],
        "install": _install(root),
        "run": "uv run " if is_python(root) else "",
        "variables": _variables(manifest),
        # A difference is made of what is deployed: a secret is nothing that it needs.
        "diff_variables": sorted({name for one in manifest.handlers for name in one.env}),
    }
    return render(root, f"ci/{spec.forge}.yml.jinja", **facts)


def _install(root: Path) -> Sequence[str]:
    """A lock file, where there is one, is what is installed."""
    python = ["pip install uv", f"uv sync{' --locked' if (root / 'uv.lock').is_file() else ''}"]
    npm = [f"npm {'ci' if (root / 'package-lock.json').is_file() else 'install'}"]
    return [*(python if is_python(root) else ['pip install "${BUSWAY:-busway}"']), *(npm if is_node(root) else [])]


def _variables(manifest: Manifest) -> list[str]:
    """What deploying takes from its surroundings."""
    routes = [one.alert for one in manifest.handlers] + [one.rule.alert for one in manifest.rules]
    of_handlers = [name for one in manifest.handlers for name in (*one.env, *one.secrets)]
    return sorted({*of_handlers, *(url_variable(route) for route in routes if route)})
