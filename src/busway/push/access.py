"""Who may push, and in whose name is deployed what was pushed."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from busway.arn import Scope
from busway.aws.gate import AccessKey, Keys, account_of
from busway.clock import Entropy


@dataclass(frozen=True, slots=True)
class PushKey:
    """A key that may push to one project, and nothing else."""

    secret: str
    project: str
    account: str


def parse_push_keys(text: str) -> dict[str, PushKey]:
    """Keys from the setting `KEY:SECRET:PROJECT,…`. Raises ValueError that names the place, never the secret."""
    keys: dict[str, PushKey] = {}
    for place, each in enumerate((one.strip() for one in text.split(",") if one.strip()), start=1):
        parts = each.split(":")
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"push key {place} is not of the form KEY:SECRET:PROJECT")
        if parts[0] in keys:
            raise ValueError(f"push key {place} has the name of another; a key is for one project")
        keys[parts[0]] = PushKey(parts[1], parts[2], account_of(parts[0]))
    return keys


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for which project."""

    scope: Scope
    project: str


class Access:
    """Who may come in. `strict`: only with a key."""

    def __init__(self, keys: Keys, push_keys: Mapping[str, PushKey], *, strict: bool) -> None:
        self._keys, self._push_keys, self._strict = keys, push_keys, strict

    @contextmanager
    def lent(self, scope: Scope, entropy: Entropy) -> Generator[tuple[str, str]]:
        """A key to everything in an account, and its secret, for as long as this is open."""
        name, secret = "ASIA" + entropy.token(8).hex().upper(), entropy.token(20).hex()
        self._keys.add(name, AccessKey(secret, scope.account))
        try:
            yield name, secret
        finally:
            self._keys.remove(name)

    def admit(self, headers: Mapping[bytes, bytes], project: str) -> Caller | None:
        """None for who has no key to the project."""
        name, secret = _basic(headers.get(b"authorization", b""))
        if not self._strict:
            return Caller(Scope(account_of(name)), project)
        key, push_key = self._keys.get(name), self._push_keys.get(name)
        if key is not None and not key.worker and key.token is None and _same(key.secret, secret):
            return Caller(Scope(key.account), project)
        if push_key is not None and push_key.project == project and _same(push_key.secret, secret):
            return Caller(Scope(push_key.account), project)
        return None


def _basic(header: bytes) -> tuple[str, str]:
    """The name and the secret of HTTP Basic, "" for none. https://www.rfc-editor.org/rfc/rfc7617"""
    kind, _, encoded = header.partition(b" ")
    try:
        text = base64.b64decode(encoded, validate=True).decode() if kind.lower() == b"basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    name, _, secret = text.partition(":")
    return name, secret


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
