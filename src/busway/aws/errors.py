"""AWS's error codes, and which of our errors becomes which: the only place that knows both.

To add an error: one row under its service in `ROWS` (or under `ANY`). The message is the error's own text, so
that is where AWS's wording belongs. A status left out is the model's, or 400.
"""

from __future__ import annotations

from typing import Any

from busway.errors import (
    AlarmFeatureNotBuilt,
    AlarmNotFound,
    BadSecretKey,
    BusExists,
    BusLimitExceeded,
    BusNotFound,
    BusPolicyTooLong,
    BuswayError,
    ConflictingMetric,
    EngineStopped,
    ExpiredShardIterator,
    ForeignSequenceNumber,
    FunctionAliasNotFound,
    FunctionConflict,
    FunctionFeatureNotBuilt,
    FunctionNotFound,
    FunctionResourceNotFound,
    FunctionThrottled,
    InvalidAlarm,
    InvalidBusRequest,
    InvalidEvent,
    InvalidExpression,
    InvalidFunction,
    InvalidLogFilter,
    InvalidLogOperation,
    InvalidLogRequest,
    InvalidMail,
    InvalidMessage,
    InvalidMetric,
    InvalidPattern,
    InvalidPayload,
    InvalidQueueAttribute,
    InvalidQueueRequest,
    InvalidReceiptHandle,
    InvalidSecret,
    InvalidSequenceNumber,
    InvalidShardIterator,
    InvalidStreamRequest,
    InvalidTargetInput,
    InvalidTopicAttribute,
    InvalidTopicRequest,
    LogGroupExists,
    LogGroupNotFound,
    LogLimitExceeded,
    LogSessionEnded,
    LogSessionTimedOut,
    LogStreamExists,
    LogStreamNotFound,
    MailRefused,
    MailServerUnavailable,
    MappingInUse,
    MessageNotInFlight,
    MissingQueueParameter,
    MoveNotRunning,
    NoSuchMove,
    PayloadTooLarge,
    PurgeInProgress,
    QueueDeletedRecently,
    QueueLimitExceeded,
    QueueNameTaken,
    QueueNotFound,
    RecursiveInvocation,
    RevisionMismatch,
    RuleNotFound,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretUnreadable,
    SecretValueNotFound,
    ShardNotFound,
    ShardThrottled,
    StatementNotFound,
    StorageFull,
    StreamBusy,
    StreamLimitExceeded,
    StreamModeRefuses,
    StreamNameTaken,
    StreamNotFound,
    SubscriptionNotFound,
    TaggedTopicNotFound,
    TooManyMetrics,
    TooManySubscriptions,
    TooManyTopics,
    TopicLimitExceeded,
    TopicNotFound,
    UnknownQueueAttribute,
    UnsubscribeRefused,
    VersionConflict,
    WorkersStopped,
)

# The end of every message about what is not here.
COVERAGE = "docs/coverage.md lists what is there"

# Rows that hold for every service without a row of its own.
ANY = "*"


