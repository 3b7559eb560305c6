"""The secrets that a project's handlers ask for: sealed on the server before a handler that needs one is deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from busway.errors import MissingSecret, ServerRefused, ServerUnreachable
from busway.road.connection import Connection
from busway.road.manifest import Manifest
from busway.secret.reference import secret_name

_NOT_THERE = "ResourceNotFoundException"


def seal_secrets(
    manifest: Manifest, connection: Connection, environment: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Put what the environment has, where the server has another value or none.

    Raises MissingSecret for a secret that neither has, ServerUnreachable, ServerRefused.
    """
    files = {name: entry.file for entry in manifest.handlers for name in entry.secrets}
    for variable, file in sorted(files.items()):
        name = secret_name(manifest.project, variable)
        kept, given = _value(connection, name), environment.get(variable)
        if given is not None and given != kept:
            put_secret(connection, name, given)
            say(f"secret {variable}: taken from the environment, sealed")
        elif given is None and kept is None:
            raise MissingSecret(file, variable, name)


def put_secret(connection: Connection, name: str, value: str) -> bool:
    """Seal a value under a name; whether the name is new."""
    try:
        connection.call("secretsmanager", "PutSecretValue", {"SecretId": name, "SecretString": value})
    except ServerRefused as refusal:
        if refusal.code != _NOT_THERE:
            raise
        connection.call("secretsmanager", "CreateSecret", {"Name": name, "SecretString": value})
        return True
    return False


def remove_secret(connection: Connection, name: str) -> None:
    """Delete a secret at once, if there is one of that name."""
    try:
        connection.call("secretsmanager", "DeleteSecret", {"SecretId": name, "ForceDeleteWithoutRecovery": True})
    except ServerRefused as refusal:
        if refusal.code != _NOT_THERE:
            raise


def is_sealed(name: str, connection: Connection) -> bool:
    """Whether the server has a secret of that name now; False also while it cannot be asked."""
    try:
        return _value(connection, name) is not None
    except (ServerRefused, ServerUnreachable):
        return False


def _value(connection: Connection, name: str) -> str | None:
    try:
        found = connection.call("secretsmanager", "GetSecretValue", {"SecretId": name})
    except ServerRefused as refusal:
        if refusal.code != _NOT_THERE:
            raise
        return None
    return found.get("SecretString")
