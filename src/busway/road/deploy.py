"""Makes a project live on a running server: its code, and the calls of `plan`, one handler after the other."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from busway.errors import BrokenProject, ServerRefused
from busway.road.calls import Call, Each
from busway.road.connection import Connection
from busway.road.function_plan import Ground
from busway.road.manifest import FOLDER_TAG, HANDLER_TAG, PROJECT_TAG, Manifest, function_name
from busway.road.plan import Codes, bus_calls, plan, retire
from busway.road.rule_plan import RULE_TAG, retire_rule, rule_plan
from busway.road.secrets import seal_secrets

# What runs nowhere but on the developer's machine.
_LEFT_OUT_FOLDERS = {"__pycache__", "node_modules", "dist", "build", "tests", "venv"}
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (zipped, uploaded directly)
ZIP_BYTES_MAX = 52_428_800
# The same bytes for the same files, whatever the day: zip's own first moment.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def folder_code(root: Path) -> dict[str, Any]:
    """Code that runs from the folder itself (development only): Busway reads it where it lies."""
    return {"S3Bucket": "hot-reload", "S3Key": str(root.resolve())}


def zip_code(root: Path, left_out: Callable[[Path], bool] = lambda file: False) -> dict[str, Any]:
    """Code as a zip of the project without tests and hidden folders. Raises BrokenProject when it is too large."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        for file in (one for one in shipped_files(root) if not left_out(one)):
            entry = zipfile.ZipInfo(str(file.relative_to(root)), _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, file.read_bytes())
    data = archive.getvalue()
    if len(data) > ZIP_BYTES_MAX:
        raise BrokenProject(f"the project is {len(data)} bytes as a zip; Lambda takes at most {ZIP_BYTES_MAX}")
    return {"ZipFile": data}


def shipped_files(root: Path) -> Iterator[Path]:
    """The files that a function needs, sorted."""
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in _LEFT_OUT_FOLDERS or path.is_symlink():
            continue
        if path.is_dir():
            yield from shipped_files(path)
        elif not path.name.startswith("test_") and path.suffix != ".pyc":
            yield path


