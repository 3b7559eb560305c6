"""The code of a project's handlers as zips for Lambda: only what each needs, the same bytes for the same files."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from busway.errors import BrokenProject
from busway.road.aws.dependencies import install, installed_files
from busway.road.aws.function import Code, is_node
from busway.road.aws.imports import beside, needed_by
from busway.road.manifest import HandlerEntry, Manifest
from busway.road.root import AwsSettings

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (unzipped)
UNZIPPED_BYTES_MAX = 262_144_000
# The same bytes for the same files, whatever the day: zip's own first moment.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

_PYTHON_ENTRY = '''"""Made by Busway: the handler's secrets are there before its code is loaded."""

import os

from busway.unsealing import unseal

unseal(os.environ)

from {module} import {function} as handle  # noqa: E402
'''
# Lambda has AWS's SDK where `require` finds it: https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
_NODE_ENTRY = """// Made by Busway: the handler's secrets are there before its code is loaded.
import {{ createRequire }} from "node:module";

const sdk = createRequire(import.meta.url)("@aws-sdk/client-secrets-manager");
const client = new sdk.SecretsManagerClient({{}});
for (const [variable, name] of Object.entries(JSON.parse(process.env.BUSWAY_SECRETS ?? "{{}}"))) {{
  const found = await client.send(new sdk.GetSecretValueCommand({{ SecretId: name }}));
  process.env[variable] = found.SecretString;
}}
const {{ {function}: handle }} = await import("./{module}.mjs");
export {{ handle }};
"""
_ENTRY = "_busway_entry"


@dataclass(frozen=True, slots=True)
class Package:
    """A handler's zip. `digest` is of its files, whatever zlib made of them: where it lies is found by that."""

    data: bytes
    digest: str
    entry_point: str
    steps: bool

    @property
    def code(self) -> Code:
        return Code(code_key(self.digest), self.entry_point, self.steps)


def code_key(digest: str) -> str:
    """Where code lies in the bucket. Projects share it: what is the same is there once."""
    return f"code/{digest}.zip"


async def make_packages(root: Path, manifest: Manifest, settings: AwsSettings) -> dict[str, Package]:
    """By handler. The bundles of handlers in TypeScript are those that `describe` made. Raises BrokenProject."""
    in_python = [entry for entry in manifest.handlers if not is_node(entry)]
    packages = installed_files(await install(root, settings)) if in_python else {}
    return {
        entry.name: _node_package(root, entry) if is_node(entry) else _python_package(root, entry, packages)
        for entry in manifest.handlers
    }


def _python_package(root: Path, entry: HandlerEntry, packages: Mapping[str, Path]) -> Package:
    module, _, function = entry.entry_point.rpartition(".")
    needed = needed_by(root, [module, *(["busway.unsealing"] if entry.secrets else [])])
    files = {**packages, **beside(root, root / entry.file), **needed.files}
    contents = {name: file.read_bytes() for name, file in files.items()}
    if not entry.secrets:
        return _package(entry, contents, entry.entry_point, steps=needed.steps)
    contents[f"{_ENTRY}.py"] = _PYTHON_ENTRY.format(module=module, function=function).encode()
    return _package(entry, contents, f"{_ENTRY}.handle", steps=needed.steps)


def _node_package(root: Path, entry: HandlerEntry) -> Package:
    folder = root / entry.code
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.startswith("handler.")}
    if not entry.secrets:
        return _package(entry, contents, entry.entry_point, steps=False)
    module, _, function = entry.entry_point.rpartition(".")
    contents[f"{_ENTRY}.mjs"] = _NODE_ENTRY.format(module=module, function=function).encode()
    return _package(entry, contents, f"{_ENTRY}.handle", steps=False)


def _package(entry: HandlerEntry, contents: Mapping[str, bytes], entry_point: str, *, steps: bool) -> Package:
    size = sum(map(len, contents.values()))
    if size > UNZIPPED_BYTES_MAX:
        raise BrokenProject(f"{entry.file}: its code is {size} bytes; Lambda takes at most {UNZIPPED_BYTES_MAX}")
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(f"{len(name)} {name} {len(contents[name])} ".encode() + contents[name])
    return Package(zipped(contents), digest.hexdigest(), entry_point, steps)


def zipped(contents: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, contents[name])
    return archive.getvalue()
