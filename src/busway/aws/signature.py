"""AWS Signature Version 4: sign a request, and verify that one was signed by who it says. Pure.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

    canonical request = method, path, query, headers, names of signed headers, hash of the body
    string to sign    = algorithm, time, scope, hash of the canonical request
    signature         = HMAC(key derived from secret, day, region, service; string to sign)

What is verified is exactly what the router reads: the path as it came (one with `//`, `/./` or `/../`, which the
rules would fold, is refused), the query decoded without `+` for space, the body as received.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

from busway.aws.errors import AwsError

# AWS's: a signature is good for 15 minutes either side of its time.
WINDOW_S = 15 * 60
TERMINATOR = b"aws4_request"
ALGORITHM = b"AWS4-HMAC-SHA256"

_AUTHORIZATION = re.compile(
    rb"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([A-Za-z0-9-]+)/([A-Za-z0-9._-]+)/aws4_request"
    rb"\s*,\s*SignedHeaders=((?::authority;)?[a-z0-9;._-]+)\s*,\s*Signature=([0-9a-f]{64})\s*"
)
_DATE = re.compile(rb"\d{8}T\d{6}Z")
# Over HTTP/2 the SDK for Node signs the host under the name that it has there.
AUTHORITY = b":authority"
# Hops may add or change these, so no signer includes them.
_UNSIGNED = {b"authorization", b"connection", b"expect", b"transfer-encoding", b"user-agent", b"x-amzn-trace-id"}


@dataclass(frozen=True, slots=True)
class Signed:
    """An `Authorization` header in its parts; nothing of it is verified yet."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[bytes, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Signable:
    """A request as its signature sees it: `path` and `query` as on the wire, header names in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


def parse_authorization(header: bytes | None) -> Signed:
    """The parts of an `Authorization` header.

    Raises AwsError MissingAuthenticationTokenException for none or another scheme, IncompleteSignatureException
    for a SigV4 one that lacks a part.
    """
    if not header or not header.startswith(b"AWS4-"):
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    match = _AUTHORIZATION.fullmatch(header)
    if match is None:
        raise incomplete(
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' after AWS4-HMAC-SHA256, "
            "with a credential of the form KEY/YYYYMMDD/REGION/SERVICE/aws4_request."
        )
    key, day, region, service, names, signature = match.groups()
    try:
        return Signed(
            key.decode("ascii"),
            day.decode(),
            region.decode(),
            service.decode(),
            tuple(names.split(b";")),
            signature,
        )
    except UnicodeDecodeError:
        raise incomplete("The access key is not ASCII text.") from None


def named_service(header: bytes) -> str:
    """The service that an `Authorization` header names, "" for none: for the form of a refusal, not for trust."""
    match = _AUTHORIZATION.fullmatch(header)
    return match.group(4).decode() if match is not None else ""


def incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignatureException", message, 403)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message, 403)


def mismatch() -> AwsError:
    """AWS's text for a wrong signature, to the letter: people search for it."""
    return invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
        "Access Key and signing method. Consult the service documentation for details."
    )


