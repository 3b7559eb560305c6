"""The query protocol, as far as STS GetCallerIdentity: a form in, XML out. What SDKs call to ask who they are.

Members of the request and nested members of the result come with the first operation that has some.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from busway.aws.errors import AwsError
from busway.aws.protocols import Received, Reply
from busway.aws.shapes import OperationModel, ServiceModel

CONTENT_TYPE = b"text/xml"
# The query protocol's clients know the gate's errors by other names.
_CODES = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "UnknownOperationException": "InvalidAction",
}


def form_action(body: bytes) -> str | None:
    """The `Action` of a form, None when there is none."""
    pairs = parse_qsl(body[:65_536].decode("latin-1"), max_num_fields=None)
    return next((value for name, value in pairs if name == "Action"), None)


class QueryWire:
    """One service in the query protocol."""

    def __init__(self, service: str, model: ServiceModel) -> None:
        self._model = model
        self._namespace = model.metadata.xml_namespace or ""

    def read(self, operation: OperationModel, labels: dict[str, str], received: Received) -> dict[str, Any]:
        return {}

    def write(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> Reply:
        members = "".join(
            f"<{name}>{escape(str(value))}</{name}>" for name, value in result.items() if value is not None
        )
        wrapper = (operation.output.result_wrapper if operation.output else None) or f"{operation.name}Result"
        text = (
            f'<{operation.name}Response xmlns="{self._namespace}"><{wrapper}>{members}</{wrapper}>'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
        )
        return Reply(200, text.encode(), CONTENT_TYPE)

    def refuse(self, error: AwsError, request_id: str) -> Reply:
        return refuse_in_xml(error, request_id)


def refuse_in_xml(error: AwsError, request_id: str) -> Reply:
    """An error for any client of the query protocol."""
    status = error.status or 400
    text = (
        f"<ErrorResponse><Error><Type>{'Receiver' if status >= 500 else 'Sender'}</Type>"
        f"<Code>{escape(_CODES.get(error.code, error.code))}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Reply(status, text.encode(), CONTENT_TYPE)