class AwsError(Exception):
    """An error as the client sees it: code, message, and further members of the modelled exception.

    `status` None means the model's status for that code, or 400.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.members = code, message, status, members


# Service -> our class -> (AWS's code, status). SDKs retry every 500 and 503, which is what a full disk asks for;
# 501 is retried by none of them, and they print the message.
ROWS: dict[str, dict[type[BuswayError], tuple[str, int | None]]] = {
    ANY: {
        StorageFull: ("ServiceUnavailable", 503),
        EngineStopped: ("ServiceUnavailable", 503),
        VersionConflict: ("ConcurrentModificationException", 400),
    },
    "cloudwatch": {
        AlarmNotFound: ("ResourceNotFound", 404),
        InvalidAlarm: ("ValidationError", 400),
        InvalidExpression: ("ValidationError", 400),
        InvalidMetric: ("InvalidParameterValue", 400),
        ConflictingMetric: ("InvalidParameterCombination", 400),
        TooManyMetrics: ("LimitExceeded", 400),
        AlarmFeatureNotBuilt: ("ValidationError", 400),
    },
    "events": {
        InvalidPattern: ("InvalidEventPatternException", 400),
        InvalidEvent: ("ValidationException", 400),
        InvalidBusRequest: ("ValidationException", 400),
        InvalidTargetInput: ("ValidationException", 400),
        BusNotFound: ("ResourceNotFoundException", 400),
        RuleNotFound: ("ResourceNotFoundException", 400),
        StatementNotFound: ("ResourceNotFoundException", 400),
        BusExists: ("ResourceAlreadyExistsException", 400),
        BusPolicyTooLong: ("PolicyLengthExceededException", 400),
        BusLimitExceeded: ("LimitExceededException", 400),
    },
    "kinesis": {
        StreamNotFound: ("ResourceNotFoundException", 400),
        ShardNotFound: ("ResourceNotFoundException", 400),
        StreamNameTaken: ("ResourceInUseException", 400),
        StreamBusy: ("ResourceInUseException", 400),
        InvalidStreamRequest: ("InvalidArgumentException", 400),
        StreamModeRefuses: ("ValidationException", 400),
        StreamLimitExceeded: ("LimitExceededException", 400),
        InvalidSequenceNumber: ("InvalidArgumentException", 400),
        ForeignSequenceNumber: ("InvalidArgumentException", 400),
        InvalidShardIterator: ("InvalidArgumentException", 400),
        ExpiredShardIterator: ("ExpiredIteratorException", 400),
        ShardThrottled: ("ProvisionedThroughputExceededException", 400),
    },
    "lambda": {
        FunctionNotFound: ("ResourceNotFoundException", 404),
        FunctionResourceNotFound: ("ResourceNotFoundException", 404),
        FunctionAliasNotFound: ("ResourceNotFoundException", 404),
        FunctionConflict: ("ResourceConflictException", 409),
        RevisionMismatch: ("PreconditionFailedException", 412),
        MappingInUse: ("ResourceInUseException", 400),
        InvalidFunction: ("InvalidParameterValueException", 400),
        FunctionFeatureNotBuilt: ("InvalidParameterValueException", 400),
        PayloadTooLarge: ("RequestTooLargeException", 413),
        InvalidPayload: ("InvalidRequestContentException", 400),
        RecursiveInvocation: ("RecursiveInvocationException", 400),
        FunctionThrottled: ("TooManyRequestsException", 429),
        WorkersStopped: ("ServiceException", 500),
        StorageFull: ("ServiceException", 500),
        EngineStopped: ("ServiceException", 500),
        VersionConflict: ("ResourceConflictException", 409),
    },
    "logs": {
        LogGroupNotFound: ("ResourceNotFoundException", 400),
        LogStreamNotFound: ("ResourceNotFoundException", 400),
        LogGroupExists: ("ResourceAlreadyExistsException", 400),
        LogStreamExists: ("ResourceAlreadyExistsException", 400),
        LogLimitExceeded: ("LimitExceededException", 400),
        InvalidLogRequest: ("InvalidParameterException", 400),
        InvalidLogFilter: ("InvalidParameterException", 400),
        InvalidLogOperation: ("InvalidOperationException", 400),
        LogSessionTimedOut: ("SessionTimeoutException", 400),
        LogSessionEnded: ("SessionStreamingException", 400),
        StorageFull: ("ServiceUnavailableException", 503),
        EngineStopped: ("ServiceUnavailableException", 503),
    },
    "secretsmanager": {
        SecretNotFound: ("ResourceNotFoundException", 400),
        SecretValueNotFound: ("ResourceNotFoundException", 400),
        SecretDeleted: ("InvalidRequestException", 400),
        SecretExists: ("ResourceExistsException", 400),
        InvalidSecret: ("InvalidParameterException", 400),
        SecretUnreadable: ("DecryptionFailure", 400),
        BadSecretKey: ("EncryptionFailure", 400),
    },
    "sqs": {
        QueueNotFound: ("QueueDoesNotExist", 400),
        QueueNameTaken: ("QueueNameExists", 400),
        InvalidQueueRequest: ("InvalidParameterValueException", 400),
        MissingQueueParameter: ("MissingRequiredParameterException", 400),
        UnknownQueueAttribute: ("InvalidAttributeName", 400),
        InvalidQueueAttribute: ("InvalidAttributeValue", 400),
        InvalidMessage: ("InvalidMessageContents", 400),
        InvalidReceiptHandle: ("ReceiptHandleIsInvalid", 400),
        MessageNotInFlight: ("MessageNotInflight", 400),
        PurgeInProgress: ("PurgeQueueInProgress", 403),
        QueueDeletedRecently: ("QueueDeletedRecently", 400),
        QueueLimitExceeded: ("OverLimit", 400),
        NoSuchMove: ("ResourceNotFoundException", 404),
        MoveNotRunning: ("UnsupportedOperation", 400),
    },
    "sns": {
        TopicNotFound: ("NotFound", 404),
        SubscriptionNotFound: ("NotFound", 404),
        TaggedTopicNotFound: ("ResourceNotFound", 404),
        InvalidTopicRequest: ("InvalidParameter", 400),
        InvalidTopicAttribute: ("ParameterValueInvalid", 400),
        TooManyTopics: ("TopicLimitExceeded", 403),
        TooManySubscriptions: ("SubscriptionLimitExceeded", 403),
        TopicLimitExceeded: ("TagLimitExceeded", 400),
        UnsubscribeRefused: ("AuthorizationError", 403),
    },
    # No 5xx for a mail server that is down: SDKs would try for a quarter of a minute inside the handler, and the
    # handler's own retry is what should decide.
    "sesv2": {
        InvalidMail: ("BadRequestException", 400),
        MailRefused: ("MessageRejected", 400),
        MailServerUnavailable: ("SendingPausedException", 400),
    },
}

# JSON code -> query code of the services that once spoke the query protocol, where the two differ and the model
# does not say (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/, errors of each action).
QUERY_CODES: dict[str, dict[str, str]] = {
    "sqs": {
        "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
        "QueueNameExists": "QueueAlreadyExists",
        "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
        "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
        "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
        "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
        "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
        "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
        "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
        "InvalidParameterValueException": "InvalidParameterValue",
        "MissingRequiredParameterException": "MissingParameter",
    },
}


def aws_error(service: str, error: Exception) -> AwsError | None:
    """What a client of `service` is told about `error`; None for an error that is nobody's on purpose.

    A row for a class holds for its subclasses; the nearest class wins, then the service's own rows.
    """
    if isinstance(error, AwsError):
        return error
    tables = (ROWS.get(service, {}), ROWS[ANY])
    for kind in type(error).__mro__:
        for table in tables:
            row = table.get(kind)
            if row is not None:
                return AwsError(row[0], str(error), row[1])
    return None


def internal_failure(request_id: str) -> AwsError:
    """The answer to a fault of ours: nothing of the inside, but the id under which it was logged."""
    return AwsError("InternalFailure", f"Internal failure; the server's log tells why, at request {request_id}.", 500)


def not_implemented(service: str, operation: str) -> AwsError:
    """An operation that AWS has and Busway does not have yet.

    501, because no SDK retries it (they retry 500, 502, 503, 504) and all of them print the message.
    """
    return AwsError(
        "UnsupportedOperationException",
        f"{service} {operation} is not implemented by Busway; {COVERAGE}.",
        501,
    )


def unknown_operation(found: str, wanted: str, status: int = 400) -> AwsError:
    return AwsError(
        "UnknownOperationException", f"Unknown operation: found {found}; wanted {wanted}; {COVERAGE}.", status
    )


def serialization_error(message: str) -> AwsError:
    return AwsError("SerializationException", message, 400)


def too_large(limit: int) -> AwsError:
    return AwsError("RequestEntityTooLargeException", f"Request must be smaller than {limit} bytes.", 413)
