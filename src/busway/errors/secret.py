"""Secrets Manager-shaped secrets. The words are AWS's where they are known; no message holds a value."""

from __future__ import annotations

from busway.errors.root import BuswayError


class SecretNotFound(BuswayError):
    """No such secret."""

    def __init__(self) -> None:
        super().__init__("Secrets Manager can't find the specified secret.")


class SecretValueNotFound(BuswayError):
    """The secret has no such version, or no value at all."""

    def __init__(self, version_id: str | None, stage: str | None) -> None:
        what = f"VersionId: {version_id}" if version_id else f"staging label: {stage or 'AWSCURRENT'}"
        super().__init__(f"Secrets Manager can't find the specified secret value for {what}")


class SecretDeleted(BuswayError):
    """The secret is marked for deletion."""

    def __init__(self) -> None:
        super().__init__("You can't perform this operation on the secret because it was marked for deletion.")


class SecretExists(BuswayError):
    """A secret of that name, or a version of that id, is there with another value."""

    def __init__(self, name: str, *, deleted: bool = False, version: bool = False) -> None:
        if version:
            said = f"You can't use ClientRequestToken {name} because that value is already in use for a version."
        elif deleted:
            said = "You can't create this secret because a secret with this name is already scheduled for deletion."
        else:
            said = f"The operation failed because the secret {name} already exists."
        super().__init__(said)
        self.name, self.deleted = name, deleted


class InvalidSecret(BuswayError):
    """A name or value that no secret may have."""


class SecretUnreadable(BuswayError):
    """A sealed value that this server's key does not open."""

    hint = "start the server with the key it was sealed with: BUSWAY_SECRET_KEY, or secrets/key in its data folder"

    def __init__(self, place: str) -> None:
        super().__init__(f"secret {place.partition('|')[0]} was sealed with another key, or its bytes were changed")


class BadSecretKey(BuswayError):
    """What should be the sealing key is none."""

    hint = "one is made by: python3 -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'"

    def __init__(self, where: str, wanted: int) -> None:
        super().__init__(f"{where} is no key; wanted {wanted} bytes in base64")
