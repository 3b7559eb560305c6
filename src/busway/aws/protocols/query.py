"""The query protocol: a form in, XML out. STS speaks it, and older clients of SQS and CloudWatch.

    Action=SendMessage&QueueUrl=…&MessageBody=…        <SendMessageResponse><SendMessageResult>…

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from busway.aws.errors import QUERY_CODES, AwsError
from busway.aws.protocols import Received, Reply
from busway.aws.protocols.query_names import NAMES, QueryNames
from busway.aws.protocols.query_values import QueryValues, read_form, xml_text
from busway.aws.shapes import OperationModel, ServiceModel

CONTENT_TYPE = b"text/xml"
FORM = b"application/x-www-form-urlencoded"
# The query protocol's clients know the gate's errors by other names.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
_CODES = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "UnknownOperationException": "InvalidAction",
    "SerializationException": "MalformedInput",
}


def form_action(body: bytes) -> str | None:
    """The `Action` of a form, None when there is none near its beginning or end."""
    for part in (body[:65_536], body[-4_096:]):
        for name, value in parse_qsl(part.decode("latin-1"), max_num_fields=None):
            if name == "Action":
                return value
    return None


class QueryWire:
    """One service in the query protocol."""

    def __init__(self, service: str, model: ServiceModel) -> None:
        self._service, self._model = service, model
        self._names = NAMES.get(service, QueryNames())
        self._values = QueryValues(model, self._names)
        self._namespace = model.metadata.xml_namespace or self._names.namespace

    def read(self, operation: OperationModel, labels: dict[str, str], received: Received) -> dict[str, Any]:
        if operation.input is None:
            return {}
        request = self._values.read(operation.input.shape, read_form(received.body))
        member = self._names.path_member
        # Some clients post to the queue's URL and name it nowhere else.
        if member in self._model.shapes[operation.input.shape].members and received.path.strip(b"/"):
            request.setdefault(member, received.path.decode("latin-1"))
        return request

    def write(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> Reply:
        inner = ""
        if operation.output is not None:
            wrapper = operation.output.result_wrapper or f"{operation.name}Result"
            inner = f"<{wrapper}>{self._values.write(operation.output.shape, result)}</{wrapper}>"
        text = (
            f'<{operation.name}Response xmlns="{self._namespace}">{inner}'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
        )
        return Reply(200, text.encode(), CONTENT_TYPE)

    def refuse(self, error: AwsError, request_id: str) -> Reply:
        """The code that the service had in this protocol, and its own words where they differ."""
        shape = self._model.error_shape(error.code)
        trait = shape.error if shape is not None else None
        code = QUERY_CODES.get(self._service, {}).get(error.code) or (trait.code if trait else None) or error.code
        message = self._names.messages.get(code, error.message)
        status = error.status or (trait.http_status_code if trait else None) or 400
        return _refusal(code, message, status, request_id, self._namespace)


def refuse_in_xml(error: AwsError, request_id: str) -> Reply:
    """An error for any client of the query protocol."""
    return _refusal(error.code, error.message, error.status or 400, request_id, "")


def _refusal(code: str, message: str, status: int, request_id: str, namespace: str) -> Reply:
    where = f' xmlns="{namespace}"' if namespace else ""
    text = (
        f"<ErrorResponse{where}><Error><Type>{'Receiver' if status >= 500 else 'Sender'}</Type>"
        f"<Code>{xml_text(_CODES.get(code, code))}</Code><Message>{xml_text(message)}</Message><Detail/></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Reply(status, text.encode(), CONTENT_TYPE)
