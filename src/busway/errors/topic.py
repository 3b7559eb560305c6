"""SNS-shaped topics."""

from __future__ import annotations

from busway.errors.root import BuswayError


class TopicError(BuswayError):
    """Base of what the topic room refuses: a bad request, not a fault of ours."""


class TopicNotFound(TopicError):
    """No such topic."""

    def __init__(self, arn: str) -> None:
        super().__init__("Topic does not exist")
        self.arn = arn


class SubscriptionNotFound(TopicError):
    """No such subscription."""

    def __init__(self, arn: str) -> None:
        super().__init__("Subscription does not exist")
        self.arn = arn


class TaggedTopicNotFound(TopicError):
    """The operations on tags call a topic a resource."""

    def __init__(self, arn: str) -> None:
        super().__init__("Resource does not exist")
        self.arn = arn


class InvalidTopicRequest(TopicError):
    """A parameter has a value that cannot be used; `fault` says which and why, after AWS's first words."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"Invalid parameter: {fault}")
        self.fault = fault


class InvalidTopicAttribute(TopicError):
    """A message attribute with a name, type or value that a message cannot carry."""


class TopicLimitExceeded(TopicError):
    """More tags or subscriptions than a topic may have, or more topics than an account may."""


class TooManySubscriptions(TopicLimitExceeded):
    """A topic has all the subscriptions that it may have."""


class TooManyTopics(TopicLimitExceeded):
    """An account has all the topics that it may have in a Region."""


class UnsubscribeRefused(TopicError):
    """Only a signed request ends this subscription."""

    def __init__(self, arn: str) -> None:
        super().__init__("This subscription is ended by a signed Unsubscribe only.")
        self.arn = arn
