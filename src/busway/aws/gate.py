"""The one gate that every request passes before anything of it is parsed, whatever route it asks for.

    Host      one that this server answers to: otherwise a web page could reach it by DNS rebinding
    Origin    none: no page in a browser may speak to it, so none can create a function on a laptop; only function
              URLs that say so are open to pages
    SigV4     with access keys: verified, whole; without: its form only, any key and any signature

What comes through is an `Identity`. A refusal is an `AwsError`. As on AWS an unknown key and a wrong signature are
told apart: the id of a key is no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from busway.arn import DEFAULT_ACCOUNT, Scope
from busway.aws import signature as sigv4
from busway.aws.errors import AwsError
from busway.clock import Clock

K = TypeVar("K")
V = TypeVar("V")
log = logging.getLogger("busway.aws.gate")

LOOPBACK_NAMES = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
# `.localhost` never leaves the machine (RFC 6761), so SDKs that put the service before the host still arrive.
LOOPBACK_SUFFIX = b".localhost"
# What SDKs put before the host for StartLiveTail, by their age, straight on the name. No name like that can be anyone
# else's; before a name of `BUSWAY_ALLOWED_HOSTS` it could be a neighbour's.
HOST_PREFIXES = (b"stream-", b"streaming-")
LOOPBACK_PREFIXED = frozenset(prefix + name for prefix in HOST_PREFIXES for name in LOOPBACK_NAMES)
_CACHE_MAX = 1024


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key that may sign. `token` is the session token of temporary credentials, `expires_at` Unix seconds.

    `worker` is the ARN of the function whose worker has it, "" for a key to everything.
    """

    secret: str
    account: str = DEFAULT_ACCOUNT
    token: str | None = None
    expires_at: float | None = None
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed a request, in which scope, and for which service (as the signature names it).

    `worker` is the ARN of the function whose worker it was, "" for others, who may everything.
    """

    scope: Scope
    access_key: str
    service: str
    worker: str = ""


class Keys:
    """The access keys by id. Workers' temporary ones are added and removed while the server runs."""

    def __init__(self, keys: Mapping[str, AccessKey] | None = None) -> None:
        self._keys = dict(keys or {})

    def __bool__(self) -> bool:
        return bool(self._keys)

    def get(self, key_id: str) -> AccessKey | None:
        return self._keys.get(key_id)

    def add(self, key_id: str, key: AccessKey) -> None:
        self._keys[key_id] = key

    def remove(self, key_id: str) -> None:
        self._keys.pop(key_id, None)


def parse_access_keys(text: str) -> dict[str, AccessKey]:
    """Keys from the setting `KEY:SECRET,KEY:SECRET`; a key of 12 digits is its own account.

    Raises ValueError that names the place of the fault, never the secret.
    """
    keys: dict[str, AccessKey] = {}
    for place, pair in enumerate((p.strip() for p in text.split(",") if p.strip()), start=1):
        key, found, secret = pair.partition(":")
        if not found or not key or not secret:
            raise ValueError(f"access key {place} is not of the form KEY:SECRET")
        if "/" in key or not key.isascii():
            raise ValueError(f"access key {place}: an id is ASCII text without '/'")
        keys[key] = AccessKey(secret, account_of(key))
    return keys


def account_of(key_id: str) -> str:
    """The account of an access key: the key itself when it is 12 digits, as LocalStack's users expect."""
    return key_id if len(key_id) == 12 and key_id.isdecimal() else DEFAULT_ACCOUNT


