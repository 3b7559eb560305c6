"""The key that seals secrets: the setting's, or one of the data folder's own that is made when it is first needed."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path

from busway.clock import Entropy
from busway.errors import BadSecretKey
from busway.secret.seal import KEY_BYTES


class SealingKey:
    """Gives the key; reads or makes it the first time."""

    def __init__(self, setting: str, folder: Path, entropy: Entropy, sync_tree: Callable[[Path], None]) -> None:
        """`folder` is the key's own. Raises `BadSecretKey` for a setting that is no key."""
        self._folder, self._entropy, self._sync_tree = folder, entropy, sync_tree
        self._key = _decoded(setting, "BUSWAY_SECRET_KEY") if setting else b""

    def __call__(self) -> bytes:
        """Raises `BadSecretKey`, OSError."""
        if not self._key:
            file = self._folder / "key"
            self._key = _decoded(file.read_text(), str(file)) if file.exists() else self._made(file)
        return self._key

    def _made(self, file: Path) -> bytes:
        key, beside = self._entropy.token(KEY_BYTES), file.with_suffix(".new")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as output:
            output.write(base64.b64encode(key) + b"\n")
        # Whole before it has its name: half a key would lose every secret.
        self._sync_tree(self._folder)
        beside.replace(file)
        self._sync_tree(self._folder)
        return key


def _decoded(text: str, where: str) -> bytes:
    """The text is never shown: it may be a key with one letter too many."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadSecretKey(where, KEY_BYTES)
    return key
