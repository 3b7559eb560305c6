"""The few lines of an app of AWS CDK that deploys a project: a start for teams whose stacks are CDK's. Pure."""

from __future__ import annotations

import json

from busway.road.aws.release import Site
from busway.road.layout import literal

_APP = '''"""{project} as an app of AWS CDK: `cdk diff`, `cdk deploy`. What is made is what `busway deploy` makes."""

from pathlib import Path

from aws_cdk import App, Environment, Stack
from busway.cdk import EventHandlers

app = App()
stack = Stack(app, {stack}{env})
EventHandlers(
    stack,
    "Handlers",
    project=Path(__file__).parent / {project_place},
    environment={environment},
)
app.synth()
'''


def cdk_app(site: Site, project_place: str) -> dict[str, str]:
    """Files by name. `project_place`: the way from their folder to the project."""
    known = {"account": site.settings.account, "region": site.settings.region}
    given = ", ".join(f"{name}={literal(value)}" for name, value in known.items() if value)
    app = _APP.format(
        project=site.names.project,
        stack=literal(site.stack),
        env=f", env=Environment({given})" if given else "",
        project_place=literal(project_place),
        environment=literal(site.names.environment),
    )
    if not given:
        app = app.replace("App, Environment, Stack", "App, Stack")
    return {"app.py": app, "cdk.json": json.dumps({"app": "python3 app.py"}, indent=2) + "\n"}
