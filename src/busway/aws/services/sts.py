"""STS, as far as `GetCallerIdentity`: what `aws sts get-caller-identity` and deploy tools ask first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.aws.service import Caller, Operation


class Sts:
    """Tells a caller who the signature says it is."""

    name = "sts"

    def __init__(self) -> None:
        self.operations: Mapping[str, Operation] = {"GetCallerIdentity": self.get_caller_identity}

    async def get_caller_identity(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Busway has no users below an account, so everyone is its root."""
        account = caller.scope.account
        return {"UserId": account, "Account": account, "Arn": f"arn:aws:iam::{account}:root"}