def deploy(
    manifest: Manifest,
    codes: Codes,
    connection: Connection,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Create or update everything. May be called again at any time, also after a failure.

    Raises ServerUnreachable or ServerRefused; what was done before stays, and is done again by the next call.
    """
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    steps = plan(manifest, codes, Ground(connection.scope, runtime, environment))
    make_calls(connection, bus_calls(manifest))
    seal_secrets(manifest, connection, environment, say)
    for step in (*steps, *rule_plan(manifest, connection.scope)):
        make_calls(connection, step.calls)
        say(step.says)
    say_unknown_routes(manifest, connection, say)


def target_problems(manifest: Manifest, connection: Connection) -> list[str]:
    """Of the project's rules, each target that gets nothing, and why."""
    ours = {function_name(manifest.project, entry.name): entry.name for entry in manifest.rules}
    if not ours:
        return []
    rules: list[dict[str, Any]] = connection.get("/_busway/status")["rules"]
    return [
        f"rule {ours[rule['name']]}: {target['arn']} gets nothing: {target['problem']}"
        for rule in rules
        if rule["bus"] == manifest.bus and rule["name"] in ours
        for target in rule["targets"]
        if target["problem"]
    ]


def unknown_routes(manifest: Manifest, connection: Connection) -> list[str]:
    """The alert routes that the project's alarms tell and the server does not have: nobody would hear of them."""
    asked = {entry.alert for entry in manifest.handlers} | {entry.rule.alert for entry in manifest.rules}
    known = {route["name"] for route in connection.get("/_busway/routes")["routes"]}
    return sorted(name for name in asked - known if name)


def say_unknown_routes(manifest: Manifest, connection: Connection, say: Callable[[str], None]) -> None:
    for name in unknown_routes(manifest, connection):
        say(f"nobody is told by alert {name!r} yet: busway alert set {name}")


def retire_missing(manifest: Manifest, connection: Connection) -> list[str]:
    """End handlers and rules that the server has from this project and the project has no more; return them."""
    kept = {entry.name for entry in manifest.handlers}
    gone = sorted(set(deployed_handlers(manifest.project, connection)) - kept)
    for handler in gone:
        make_calls(connection, retire(manifest.project, manifest.bus, handler, connection.scope))
    return [*gone, *_retire_rules(manifest, connection)]


def _retire_rules(manifest: Manifest, connection: Connection) -> list[str]:
    kept = {function_name(manifest.project, entry.name) for entry in (*manifest.handlers, *manifest.rules)}
    page: dict[str, Any] = {"NamePrefix": function_name(manifest.project, ""), "EventBusName": manifest.bus}
    gone: list[str] = []
    while True:
        answer = connection.call("events", "ListRules", page)
        for rule in answer["Rules"]:
            if rule["Name"] not in kept:
                listed = connection.call("events", "ListTagsForResource", {"ResourceARN": rule["Arn"]})["Tags"]
                tags = {tag["Key"]: tag["Value"] for tag in listed}
                gone += [tags[RULE_TAG]] if tags.get(PROJECT_TAG) == manifest.project and RULE_TAG in tags else []
        if not answer.get("NextToken"):
            break
        page["NextToken"] = answer["NextToken"]
    for name in gone:
        make_calls(connection, retire_rule(manifest.project, manifest.bus, name))
    return gone


def refuse_a_namesake(project: str, root: Path, connection: Connection) -> None:
    """Raises BrokenProject when the server runs a project of this name from another folder that still exists."""
    for tags in deployed_tags(project, connection):
        folder = tags.get(FOLDER_TAG)
        if folder and Path(folder) != root.resolve() and Path(folder).is_dir():
            raise BrokenProject(
                f"the server at {connection.endpoint} runs another project {project!r}, from {folder}",
                "give one of them another name in its pyproject.toml, or this one a server of its own: "
                "--endpoint http://127.0.0.1:PORT with a free port",
            )


def deployed_handlers(project: str, connection: Connection) -> Iterator[str]:
    """The handlers that the server has from a project."""
    return (tags[HANDLER_TAG] for tags in deployed_tags(project, connection) if HANDLER_TAG in tags)


def deployed_tags(project: str, connection: Connection) -> Iterator[dict[str, str]]:
    """The tags of each function that the server has from a project; by them it knows its own."""
    page: dict[str, Any] = {}
    while True:
        answer = connection.call("lambda", "ListFunctions", page)
        for function in answer.get("Functions", []):
            if str(function["FunctionName"]).startswith(function_name(project, "")):
                tags = connection.call("lambda", "ListTags", {"Resource": function["FunctionArn"]}).get("Tags", {})
                if tags.get(PROJECT_TAG) == project:
                    yield {str(key): str(value) for key, value in tags.items()}
        if not answer.get("NextMarker"):
            return
        page = {"Marker": answer["NextMarker"]}


def make_calls(connection: Connection, calls: Sequence[Call]) -> None:
    for call in calls:
        if call.after:
            connection.settled(call.after)
        for parameters in _parameters(connection, call):
            try:
                answer = connection.call(call.service, call.operation, parameters)
            except ServerRefused as refusal:
                if refusal.code not in call.exists:
                    raise
                make_calls(connection, call.then)
                continue
            _check_entries(call, answer)
        if call.builds and (reason := connection.settled(call.builds)):
            raise BrokenProject(
                f"{call.builds} cannot be built: {reason}",
                "mend it and save or deploy again; meanwhile the code before runs",
            )


def _parameters(connection: Connection, call: Call) -> Iterator[dict[str, Any]]:
    """The parameters of each time that a call is made."""
    if call.each is None:
        yield dict(call.parameters)
        return
    for thing in _listed(connection, call.each):
        yield {**call.parameters, **({call.named: thing[call.named]} if call.named else {})}


def _listed(connection: Connection, each: Each) -> list[dict[str, Any]]:
    try:
        found = connection.call(each.service, each.operation, dict(each.parameters))
    except ServerRefused as refusal:
        if refusal.code != "ResourceNotFoundException":
            raise
        return []
    return list(found.get(each.things, []))


def _check_entries(call: Call, answer: Mapping[str, Any]) -> None:
    """PutTargets answers 200 also for targets that it refused."""
    for entry in answer.get("FailedEntries", []):
        raise ServerRefused(call.operation, str(entry.get("ErrorCode")), str(entry.get("ErrorMessage")))
