"""What is kept of a secret. Pure."""

from __future__ import annotations

import msgspec

# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
VALUE_BYTES_MAX = 65_536
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a secret. `sealed` opens with the server's key at the place that `place` names."""

    id: str
    sealed: bytes
    binary: bool = False
    created_at: float


class SecretRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A secret with its present value and the one before it; either may be missing.

    `deleted_at`: when it was marked for deletion; `gone_at`: from when on it is no more. Unix seconds.
    """

    arn: str
    name: str
    description: str = ""
    tags: dict[str, str] = {}
    created_at: float
    changed_at: float
    current: Version | None = None
    previous: Version | None = None
    deleted_at: float | None = None
    gone_at: float | None = None

    def version(self, version_id: str | None, stage: str | None) -> Version | None:
        """The version that a caller names by its id, its stage or both; without either the present one."""
        by_stage = {CURRENT: self.current, PREVIOUS: self.previous}
        if version_id is None:
            return by_stage.get(stage or CURRENT)
        found = [v for s, v in by_stage.items() if v is not None and v.id == version_id and stage in (None, s)]
        return found[0] if found else None

    def stages(self) -> dict[str, list[str]]:
        """The stages of each version, by its id."""
        kept = {CURRENT: self.current, PREVIOUS: self.previous}
        return {version.id: [stage] for stage, version in kept.items() if version is not None}


def place(arn: str, version_id: str) -> str:
    """Where a value belongs; bound to it when it is sealed."""
    return f"{arn}|{version_id}"
