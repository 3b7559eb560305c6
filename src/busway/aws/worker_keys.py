"""Credentials of the server's own for its workers."""

from __future__ import annotations

from busway.arn import DEFAULT_ACCOUNT
from busway.aws.gate import AccessKey, Keys
from busway.clock import Entropy


class WorkerKeys:
    """Credentials of its own for each worker, known to the gate for as long as the worker lives.

    Without keys at the gate others would do too; but then what a handler may not call, it learns in development.
    """

    def __init__(self, keys: Keys, entropy: Entropy) -> None:
        self._keys, self._entropy = keys, entropy
        self._given: set[str] = set()

    def __call__(self, function_arn: str) -> tuple[str, str, str]:
        """Access key, secret key, session token."""
        account = function_arn.split(":")[4] if function_arn.count(":") >= 4 else DEFAULT_ACCOUNT
        key_id = "ASIA" + self._entropy.token(8).hex().upper()
        secret, token = self._entropy.token(20).hex(), self._entropy.token(20).hex()
        self._keys.add(key_id, AccessKey(secret, account, token, worker=function_arn))
        self._given.add(key_id)
        return (key_id, secret, token)

    def take_back(self, key_id: str) -> None:
        """The worker is gone: who kept its credentials can do nothing with them."""
        if key_id in self._given:
            self._given.remove(key_id)
            self._keys.remove(key_id)
