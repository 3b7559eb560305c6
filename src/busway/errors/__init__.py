"""Every error that Busway raises on purpose, one class per thing the caller can do about it.

    BuswayError
     +-- StorageFull, CorruptRecord, VersionConflict, EngineStopped, DataInUse, DataTooNew, DataUnusable   (engine)
     +-- InvalidPattern, InvalidEvent, NoSample, InvalidCase, EngineNotInstalled              (pattern)
     +-- and one file a group of rooms, beside this one

The message says where, what was found, what was wanted; what it names is also an attribute. AWS codes and
HTTP statuses are given in `aws/errors.py`, by class: no room below `aws` knows them.
"""

from __future__ import annotations

from busway.errors.bus import (
    BusError as BusError,
    BusExists as BusExists,
    BusLimitExceeded as BusLimitExceeded,
    BusNotFound as BusNotFound,
    BusPolicyTooLong as BusPolicyTooLong,
    InvalidBusRequest as InvalidBusRequest,
    InvalidTargetInput as InvalidTargetInput,
    MalformedDetail as MalformedDetail,
    MalformedTime as MalformedTime,
    NoSuchDestination as NoSuchDestination,
    NotEditable as NotEditable,
    NoWayBack as NoWayBack,
    RuleNotFound as RuleNotFound,
    StatementNotFound as StatementNotFound,
    TargetRefused as TargetRefused,
    UnsendablePayload as UnsendablePayload,
)
from busway.errors.engine import (
    CorruptRecord as CorruptRecord,
    DataInUse as DataInUse,
    DataTooNew as DataTooNew,
    DataUnusable as DataUnusable,
    EngineStopped as EngineStopped,
    StorageFull as StorageFull,
    VersionConflict as VersionConflict,
)
from busway.errors.event import (
    EngineNotInstalled as EngineNotInstalled,
    EventMismatch as EventMismatch,
    EventTooLarge as EventTooLarge,
    HandlerHangs as HandlerHangs,
    HandlerNotOnBus as HandlerNotOnBus,
    InvalidCase as InvalidCase,
    InvalidEvent as InvalidEvent,
    InvalidEventClass as InvalidEventClass,
    InvalidHandler as InvalidHandler,
    InvalidPattern as InvalidPattern,
    MalformedJson as MalformedJson,
    NoEnvelope as NoEnvelope,
    NoSample as NoSample,
    OnceUnavailable as OnceUnavailable,
    PublishFailed as PublishFailed,
    Refusal as Refusal,
    RuleNotOnBus as RuleNotOnBus,
    StillRunning as StillRunning,
)
from busway.errors.function import (
    BuildFailed as BuildFailed,
    FunctionAliasNotFound as FunctionAliasNotFound,
    FunctionConflict as FunctionConflict,
    FunctionError as FunctionError,
    FunctionFeatureNotBuilt as FunctionFeatureNotBuilt,
    FunctionNotFound as FunctionNotFound,
    FunctionNotReady as FunctionNotReady,
    FunctionResourceNotFound as FunctionResourceNotFound,
    FunctionThrottled as FunctionThrottled,
    InvalidFunction as InvalidFunction,
    InvalidPackage as InvalidPackage,
    InvalidPayload as InvalidPayload,
    MappingInUse as MappingInUse,
    PayloadTooLarge as PayloadTooLarge,
    RecursiveInvocation as RecursiveInvocation,
    RevisionMismatch as RevisionMismatch,
    WorkersStopped as WorkersStopped,
)
from busway.errors.logs import (
    InvalidLogFilter as InvalidLogFilter,
    InvalidLogOperation as InvalidLogOperation,
    InvalidLogRequest as InvalidLogRequest,
    LogGroupExists as LogGroupExists,
    LogGroupNotFound as LogGroupNotFound,
    LogLimitExceeded as LogLimitExceeded,
    LogsError as LogsError,
    LogSessionEnded as LogSessionEnded,
    LogSessionTimedOut as LogSessionTimedOut,
    LogStreamExists as LogStreamExists,
    LogStreamNotFound as LogStreamNotFound,
)
from busway.errors.metrics import (
    ConflictingMetric as ConflictingMetric,
    InvalidExpression as InvalidExpression,
    InvalidMetric as InvalidMetric,
    TooManyMetrics as TooManyMetrics,
)
from busway.errors.notice import (
    AlarmFeatureNotBuilt as AlarmFeatureNotBuilt,
    AlarmNotFound as AlarmNotFound,
    InvalidAlarm as InvalidAlarm,
    InvalidMail as InvalidMail,
    InvalidRoute as InvalidRoute,
    MailRefused as MailRefused,
    MailServerUnavailable as MailServerUnavailable,
    RouteNotFound as RouteNotFound,
)
from busway.errors.outbox import (
    MalformedRow as MalformedRow,
    MissingExtra as MissingExtra,
    NoTransaction as NoTransaction,
    OutboxUnreachable as OutboxUnreachable,
)
from busway.errors.queue import (
    InvalidMessage as InvalidMessage,
    InvalidQueueAttribute as InvalidQueueAttribute,
    InvalidQueueRequest as InvalidQueueRequest,
    InvalidReceiptHandle as InvalidReceiptHandle,
    MessageNotInFlight as MessageNotInFlight,
    MissingQueueParameter as MissingQueueParameter,
    MoveNotRunning as MoveNotRunning,
    NoSuchMove as NoSuchMove,
    PurgeInProgress as PurgeInProgress,
    QueueDeletedRecently as QueueDeletedRecently,
    QueueError as QueueError,
    QueueLimitExceeded as QueueLimitExceeded,
    QueueNameTaken as QueueNameTaken,
    QueueNotFound as QueueNotFound,
    UnknownQueueAttribute as UnknownQueueAttribute,
)
from busway.errors.road import (
    AwsRefused as AwsRefused,
    AwsUnusable as AwsUnusable,
    BrokenProject as BrokenProject,
    GeneratorRefused as GeneratorRefused,
    MissingSecret as MissingSecret,
    MissingVariable as MissingVariable,
    NothingLogged as NothingLogged,
    ProjectNotFound as ProjectNotFound,
    RedriveUnfinished as RedriveUnfinished,
    ServerRefused as ServerRefused,
    ServerUnreachable as ServerUnreachable,
    StackUnusable as StackUnusable,
    UnknownHandler as UnknownHandler,
)
from busway.errors.root import (
    BuswayError as BuswayError,
)
from busway.errors.secret import (
    BadSecretKey as BadSecretKey,
    InvalidSecret as InvalidSecret,
    SecretDeleted as SecretDeleted,
    SecretExists as SecretExists,
    SecretNotFound as SecretNotFound,
    SecretUnreadable as SecretUnreadable,
    SecretValueNotFound as SecretValueNotFound,
)
from busway.errors.server import (
    CannotListen as CannotListen,
    ClockNotManual as ClockNotManual,
    DeploymentConflict as DeploymentConflict,
    EventNotFound as EventNotFound,
    InvalidQuestion as InvalidQuestion,
    LetterNotFound as LetterNotFound,
    NoEventYet as NoEventYet,
    NotATarget as NotATarget,
    NotLoopback as NotLoopback,
    PushRefused as PushRefused,
    SandboxUnavailable as SandboxUnavailable,
    TraceNotFound as TraceNotFound,
    UnknownEngine as UnknownEngine,
    UnknownPath as UnknownPath,
)
from busway.errors.stream import (
    ExpiredShardIterator as ExpiredShardIterator,
    ForeignSequenceNumber as ForeignSequenceNumber,
    InvalidSequenceNumber as InvalidSequenceNumber,
    InvalidShardIterator as InvalidShardIterator,
    InvalidStreamRequest as InvalidStreamRequest,
    ShardNotFound as ShardNotFound,
    ShardThrottled as ShardThrottled,
    StreamBusy as StreamBusy,
    StreamError as StreamError,
    StreamLimitExceeded as StreamLimitExceeded,
    StreamModeRefuses as StreamModeRefuses,
    StreamNameTaken as StreamNameTaken,
    StreamNotFound as StreamNotFound,
)
from busway.errors.topic import (
    InvalidTopicAttribute as InvalidTopicAttribute,
    InvalidTopicRequest as InvalidTopicRequest,
    SubscriptionNotFound as SubscriptionNotFound,
    TaggedTopicNotFound as TaggedTopicNotFound,
    TooManySubscriptions as TooManySubscriptions,
    TooManyTopics as TooManyTopics,
    TopicError as TopicError,
    TopicLimitExceeded as TopicLimitExceeded,
    TopicNotFound as TopicNotFound,
    UnsubscribeRefused as UnsubscribeRefused,
)
