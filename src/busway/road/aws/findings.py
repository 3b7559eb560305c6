"""What is wrong with a deployed project, from facts about it: where events would be lost, and nobody told. Pure.

Each finding names the thing, what was found, and what mends it. Policies are read as far as their statements go: a
condition that is not of the source's ARN or account is taken to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, cast

import msgspec

EVENTS = "events.amazonaws.com"
# How AWS's conditions may name who may call.
_OF_SOURCE, _OF_ACCOUNT = "aws:sourcearn", "aws:sourceaccount"


class TargetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A target of a rule. `max_age_s` is how long its retries go on."""

    rule: str
    rule_arn: str
    id: str
    arn: str
    dead_letter_arn: str | None
    max_age_s: int
    role_arn: str | None = None


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A dead-letter queue."""

    name: str
    arn: str
    retention_s: int
    policy: dict[str, Any] = {}


class FunctionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A function that rules invoke, or should. `failures_to` are the ARNs that get what it gives up."""

    name: str
    arn: str
    policy: dict[str, Any] = {}
    failures_to: tuple[str, ...] = ()
    max_age_s: int = 21_600


class AlarmFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm. `queue` is the name of the queue whose messages it counts, "" for any other alarm."""

    name: str
    queue: str
    actions: int
    enabled: bool


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A project's part of an account. `handlers` are the functions that its handlers should be."""

    handlers: tuple[str, ...]
    targets: tuple[TargetFacts, ...]
    queues: tuple[QueueFacts, ...]
    functions: tuple[FunctionFacts, ...]
    alarms: tuple[AlarmFacts, ...]


class Finding(msgspec.Struct, frozen=True):
    """`error`: events are lost as it is; `warning`: nobody is told of it, or it ends sooner than it should."""

    level: Literal["error", "warning"]
    code: str
    what: str
    problem: str
    hint: str


def findings(facts: Facts) -> list[Finding]:
    """Errors first, then by what they are of."""
    found = [
        *_not_deployed(facts),
        *_of_targets(facts),
        *_of_functions(facts),
        *_of_queues(facts),
        *_of_alarms(facts),
    ]
    return sorted(found, key=lambda one: (one.level, one.what, one.code))


_DEPLOY = "`busway deploy` makes it as it should be"


def _not_deployed(facts: Facts) -> Iterator[Finding]:
    there = {function.name for function in facts.functions}
    for name in facts.handlers:
        if name not in there:
            yield Finding("error", "function-missing", f"function {name}", "it is not there", _DEPLOY)


def _of_targets(facts: Facts) -> Iterator[Finding]:
    queues = {queue.arn for queue in facts.queues}
    functions = {function.arn: function for function in facts.functions}
    for target in facts.targets:
        what = f"rule {target.rule}, target {target.id}"
        if target.dead_letter_arn is None:
            problem = f"it has no dead-letter queue: what {target.arn} does not take is dropped"
            yield Finding("error", "target-without-dead-letters", what, problem, _DEPLOY)
        elif target.dead_letter_arn not in queues:
            problem = f"its dead-letter queue {target.dead_letter_arn} is not there: what fails is dropped"
            yield Finding("error", "dead-letter-queue-missing", what, problem, _DEPLOY)
        function = functions.get(target.arn)
        if function is None or target.role_arn is not None:
            continue
        if not allows(function.policy, "lambda:InvokeFunction", target.rule_arn):
            problem = f"function {function.name} does not let it invoke: its events go to the dead letters untried"
            hint = f"aws lambda add-permission --function-name {function.name} --statement-id {target.rule} --action "
            hint += f"lambda:InvokeFunction --principal {EVENTS} --source-arn {target.rule_arn}; or {_DEPLOY}"
            yield Finding("error", "no-invoke-permission", what, problem, hint)


def _of_functions(facts: Facts) -> Iterator[Finding]:
    invoked = {target.arn for target in facts.targets}
    for function in facts.functions:
        if function.arn in invoked and not function.failures_to:
            problem = "it has neither a dead-letter queue nor a destination on failure: what it gives up is dropped"
            yield Finding("error", "function-without-dead-letters", f"function {function.name}", problem, _DEPLOY)


