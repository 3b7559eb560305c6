"""Secrets: kept in memory as they are on disk, sealed; opened one at a time, for who asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from busway.arn import Scope
from busway.clock import Clock, Entropy, uuids
from busway.engine import Engine
from busway.errors import InvalidSecret, SecretDeleted, SecretExists, SecretNotFound, SecretValueNotFound
from busway.secret.record import VALUE_BYTES_MAX, SecretRecord, Version, place
from busway.secret.seal import NONCE_BYTES, seal, unseal

_PREFIX = "secret/"
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
DAY_S = 86_400.0

Value = str | bytes


class Secrets:
    """CRUD of secrets. `key` gives what seals them. An id is a secret's name or its ARN, with or without its end."""

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy, key: Callable[[], bytes]) -> None:
        self._records, self._clock, self._entropy, self._key = engine.records, clock, entropy, key
        self._secrets: dict[str, SecretRecord] = {}
        # Called with scope and name of a secret whose value is another one now, or none any more.
        self.on_change: Callable[[Scope, str], Any] = lambda scope, name: None

    async def open(self) -> None:
        """Read what is stored; once, before anything else."""
        for value in await self._records.list(_PREFIX):
            record = msgspec.json.decode(value.data, type=SecretRecord)
            self._secrets[record.arn] = record

    # --- look up ---

    def of_scope(self, scope: Scope) -> list[SecretRecord]:
        """By name, those that are marked for deletion too."""
        start = scope.arn("secretsmanager", "secret:")
        kept = (record for record in self._secrets.values() if not self._is_gone(record))
        return sorted((record for record in kept if record.arn.startswith(start)), key=lambda record: record.name)

    def need(self, scope: Scope, secret_id: str) -> SecretRecord:
        """Raises `SecretNotFound`."""
        found = self._find(scope, secret_id)
        if found is None:
            raise SecretNotFound
        return found

    def _find(self, scope: Scope, secret_id: str) -> SecretRecord | None:
        whole = secret_id if secret_id.startswith("arn:") else scope.arn("secretsmanager", f"secret:{secret_id}")
        for record in self.of_scope(scope):
            # The end of an ARN is six characters that AWS adds; a caller may leave them out.
            if whole in (record.arn, record.arn[:-7]):
                return record
        return None

    def _is_gone(self, record: SecretRecord) -> bool:
        return record.gone_at is not None and record.gone_at <= self._clock.now()

    def value(
        self, scope: Scope, secret_id: str, version_id: str | None = None, stage: str | None = None
    ) -> tuple[SecretRecord, Version, Value]:
        """The value, with what it belongs to.

        Raises `SecretNotFound`, `SecretDeleted`, `SecretValueNotFound`, `SecretUnreadable`.
        """
        record = self._at_rest(scope, secret_id)
        version = record.version(version_id, stage)
        if version is None:
            raise SecretValueNotFound(version_id, stage)
        return record, version, self._opened(record.arn, version)

    def text(self, scope: Scope, name: str) -> str:
        """The present value as text, for a worker's variable. Raises as `value`, and `InvalidSecret` for bytes."""
        _, _, value = self.value(scope, name)
        if isinstance(value, bytes) or "\0" in value:
            raise InvalidSecret("it holds bytes; wanted text for a variable")
        return value

    def _at_rest(self, scope: Scope, secret_id: str) -> SecretRecord:
        record = self.need(scope, secret_id)
        if record.deleted_at is not None:
            raise SecretDeleted
        return record

    # --- change ---

    async def create(
        self, scope: Scope, name: str, value: Value | None, *, description: str = "",
        tags: Mapping[str, str] | None = None, version_id: str | None = None,
    ) -> SecretRecord:  # fmt: skip
        """Raises `InvalidSecret`, `SecretExists`. The same again, with the same `version_id`, changes nothing."""
        if not _NAME.fullmatch(name):
            raise InvalidSecret(
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: "
                "-/_+=.@!"
            )
        found = self._find(scope, name)
        if found is not None:
            kept = found.current
            if kept is None or kept.id != version_id or self._opened(found.arn, kept) != value:
                raise SecretExists(name, deleted=found.deleted_at is not None)
            return found
        now, end = self._clock.now(), uuids(self._entropy, 1)[0][:6]
        record = SecretRecord(
            arn=scope.arn("secretsmanager", f"secret:{name}-{end}"), name=name, description=description,
            tags=dict(tags or {}), created_at=now, changed_at=now,
        )  # fmt: skip
        return await self._put(scope, record if value is None else self._with(record, value, version_id))

    async def put(self, scope: Scope, secret_id: str, value: Value, version_id: str | None = None) -> SecretRecord:
        """A new present value. Raises `SecretNotFound`, `SecretDeleted`, `SecretExists`, `InvalidSecret`."""
        record = self._at_rest(scope, secret_id)
        kept = record.version(version_id, None) if version_id else None
        if kept is not None:
            if self._opened(record.arn, kept) != value:
                raise SecretExists(version_id or "", version=True)
            return record
        return await self._put(scope, self._with(record, value, version_id))

    async def describe_as(self, scope: Scope, secret_id: str, description: str) -> SecretRecord:
        record = self._at_rest(scope, secret_id)
        return await self._put(scope, replace(record, description=description, changed_at=self._clock.now()))

    async def delete(self, scope: Scope, secret_id: str, after_days: int) -> SecretRecord:
        """Mark it for deletion; it is gone after so many days, 0: now. Raises `SecretNotFound`, `SecretDeleted`."""
        record = self._at_rest(scope, secret_id) if after_days else self.need(scope, secret_id)
        now = self._clock.now()
        marked = replace(record, deleted_at=now, gone_at=now + after_days * DAY_S)
        if after_days:
            return await self._put(scope, marked)
        await self._records.delete(_PREFIX + record.arn)
        self._secrets.pop(record.arn, None)
        await self._tell(scope, record.name)
        return marked

    async def restore(self, scope: Scope, secret_id: str) -> SecretRecord:
        """Take a mark for deletion back. Raises `SecretNotFound`."""
        return await self._put(scope, replace(self.need(scope, secret_id), deleted_at=None, gone_at=None))

    def _with(self, record: SecretRecord, value: Value, version_id: str | None) -> SecretRecord:
        raw = value.encode() if isinstance(value, str) else value
        if not 1 <= len(raw) <= VALUE_BYTES_MAX:
            raise InvalidSecret(f"the value is {len(raw)} bytes; wanted 1 to {VALUE_BYTES_MAX}")
        now, version_id = self._clock.now(), version_id or uuids(self._entropy, 1)[0]
        sealed = seal(self._key(), self._entropy.token(NONCE_BYTES), raw, place(record.arn, version_id))
        made = Version(id=version_id, sealed=sealed, binary=isinstance(value, bytes), created_at=now)
        return replace(record, current=made, previous=record.current, changed_at=now)

    def _opened(self, arn: str, version: Version) -> Value:
        raw = unseal(self._key(), version.sealed, place(arn, version.id))
        return raw if version.binary else raw.decode()

    async def _put(self, scope: Scope, record: SecretRecord) -> SecretRecord:
        await self._records.put(_PREFIX + record.arn, msgspec.json.encode(record))
        self._secrets[record.arn] = record
        await self._tell(scope, record.name)
        return record

    async def _tell(self, scope: Scope, name: str) -> None:
        told = self.on_change(scope, name)
        if told is not None:
            await told
