"""Makes a release live: bucket, packages, template, change set, and the line of what was deployed.

Each step may be made again: what an interruption left is found, waited for or replaced by the next deploy.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from busway.errors import AwsRefused, BrokenProject, StackUnusable
from busway.road.aws.access import Aws
from busway.road.aws.adopt import adopt
from busway.road.aws.bucket import Bucket, Past, before, bucket_of, line_with
from busway.road.aws.parameters import parameters_of, plain, unheard, variable_of
from busway.road.aws.release import Release, Site
from busway.road.aws.stack import ChangeSet, Progress, Say, Sleep, Stack, StackState
from busway.road.aws.template import Template, template_hash

_NO_SECRET = "ResourceNotFoundException"


class Deployed(msgspec.Struct, frozen=True):
    """What came of it. `changed`: whether anything had to be; `template`: the hash of what is deployed now."""

    stack: str
    changed: bool
    template: str
    outputs: dict[str, str]


def deploy(release: Release, aws: Aws, environ: Mapping[str, str], say: Say, sleep: Sleep = time.sleep) -> Deployed:
    """Deploy, and wait for the end. `environ` holds variables that are passed on, secrets and addresses of routes.

    Raises BrokenProject, AwsUnusable, AwsRefused, StackUnusable; what was done before is found by the next call.
    """
    stack = Stack(aws, release.site.stack, say, sleep)
    state = stack.ready()
    bucket = bucket_of(aws, release.site.settings)
    # What is missing is told before anything is made.
    _ = parameters_of(release.template, state.parameters, environ, bucket.name)
    seal(release, aws, environ, say)
    if release.site.settings.bucket is None and bucket.make():
        say(Progress(bucket.name, "made", "for code and templates: private, encrypted, versioned"))
    for name, package in sorted(release.packages.items()):
        new = bucket.put(package.code.key, package.data)
        say(Progress(f"{name} code", "uploaded" if new else "as before", f"{len(package.data)} bytes"))
    return _change(stack, state, bucket, release.template, environ)


def rollback(site: Site, aws: Aws, say: Say, sleep: Sleep = time.sleep) -> Deployed:
    """Deploy what was deployed before: the template and the code that it names, with the variables that it had.

    Raises as `deploy`, and StackUnusable when there is nothing before.
    """
    stack = Stack(aws, site.stack, say, sleep)
    state, bucket = stack.ready(), bucket_of(aws, site.settings)
    if not state.exists:
        raise StackUnusable(f"there is no stack {site.stack}: nothing was deployed", "busway deploy")
    deployed = past_of(stack.template(), state)
    earlier = before(bucket.line(site.stack), deployed)
    if earlier is None:
        raise StackUnusable(f"nothing was deployed to {site.stack} before what is there now")
    say(Progress(site.stack, f"back to {earlier.template[:12]}", f"from {deployed.template[:12]}"))
    template = bucket.template(earlier.template)
    values = {variable_of(template, name): value for name, value in earlier.parameters.items()}
    return _change(stack, state, bucket, template, values, back=True)


def past_of(template: Template, state: StackState) -> Past:
    """What is deployed now, as the line of what was remembers it."""
    return Past(template_hash(template), plain(template, state.parameters))


def _change(
    stack: Stack, state: StackState, bucket: Bucket, template: Template, environ: Mapping[str, str], *,
    back: bool = False,
) -> Deployed:  # fmt: skip
    digest = template_hash(template)
    parameters = parameters_of(template, state.parameters, environ, bucket.name)
    for variable in unheard(template, parameters):
        stack.say(
            Progress(variable, "not set", "nobody is told of this route's alarms; an HTTPS address of PagerDuty's")
        )
    address = bucket.put_template(template)
    deployed = stack.template() if state.exists else {}
    state = adopt(stack, state, deployed, template, bucket)
    change = ChangeSet(f"busway-{digest[:24]}", address, parameters)
    changes = stack.make(change, state)
    if changes is None:
        stack.say(Progress(stack.name, "as before", "nothing to change"))
        return Deployed(stack.name, False, digest, state.outputs)
    if deployed and not back:
        # Before it is replaced: however this ends, what is deployed now is known as what was before.
        bucket.put_line(stack.name, line_with(bucket.line(stack.name), past_of(deployed, state)))
    stack.say(Progress(stack.name, "changing", f"{len(changes)} resources"))
    return Deployed(stack.name, True, digest, stack.execute(change.name).outputs)


def seal(release: Release, aws: Aws, environ: Mapping[str, str], say: Say) -> None:
    """Put the secrets that the environment has, where Secrets Manager has another value or none.

    Raises BrokenProject for a secret that neither has.
    """
    for variable, file in sorted(release.secrets.items()):
        name, given = release.site.names.secret(variable), environ.get(variable)
        if given is None:
            _expect(aws, name, variable, file)
        elif _put(aws, name, given):
            say(Progress(f"secret {name}", "sealed", "taken from the environment"))


def _expect(aws: Aws, name: str, variable: str, file: str) -> None:
    try:
        aws.call("secretsmanager", "DescribeSecret", SecretId=name)
    except AwsRefused as refusal:
        if refusal.code != _NO_SECRET:
            raise
        raise BrokenProject(
            f"{file} asks for secret {variable!r}, which is neither in Secrets Manager, as {name}, nor set here",
            f"export {variable}=… and deploy again, or: aws secretsmanager create-secret --name {name} "
            "--secret-string …",
        ) from refusal


def _put(aws: Aws, name: str, value: str) -> bool:
    """Whether it had to be."""
    try:
        kept = aws.call("secretsmanager", "GetSecretValue", SecretId=name).get("SecretString")
    except AwsRefused as refusal:
        if refusal.code != _NO_SECRET:
            raise
        aws.call("secretsmanager", "CreateSecret", Name=name, SecretString=value)
        return True
    if kept != value:
        aws.call("secretsmanager", "PutSecretValue", SecretId=name, SecretString=value)
    return kept != value
