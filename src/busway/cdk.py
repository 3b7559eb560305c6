"""A project as a construct of AWS CDK: `EventHandlers(stack, "Shop", project=".", environment="prod")`.

The same resources under the same logical ids as `busway deploy` makes, from the same manifest, for teams whose stacks
are CDK's. Needs the extra `cdk`. A stack that holds two projects gives the second a scope of its own, a nested stack.
"""

# aws-cdk-lib has some 250 MB: it is installed where it is used, not where this is checked.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import aws_s3_assets as assets, cloudformation_include as include
from constructs import Construct

from busway.road.aws.parameters import CODE_BUCKET, variable_of
from busway.road.aws.release import Release, make_release
from busway.road.aws.template import template_json


class EventHandlers(Construct):
    """Every handler and rule of a project, with queues, alarms and topics.

    `variables`: what handlers take by `env`, and addresses of alert routes (`BUSWAY_ALERT_PAGERDUTY_URL`), by name;
    what is not given stays a parameter of the stack. `template` is the included template, `get_resource` of it gives
    any resource by its logical id, to be changed.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        project: str | Path,
        environment: str = "prod",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, id)
        release = asyncio.run(make_release(Path(project).resolve(), environment))
        folder = Path(tempfile.mkdtemp(prefix="busway-cdk-"))
        file = folder / "template.json"
        file.write_text(template_json(release.template), encoding="utf-8")
        self.template = include.CfnInclude(
            self, "Template", template_file=str(file), parameters=_given(release, variables or {})
        )
        for name, package in release.packages.items():
            zipped = folder / f"{name}.zip"
            zipped.write_bytes(package.data)
            asset = assets.Asset(self, f"Code-{name}", path=str(zipped))
            code = {"S3Bucket": asset.s3_bucket_name, "S3Key": asset.s3_object_key}
            self._function(release, name).add_property_override("Code", code)

    def _function(self, release: Release, handler: str) -> Any:
        logical = release.handler_ids[handler]
        return self.template.get_resource(f"{logical}Function")


def _given(release: Release, variables: Mapping[str, str]) -> dict[str, str]:
    """Parameters that are no more: the bucket is CDK's own."""
    found = {name: variables.get(variable_of(release.template, name)) for name in release.template["Parameters"]}
    return {CODE_BUCKET: "cdk", **{name: value for name, value in found.items() if value is not None}}
