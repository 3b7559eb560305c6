"""A delivery: an event on its way to one subscriber.

    transform      event → the payload that one target gets                    (pure)
    parameters     event → what a job is started with beside the payload       (pure)
    retry          whether and when to try again                               (pure)
    dead_letter    the words of a dead letter, and what is kept beside it      (pure)
    outbox         work for the outside: lease, attempt, retry, dead-letter    (acts)
    hand_over      delivery → the one put that it becomes

This file holds the words they share. It never imports `targets`: `server` hands over the table. Nothing here knows
what a bus or a rule is beyond their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from busway.engine import Origin, Put

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
ATTEMPTS_MAX = 185
AGE_S_MAX = 86_400.0
# AWS says only "exponential back off and jitter"; the cap is ours.
BACKOFF_S_MAX = 900.0


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """When to give up, whichever comes first.

    `retries_max` counts the attempts after the first one; `age_s_max` is seconds since the bus took the event in:
    no attempt starts when it is older. `backoff_s_max` (ours) is how far apart two attempts get.
    """

    retries_max: int = ATTEMPTS_MAX
    age_s_max: float = AGE_S_MAX
    backoff_s_max: float = BACKOFF_S_MAX


class InputTransformer(msgspec.Struct, frozen=True, omit_defaults=True):
    """AWS's InputTransformer: `paths` are JSON paths by the name of the placeholder that they fill."""

    template: str
    paths: dict[str, str] = {}


class Subscriber(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One target of one rule, with everything that is needed to deliver to it.

    `name` is unique in the engine for ever (`<rule arn>#<target id>#<creation offset>`): a target that was removed
    and added again is another subscriber. At most one of `input`, `input_path`, `input_transformer` is set.
    """

    name: str
    rule_arn: str
    target_id: str
    target_arn: str
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformer | None = None
    retry: RetryPolicy = RetryPolicy()
    dead_letter_arn: str | None = None
    message_group_id: str | None = None
    partition_key_path: str | None = None
    parameters: dict[str, Any] = {}
    enabled: bool = True

    @property
    def rule_name(self) -> str:
        return self.rule_arn.rsplit("/", 1)[-1]


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One payload for one target.

    `accepted_at` is Unix seconds: when the bus took the event in, from which its age counts. `origin` makes the work
    that it becomes idempotent. `secret`: its payload must not be kept for longer than it is tried, so that it is
    dropped, not buried, when it is given up. `hops` says how the event already came from another bus ("account",
    "region"). Rooms other than `bus` (alerts) leave `bus_arn` and `rule_arn` as they like; `target_arn` decides who
    delivers.
    """

    event_id: str
    target_arn: str
    payload: bytes
    accepted_at: float
    bus_arn: str = ""
    subscriber: str = ""
    rule_arn: str = ""
    target_id: str = ""
    retry: RetryPolicy = RetryPolicy()
    dead_letter_arn: str | None = None
    message_group_id: str | None = None
    partition_key: str | None = None
    parameters: dict[str, Any] = {}
    trace_header: str | None = None
    hops: tuple[str, ...] = ()
    origin: Origin | None = None
    secret: bool = False

    @property
    def target_kind(self) -> str:
        """The service of the target's ARN, by which the table of targets is keyed: `sqs`, `lambda`, `events`."""
        return self.target_arn.split(":", 3)[2] if self.target_arn.count(":") >= 3 else ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has it. `outcome` is the word kept for it: "delivered", or "dropped" where AWS drops in silence."""

    outcome: str = "delivered"


@dataclass(frozen=True, slots=True)
class Failed:
    """The target does not have it. `code` is AWS's ERROR_CODE of a dead letter; only a retriable one is retried.

    `retry_after_s` is what the target asked for: the next attempt is no earlier.
    """

    code: str
    message: str
    retriable: bool
    retry_after_s: float = 0.0


Outcome = Delivered | Failed


class Target(Protocol):
    """One kind of target."""

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        """The work that finishes the delivery inside this engine, without I/O.

        A `Put` is all there is to do; it must carry `delivery.origin`. `Failed` is final: it goes to the dead letters
        now. None means that it needs `attempt`.
        """
        ...

    async def attempt(self, delivery: Delivery) -> Outcome:
        """Try once. Never retries, never sleeps; raises only for a bug of ours."""
        ...


# By the service of the target's ARN.
Targets = Mapping[str, Target]