def wrong_service(wanted: str) -> AwsError:
    return invalid(f"Credential should be scoped to correct service: '{wanted}'.")


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key for one secret, UTC day (YYYYMMDD), Region and service; good to cache."""
    key = b"AWS4" + secret.encode()
    for part in (day.encode(), region.encode(), service.encode(), TERMINATOR):
        key = hmac.digest(key, part, "sha256")
    return key


def canonical_request(request: Signable, names: tuple[bytes, ...]) -> bytes:
    """The canonical form with the headers in `names`, which must all be present and sorted."""
    headers = b"".join(b"%b:%b\n" % (name, b" ".join(request.headers[_sent_as(name)].split())) for name in names)
    return b"\n".join(
        (
            request.method.encode(),
            quote(request.path, safe="/~").encode(),
            _canonical_query(request.query),
            headers,
            b";".join(names),
            hashlib.sha256(request.body).hexdigest().encode(),
        )
    )


def _sent_as(name: bytes) -> bytes:
    """The header that a signed name stands for."""
    return b"host" if name == AUTHORITY else name


def _canonical_query(query: bytes) -> bytes:
    if not query:
        return b""
    pairs: list[tuple[str, str]] = []
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs)).encode()


def _encoded(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def signature(request: Signable, names: tuple[bytes, ...], key: bytes, scope: str, date: bytes) -> bytes:
    """The hex signature; `scope` is `day/region/service`, `date` the X-Amz-Date."""
    digest = hashlib.sha256(canonical_request(request, names)).hexdigest().encode()
    text = b"\n".join((ALGORITHM, date, scope.encode() + b"/" + TERMINATOR, digest))
    return hmac.new(key, text, "sha256").hexdigest().encode()


def check_form(signed: Signed, request: Signable, now: float) -> bytes:
    """The request's date, once everything about its signature but the arithmetic was found in order.

    Raises as `check_head`; and refuses a body that is not the one whose hash was signed.
    """
    date = check_head(signed, request, now)
    said = request.headers.get(b"x-amz-content-sha256")
    if said is not None and not hmac.compare_digest(said, hashlib.sha256(request.body).hexdigest().encode()):
        raise mismatch()
    return date


def check_head(signed: Signed, request: Signable, now: float) -> bytes:
    """As `check_form`, of all but the body, which need not be there yet.

    Raises AwsError IncompleteSignatureException or InvalidSignatureException (403) in AWS's words where it has
    some. Refused, never skipped: payloads that are not signed or come in signed chunks, and signatures in the query.
    """
    headers = request.headers
    date = headers.get(b"x-amz-date", b"")
    if not _DATE.fullmatch(date):
        raise incomplete("Authorization header requires existence of an 'X-Amz-Date' header, as YYYYMMDDTHHMMSSZ.")
    if date[:8].decode() != signed.day:
        raise invalid(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{signed.day}' != '{date[:8].decode()}'."
        )
    _check_time(date, now)
    _check_names(signed.signed_headers, headers)
    _check_path(request.path, request.query)
    said = headers.get(b"x-amz-content-sha256", b"")
    if said.startswith((b"UNSIGNED-", b"STREAMING-")):
        raise invalid(f"X-Amz-Content-SHA256 is {said.decode('latin-1')}; wanted the SHA-256 of the whole body.")
    return date


def _check_time(date: bytes, now: float) -> None:
    try:
        at = datetime.strptime(date.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise incomplete(f"X-Amz-Date {date.decode()} is not a date.") from None
    if at < now - WINDOW_S:
        limit = amz_date(now - WINDOW_S)
        raise invalid(f"Signature expired: {date.decode()} is now earlier than {limit} ({amz_date(now)} - 15 min.)")
    if at > now + WINDOW_S:
        limit = amz_date(now + WINDOW_S)
        raise invalid(
            f"Signature not yet current: {date.decode()} is still later than {limit} ({amz_date(now)} + 15 min.)"
        )


def _check_names(names: tuple[bytes, ...], headers: Mapping[bytes, bytes]) -> None:
    if list(names) != sorted(set(names)):
        raise incomplete("SignedHeaders must be sorted, each name once.")
    signed = {_sent_as(name) for name in names}
    for name in names:
        if _sent_as(name) not in headers:
            raise invalid(f"Signed header {name.decode()} is not in the request.")
    for name in headers:
        if (name in (b"host", b"content-type") or name.startswith(b"x-amz-")) and name not in signed:
            raise invalid(f"Header {name.decode('latin-1')} must be signed.")
    if b"host" not in signed:
        raise invalid("'Host' must be a signed header.")


def _check_path(path: bytes, query: bytes) -> None:
    if not path.startswith(b"/") or b"//" in path or {b".", b".."} & set(path.split(b"/")):
        raise AwsError("InvalidSignatureException", "A path with empty or dot segments is not served.", 400)
    if b"x-amz-signature" in query.lower():
        raise AwsError("InvalidSignatureException", "A signature in the query is not served; sign the headers.", 400)


def amz_date(now: float) -> str:
    """Unix seconds as X-Amz-Date has it: 20261123T165428Z."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    key: str,
    secret: str,
    region: str,
    service: str,
    now: float,
    *,
    token: str | None = None,
) -> dict[str, str]:
    """The headers to send: `headers` with Host, X-Amz-Date and Authorization. The URL is sent as it is given.

    `now` is Unix seconds. `token` is the session token of temporary credentials.
    """
    parts = urlsplit(url)
    date = amz_date(now)
    host = parts.netloc.rpartition("@")[2].removesuffix(":80" if parts.scheme == "http" else ":443")
    sent = dict(headers) | {"Host": host, "X-Amz-Date": date}
    if token:
        sent["X-Amz-Security-Token"] = token
    lowered = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in sent.items()}
    names = tuple(sorted(name for name in lowered if name not in _UNSIGNED))
    request = Signable(method.upper(), (parts.path or "/").encode(), parts.query.encode(), lowered, body)
    scope = f"{date[:8]}/{region}/{service}"
    found = signature(request, names, signing_key(secret, date[:8], region, service), scope, date.encode())
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}/aws4_request, "
        f"SignedHeaders={b';'.join(names).decode()}, Signature={found.decode()}"
    )
    return sent
