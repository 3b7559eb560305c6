"""Function URLs: what is kept of one. Pure; how it is served is the door's business.

https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
"""

from __future__ import annotations

import msgspec

# Ours: where URLs are served beside everything else, on a name that needs no DNS. The form of AWS's hosts works too
# where names below `localhost` resolve: `<id>.lambda-url.<region>.localhost`.
PREFIX = "/_lambda_url/"
HOST_MARK = ".lambda-url."

NONE, IAM = "NONE", "AWS_IAM"
ID_CHARS = 32
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Cors(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What browsers are told. Headers and methods are compared without regard to case."""

    allow_credentials: bool = False
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_s: int | None = None


class FunctionUrl(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The URL of the function `arn`, or of its alias `qualifier`. Times are Unix seconds."""

    id: str
    arn: str
    qualifier: str
    auth_type: str
    created_at: float
    modified_at: float
    cors: Cors | None = None


def url_id(drawn: bytes) -> str:
    """The id of a new URL, from as many unguessable bytes as it has characters."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in drawn[:ID_CHARS])