class Gate:
    """See the module. `strict` says whether signatures are verified; it is fixed at start.

    `clock` is the one that clients sign with, so the machine's own, also where the rest runs on a manual one.
    """

    def __init__(
        self, clock: Clock, keys: Keys | None = None, hosts: Iterable[str] = (), *, strict: bool | None = None
    ):
        """`hosts` are further names: `bus.example.com`, `*.example.com`, or `*` for every name."""
        self._clock = clock
        self.keys = keys if keys is not None else Keys()
        self.strict = bool(self.keys) if strict is None else strict
        self._names = {host.strip().lower().encode() for host in hosts if host.strip()}
        self._names |= LOOPBACK_NAMES | LOOPBACK_PREFIXED
        self._suffixes = (LOOPBACK_SUFFIX, *(name[1:] for name in self._names if name.startswith(b"*.")))
        self._known_hosts: set[bytes] = set()
        self._identities: dict[tuple[str, str, str], Identity] = {}
        self._signing_keys: dict[tuple[str, str, str, str], bytes] = {}

    def check_source(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse a Host that is not this server's and whatever comes from a web page.

        Raises AwsError AccessDeniedException, 403.
        """
        self.check_host(headers)
        self.check_no_page(headers)

    def check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises AwsError AccessDeniedException, 403."""
        host = headers.get(b"host", b"")
        if host not in self._known_hosts:
            self._admit_host(host)

    def check_no_page(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises AwsError AccessDeniedException, 403."""
        if b"origin" in headers:
            raise _denied(f"Requests from web pages are refused (Origin {_shown(headers[b'origin'])}).")
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            raise _denied("Requests from web pages are refused (Sec-Fetch-Site).")

    def _admit_host(self, host: bytes) -> None:
        name = host.lower()
        if not name.endswith(b"]"):
            bare, colon, port = name.rpartition(b":")
            name = bare if colon and port.isdigit() else name
        if not (b"*" in self._names or name in self._names or (name and name.endswith(self._suffixes))):
            raise _denied(
                f"Host {_shown(host)} is not one that this server answers to; "
                "add it to BUSWAY_ALLOWED_HOSTS if it should be."
            )
        if len(self._known_hosts) < _CACHE_MAX:
            self._known_hosts.add(host)

    def identify(self, headers: Mapping[bytes, bytes]) -> sigv4.Signed:
        """The form of the signature; raises AwsError (403) as `sigv4.parse_authorization`.

        With access keys an unknown one is refused here already, so that nobody without a key can make the server keep
        a body.
        """
        signed = sigv4.parse_authorization(headers.get(b"authorization"))
        if self.strict and self.keys.get(signed.access_key) is None:
            raise _unknown(signed)
        return signed

    def check_head(self, signed: sigv4.Signed, request: sigv4.Signable) -> None:
        """All that can be told of a signature before the body is there: its date, what it covers, whose key it names.

        Raises as `admit`.
        """
        if self.strict:
            now = self._clock.now()
            sigv4.check_head(signed, request, now)
            self._valid_key(signed, request, now)

    def admit(self, signed: sigv4.Signed, request: sigv4.Signable) -> Identity:
        """Who signed this request; with access keys configured, verified.

        Raises AwsError with AWS's codes, 403: IncompleteSignatureException, InvalidSignatureException,
        UnrecognizedClientException (unknown, expired, or with the wrong session token).
        """
        if self.strict:
            key = self._verify(signed, request)
        else:
            key = self.keys.get(signed.access_key) or AccessKey("", account_of(signed.access_key))
        name = (signed.access_key, signed.region, signed.service)
        identity = self._identities.get(name)
        if identity is None or (identity.scope.account, identity.worker) != (key.account, key.worker):
            identity = Identity(Scope(key.account, signed.region), signed.access_key, signed.service, key.worker)
            _remember(self._identities, name, identity)
        return identity

    def _verify(self, signed: sigv4.Signed, request: sigv4.Signable) -> AccessKey:
        now = self._clock.now()
        date = sigv4.check_form(signed, request, now)
        key = self._valid_key(signed, request, now)
        scope = f"{signed.day}/{signed.region}/{signed.service}"
        secret = self._signing_key(signed, key.secret)
        wanted = sigv4.signature(request, signed.signed_headers, secret, scope, date)
        if not hmac.compare_digest(wanted, signed.signature):
            log.info("refused signature of access key %r", signed.access_key)
            raise sigv4.mismatch()
        return key

    def _valid_key(self, signed: sigv4.Signed, request: sigv4.Signable, now: float) -> AccessKey:
        key = self.keys.get(signed.access_key)
        if key is None or not _token_fits(key, request.headers) or (key.expires_at or now) < now:
            raise _unknown(signed)
        return key

    def _signing_key(self, signed: sigv4.Signed, secret: str) -> bytes:
        # The secret's hash is part of the name: a key id that is given a new secret finds no old signing key.
        digest = hashlib.sha256(secret.encode()).hexdigest()
        name = (digest, signed.day, signed.region, signed.service)
        found = self._signing_keys.get(name)
        if found is None:
            found = sigv4.signing_key(secret, signed.day, signed.region, signed.service)
            _remember(self._signing_keys, name, found)
        return found


def _unknown(signed: sigv4.Signed) -> AwsError:
    log.info("refused access key %r", signed.access_key)
    return AwsError("UnrecognizedClientException", "The security token included in the request is invalid.", 403)


def _token_fits(key: AccessKey, headers: Mapping[bytes, bytes]) -> bool:
    return hmac.compare_digest(headers.get(b"x-amz-security-token", b""), (key.token or "").encode())


def _remember(cache: dict[K, V], name: K, value: V) -> None:
    """Keep a value; the names come from the outside, so a full cache is emptied rather than grown."""
    if len(cache) >= _CACHE_MAX:
        cache.clear()
    cache[name] = value


def _denied(message: str) -> AwsError:
    return AwsError("AccessDeniedException", message, 403)


def _shown(text: bytes) -> str:
    return repr(text[:200].decode("latin-1"))
