"""Services that AWS has and Busway has not: an error that names them, in the form that their clients read.

Their models are not loaded for it: what the request says of itself is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from busway.aws.errors import COVERAGE, AwsError
from busway.aws.protocols import Reply
from busway.aws.protocols.json import refuse_plainly
from busway.aws.protocols.query import form_action, refuse_in_xml
from busway.aws.protocols.query_values import xml_text

# Signing names of the services that speak REST-XML; those of S3 have a form of errors to themselves.
S3 = frozenset({"s3", "s3express", "s3-object-lambda", "s3-outposts"})
REST_XML = frozenset({"cloudfront", "route53"}) | S3
XML = b"application/xml"
_JSON_1_0 = b"application/x-amz-json-1.0"
# What S3 and EC2 call what other services call otherwise:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_S3_CODES = {
    "UnsupportedOperationException": "NotImplemented",
    "AccessDeniedException": "AccessDenied",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "RequestEntityTooLargeException": "EntityTooLarge",
    "InternalFailure": "InternalError",
}
_EC2_CODES = {
    "UnsupportedOperationException": "UnsupportedOperation",
    "AccessDeniedException": "UnauthorizedOperation",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "AuthFailure",
    "InternalFailure": "InternalError",
}


def absent(service: str, operation: str, here: Sequence[str]) -> AwsError:
    """The error for an operation of a service, by its signing name, that is none of those `here`.

    501, because no SDK retries it (they retry 500, 502, 503, 504).
    """
    return AwsError(
        "UnsupportedOperationException",
        f"Busway does not have the service '{service}' ({operation[:200]}). It has {', '.join(here)}; {COVERAGE}.",
        501,
    )


def operation_named(method: str, path: bytes, headers: Mapping[bytes, bytes], form: bytes | None) -> str:
    """What a request calls its operation, or method and path where only its service's model could tell.

    `form` is the body of one in the query protocol, None of others.
    """
    target = headers.get(b"x-amz-target")
    if target is not None:
        return target.rpartition(b".")[2].decode("latin-1")
    parts = path.split(b"/")
    if len(parts) == 5 and (parts[1], parts[3]) == (b"service", b"operation"):
        return parts[4].decode("latin-1")
    action = form_action(form) if form is not None else None
    return action or f"{method} {path.decode('latin-1')}"


def refuse_absent(
    error: AwsError, headers: Mapping[bytes, bytes], path: bytes, signing_name: str, request_id: str, *, form: bool
) -> Reply:
    """An error for a client of a service that is not here, or not known. `form`: it speaks the query protocol."""
    if b"x-amz-target" in headers:
        reply = refuse_plainly(error)
        asked = headers.get(b"content-type", b"")
        return Reply(reply.status, reply.body, _JSON_1_0, reply.headers) if asked.startswith(_JSON_1_0) else reply
    if signing_name in S3:
        return _like_s3(error, path, request_id)
    if signing_name == "ec2":
        return _like_ec2(error, request_id)
    if form or signing_name in REST_XML:
        return refuse_in_xml(error, request_id)
    return refuse_plainly(error)


def _like_s3(error: AwsError, path: bytes, request_id: str) -> Reply:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{_S3_CODES.get(error.code, error.code)}</Code>'
        f"<Message>{xml_text(error.message)}</Message><Resource>{xml_text(path[:1024].decode('latin-1'))}</Resource>"
        f"<RequestId>{request_id}</RequestId></Error>"
    )
    return Reply(error.status or 400, text.encode(), XML)


def _like_ec2(error: AwsError, request_id: str) -> Reply:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
        f"<Code>{_EC2_CODES.get(error.code, error.code)}</Code><Message>{xml_text(error.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )
    return Reply(error.status or 400, text.encode(), b"text/xml")
