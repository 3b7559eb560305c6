"""Sealing: AES-256-GCM, with a value's place bound to it, so that one sealed value cannot stand for another."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from busway.errors import SecretUnreadable

KEY_BYTES = 32
# https://nvlpubs.nist.gov/nistpubs/Legacy/SP/nistspecialpublication800-38d.pdf (8.2.2: random, 96 bits)
NONCE_BYTES = 12


def seal(key: bytes, nonce: bytes, value: bytes, place: str) -> bytes:
    """`nonce` is never used twice with one key."""
    return nonce + AESGCM(key).encrypt(nonce, value, place.encode())


def unseal(key: bytes, sealed: bytes, place: str) -> bytes:
    """Raises `SecretUnreadable` for another key, another place, or changed bytes."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError) as error:
        raise SecretUnreadable(place) from error