def _of_queues(facts: Facts) -> Iterator[Finding]:
    for queue in facts.queues:
        what = f"queue {queue.name}"
        senders = [target for target in facts.targets if target.dead_letter_arn == queue.arn]
        barred = [one for one in senders if not allows(queue.policy, "sqs:SendMessage", one.rule_arn)]
        for rule in sorted({target.rule for target in barred}):
            problem = f"its policy does not let {EVENTS} send for rule {rule}: what fails is dropped"
            yield Finding("error", "dead-letter-queue-drops", what, problem, _DEPLOY)
        ages = [target.max_age_s for target in senders]
        ages += [function.max_age_s for function in facts.functions if queue.arn in function.failures_to]
        if ages and queue.retention_s < max(ages):
            problem = f"it keeps letters for {queue.retention_s} s, and retries go on for {max(ages)} s: what nobody "
            problem += "looks at in time is gone"
            hint = "AWS keeps them for up to 14 days: MessageRetentionPeriod 1209600; " + _DEPLOY
            yield Finding("warning", "retention-too-short", what, problem, hint)


def _of_alarms(facts: Facts) -> Iterator[Finding]:
    watched = {alarm.queue for alarm in facts.alarms}
    for queue in facts.queues:
        if queue.name not in watched:
            problem = "no alarm counts what is in it: nobody is told"
            yield Finding("warning", "queue-without-alarm", f"queue {queue.name}", problem, _DEPLOY)
    for alarm in facts.alarms:
        if not alarm.actions or not alarm.enabled:
            problem = "its actions are switched off" if alarm.actions else "it has no actions"
            hint = 'alert="pagerduty" in the handler, and BUSWAY_ALERT_PAGERDUTY_URL where you deploy: docs/aws.md'
            if alarm.actions:
                hint = f"aws cloudwatch enable-alarm-actions --alarm-names {alarm.name}"
            yield Finding(
                "warning", "alarm-without-actions", f"alarm {alarm.name}", f"{problem}: nobody is told", hint
            )


# --- policies ---


def allows(policy: Mapping[str, Any], action: str, source_arn: str) -> bool:
    """Whether a resource's policy lets EventBridge do `action` for a rule; a Deny that fits wins."""
    fitting = [one for one in _statements(policy) if _fits(one, action, source_arn)]
    effects = {str(one.get("Effect")) for one in fitting}
    return "Allow" in effects and "Deny" not in effects


def _statements(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: Any = policy.get("Statement", [])
    return cast(list[Mapping[str, Any]], found if isinstance(found, list) else [found])


def _fits(statement: Mapping[str, Any], action: str, source_arn: str) -> bool:
    actions = [one.lower() for one in _texts(statement.get("Action", []))]
    if not any(fnmatchcase(action.lower(), one) for one in actions):
        return False
    principal: Any = statement.get("Principal")
    services = ["*"] if principal == "*" else _services(principal)
    return ("*" in services or EVENTS in services) and _holds(statement.get("Condition", {}), source_arn)


def _services(principal: Any) -> list[str]:
    if not isinstance(principal, dict):
        return []
    named = cast(dict[str, Any], principal)
    return [*_texts(named.get("Service", [])), *(["*"] if "*" in _texts(named.get("AWS", [])) else [])]


def _holds(condition: Mapping[str, Mapping[str, Any]], source_arn: str) -> bool:
    for operator, members in condition.items():
        # ArnEquals takes wildcards as ArnLike does.
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
        exact, inverted = operator.lower().startswith("stringequals"), "not" in operator.lower()
        for key, value in members.items():
            wanted = {_OF_SOURCE: source_arn, _OF_ACCOUNT: source_arn.split(":")[4]}.get(key.lower())
            if wanted is None:
                continue
            fits = (wanted == text if exact else fnmatchcase(wanted, text) for text in _texts(value))
            if any(fits) is inverted:
                return False
    return True


def _texts(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else [str(one) for one in cast(Iterable[Any], value)]
