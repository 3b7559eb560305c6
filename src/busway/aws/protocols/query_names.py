"""Names that stand on the query protocol's wire and no longer in the models.

SQS's model is of its JSON protocol now; its older clients go by the names that the query protocol had.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-xml.html
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QueryNames:
    """What a service's model leaves out.

    `elements` names the elements of a list by its shape, `maps` a map's entries, keys and values by its shape.
    `path_member` is the member that the request's path stands for where the form has none. `messages` are texts that
    differ from those of the JSON protocol, by the code on the wire.
    """

    namespace: str = ""
    elements: dict[str, str] = field(default_factory=dict[str, str])
    maps: dict[str, tuple[str, str, str]] = field(default_factory=dict[str, tuple[str, str, str]])
    path_member: str | None = None
    messages: dict[str, str] = field(default_factory=dict[str, str])


NAMES = {
    "sqs": QueryNames(
        namespace="http://queue.amazonaws.com/doc/2012-11-05/",
        elements={
            "AWSAccountIdList": "AWSAccountId",
            "ActionNameList": "ActionName",
            "AttributeNameList": "AttributeName",
            "BatchResultErrorEntryList": "BatchResultErrorEntry",
            "BinaryList": "BinaryListValue",
            "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
            "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
            "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
            "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
            "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
            "MessageAttributeNameList": "MessageAttributeName",
            "MessageList": "Message",
            "MessageSystemAttributeList": "MessageSystemAttributeName",
            "QueueUrlList": "QueueUrl",
            "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
            "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
            "StringList": "StringListValue",
            "TagKeyList": "TagKey",
        },
        maps={
            "MessageBodyAttributeMap": ("MessageAttribute", "Name", "Value"),
            "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name", "Value"),
            "MessageSystemAttributeMap": ("Attribute", "Name", "Value"),
            "QueueAttributeMap": ("Attribute", "Name", "Value"),
            "TagMap": ("Tag", "Key", "Value"),
        },
        path_member="QueueUrl",
        messages={
            "AWS.SimpleQueueService.NonExistentQueue": ("The specified queue does not exist for this wsdl version."),
        },
    ),
}
