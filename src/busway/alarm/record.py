"""What is kept of an alarm: its settings, its state, and which route was told what. Pure."""

from __future__ import annotations

import math

import msgspec

from busway.alarm.series import STATISTICS
from busway.alarm.state import ALARM, COMPARISONS, INSUFFICIENT_DATA, OK, TREATMENTS, Decision, Rule
from busway.arn import Arn, Scope, parse_arn, scope_of
from busway.errors import AlarmFeatureNotBuilt, InvalidAlarm, InvalidExpression
from busway.metrics.expression import parse
from busway.metrics.points import metric_of
from busway.metrics.queries import Query, Stat, answers, stats_in
from busway.metrics.statistics import SIMPLE, is_statistic

STATES = (OK, ALARM, INSUFFICIENT_DATA)
NAMESPACE, METRIC, DIMENSION = "AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"
# The routes of `alert`: on AWS, an SNS topic of the same name.
ROUTE_PREFIX = "busway-alert-"
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
SHORT_PERIODS_S = (10, 20, 30)
EVALUATED_S_MAX = 86_400
EVALUATED_S_MAX_OF_HOURS = 7 * 86_400
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html; ours: of queries.
METRICS_MAX, QUERIES_MAX = 10, 30
# Ours: state changes kept with the alarm.
HISTORY_LENGTH = 20


class AlarmQuery(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One of an alarm's queries: an expression, or ("") a metric's statistic. The one that `returns` is judged."""

    id: str
    expression: str = ""
    namespace: str = ""
    metric_name: str = ""
    dimensions: dict[str, str] = {}
    statistic: str = ""
    period_s: int = 0
    unit: str = ""
    label: str = ""
    returns: bool = True


class AlarmSettings(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What PutMetricAlarm gives: a metric, or `queries`. Raises nothing: `check` does."""

    name: str
    namespace: str = ""
    metric_name: str = ""
    dimensions: dict[str, str] = {}
    queries: tuple[AlarmQuery, ...] = ()
    comparison: str
    threshold: float
    statistic: str = "Maximum"
    period_s: int = 60
    evaluation_periods: int = 1
    datapoints_to_alarm: int | None = None
    missing: str | None = None
    description: str | None = None
    unit: str | None = None
    actions_enabled: bool = True
    alarm_actions: tuple[str, ...] = ()
    ok_actions: tuple[str, ...] = ()
    insufficient_data_actions: tuple[str, ...] = ()

    @property
    def queue_name(self) -> str:
        """The queue whose depth is judged as it is now, by the second; "" for every other metric."""
        watched = (self.namespace, self.metric_name, [*self.dimensions]) == (NAMESPACE, METRIC, [DIMENSION])
        return self.dimensions[DIMENSION] if watched and self.statistic in STATISTICS and not self.queries else ""

    @property
    def rule(self) -> Rule:
        return Rule(
            self.comparison,
            self.threshold,
            self.evaluation_periods,
            self.datapoints_to_alarm or self.evaluation_periods,
            self.missing or "missing",
        )

    def actions(self, state: str) -> tuple[str, ...]:
        """The ARNs that are told of a move into `state`."""
        if not self.actions_enabled:
            return ()
        return {OK: self.ok_actions, ALARM: self.alarm_actions}.get(state, self.insufficient_data_actions)


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One move of the state. `at` is Unix seconds, `data` JSON for programs."""

    at: float
    before: str
    state: str
    reason: str
    data: str | None = None


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest thing that a route is told: written before it is queued, marked after (`queued`).

    `number` counts the alarm's notices; with the subscriber's name it makes the queued work idempotent, so that a
    death between the two writes neither loses nor repeats it.
    """

    state: str
    number: int
    message: str = ""
    queued: bool = False


class AlarmRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An alarm as it is stored. `generation` tells it from an earlier alarm of that name; times are Unix seconds."""

    arn: str
    settings: AlarmSettings
    generation: str
    updated_at: float
    state: str = INSUFFICIENT_DATA
    reason: str = "Unchecked: Initial alarm creation"
    reason_data: str | None = None
    state_at: float = 0.0
    history: tuple[Change, ...] = ()
    notices: dict[str, Notice] = {}
    numbered: int = 0
    # Moves that there were, and how many of them the bus was told of.
    moves: int = 0
    announced: int = 0
    tags: dict[str, str] = {}

    @property
    def scope(self) -> Scope:
        return scope_of(self.arn)

    @property
    def queue_arn(self) -> str:
        """Of the queue that it watches, "" for none."""
        name = self.settings.queue_name
        return self.scope.arn("sqs", name) if name else ""

    def subscriber(self, route_arn: str) -> str:
        """Under which name the notices to one route are queued."""
        return f"{self.arn}#{self.generation}#{route_arn}"

    def moved(self, decision: Decision, now: float, reason_data: str | None = None) -> AlarmRecord:
        """In its new state, with the move in its history; topics and functions are to be told of every move."""
        change = Change(now, self.state, decision.state, decision.reason, reason_data)
        notices = self.notices
        if decision.state != self.state:
            notices = {to: told for to, told in notices.items() if not told.queued or is_route(parse_arn(to))}
        return msgspec.structs.replace(
            self,
            state=decision.state,
            reason=decision.reason,
            reason_data=reason_data,
            state_at=now,
            history=(*self.history, change)[-HISTORY_LENGTH:],
            moves=self.moves + 1,
            notices=notices,
        )


def untold(record: AlarmRecord) -> list[str]:
    """The routes that are still to be told of the present state, in the order of their actions.

    Ours: OK goes only to an alert route that was told of an ALARM before. Topics and functions are told as CloudWatch
    does, of every move, and not of a state that was there before they became an action.
    """
    routes: list[str] = []
    for route in dict.fromkeys(record.settings.actions(record.state)):
        last = record.notices.get(route)
        if last is None and not (record.state != OK if is_route(parse_arn(route)) else _moved_since(record)):
            continue
        if last is None or last.state != record.state:
            routes.append(route)
    return routes


def _moved_since(record: AlarmRecord) -> bool:
    """Whether the alarm moved into its state with the actions that it has now."""
    moves = (change.at for change in reversed(record.history) if change.before != change.state)
    return next(moves, float("-inf")) >= record.updated_at


def owed(record: AlarmRecord) -> list[tuple[str, Notice]]:
    """The notices that were written and are not yet known to be queued."""
    return [(route, notice) for route, notice in record.notices.items() if not notice.queued]


def unannounced(record: AlarmRecord) -> list[tuple[int, Change]]:
    """The moves that the bus was not told of, each with its number; to the same state again is none for it."""
    first = max(record.announced, record.moves - len(record.history))
    late = record.history[len(record.history) - (record.moves - first) :]
    return [(first + place, change) for place, change in enumerate(late, 1) if change.before != change.state]


def with_announced(record: AlarmRecord) -> AlarmRecord:
    return msgspec.structs.replace(record, announced=record.moves)


def is_settled(record: AlarmRecord) -> bool:
    """Whether nobody is to be told anything of its present state."""
    waiting = untold(record) or owed(record) or unannounced(record)
    return not waiting and settled(record) is record


def settled(record: AlarmRecord) -> AlarmRecord:
    """Without the notices of routes that are not told of an OK, once it is OK.

    A route with AlarmActions only must hear of the next ALARM again.
    """
    if record.state != OK:
        return record
    listed = record.settings.actions(OK)
    kept = {route: notice for route, notice in record.notices.items() if not notice.queued or route in listed}
    return record if len(kept) == len(record.notices) else msgspec.structs.replace(record, notices=kept)


def with_notice(record: AlarmRecord, route: str, message: str) -> AlarmRecord:
    """The present state is owed to `route`."""
    number = record.numbered + 1
    notice = Notice(record.state, number, message)
    return msgspec.structs.replace(record, numbered=number, notices={**record.notices, route: notice})


def with_queued(record: AlarmRecord, route: str) -> AlarmRecord:
    """The notice to `route` is queued; its message is not needed any more."""
    notice = msgspec.structs.replace(record.notices[route], queued=True, message="")
    return msgspec.structs.replace(record, notices={**record.notices, route: notice})


def check(settings: AlarmSettings) -> None:
    """Raises `AlarmFeatureNotBuilt` for what only AWS has, `InvalidAlarm` for what nobody takes."""
    if not math.isfinite(settings.threshold):
        raise InvalidAlarm(f"The value {settings.threshold} for parameter Threshold is not a number that can be met.")
    if settings.comparison not in COMPARISONS:
        raise AlarmFeatureNotBuilt(f"ComparisonOperator {settings.comparison} (anomaly bands) is not built yet.")
    if not settings.queries and not is_statistic(settings.statistic):
        raise AlarmFeatureNotBuilt(f"Statistic {settings.statistic} is not built yet: {', '.join(SIMPLE)} and pNN.")
    _check_queries(settings)
    if settings.missing not in (None, *TREATMENTS):
        wanted = ", ".join(TREATMENTS)
        raise InvalidAlarm(f"The value {settings.missing} for parameter TreatMissingData is not one of {wanted}.")
    _check_periods(settings)
    for action in (*settings.alarm_actions, *settings.ok_actions, *settings.insufficient_data_actions):
        if not is_action(parse_arn(action)):
            raise AlarmFeatureNotBuilt(
                f"action {action!r}: only SNS topics, Lambda functions and alert routes are built yet "
                f"(arn:aws:sns:<region>:<account>:<topic>, …:{ROUTE_PREFIX}<name>, arn:aws:lambda:…:function:<name>)."
            )


def _check_queries(settings: AlarmSettings) -> None:
    """Raises InvalidAlarm for what is no question with one answer."""
    if not settings.queries:
        return
    if len([query for query in settings.queries if query.returns]) != 1:
        raise InvalidAlarm("Exactly one element of the metrics list should return data.")
    metrics = sum(not query.expression for query in settings.queries)
    if metrics > METRICS_MAX or len(settings.queries) > QUERIES_MAX:
        raise InvalidAlarm(f"An alarm has at most {METRICS_MAX} metrics and {QUERIES_MAX} queries in all.")
    if len({query.id for query in settings.queries}) < len(settings.queries):
        raise InvalidAlarm("The ids of the metrics list are not all different.")
    try:
        queries = queries_of(settings)
        answers(queries, {one: {} for one in stats_in(queries)}, lambda _: [])
    except InvalidExpression as error:
        raise InvalidAlarm(str(error)) from error


def queries_of(settings: AlarmSettings) -> list[Query]:
    """What is asked of the metrics; of an alarm on one metric its statistic. Raises InvalidExpression."""
    if not settings.queries:
        return [Query("judged", _only_stat(settings), settings.period_s)]
    return [
        Query(one.id, parse(one.expression) if one.expression else _stat(one), one.period_s)
        for one in settings.queries
    ]


def stats_of(settings: AlarmSettings) -> list[Stat]:
    """The statistics of metrics that it looks at; what expressions make of them is not read."""
    if not settings.queries:
        return [_only_stat(settings)]
    return [_stat(query) for query in settings.queries if not query.expression]


def _only_stat(settings: AlarmSettings) -> Stat:
    metric = metric_of(settings.namespace, settings.metric_name, settings.dimensions)
    return Stat(metric, settings.period_s, settings.statistic, settings.unit or "")


def _stat(query: AlarmQuery) -> Stat:
    metric = metric_of(query.namespace, query.metric_name, query.dimensions)
    return Stat(metric, query.period_s, query.statistic, query.unit)


def judged_id(settings: AlarmSettings) -> str:
    return next((one.id for one in settings.queries if one.returns), "judged")


def _check_periods(settings: AlarmSettings) -> None:
    period, periods = settings.period_s, settings.evaluation_periods
    if period not in SHORT_PERIODS_S and (period <= 0 or period % 60):
        raise InvalidAlarm(f"Period {period} is not 10, 20, 30 or a multiple of 60.")
    if not settings.queue_name and period % 60:
        raise AlarmFeatureNotBuilt(
            f"Period {period}: points are kept by the minute; only a queue's depth is seen sooner."
        )
    if settings.datapoints_to_alarm is not None and settings.datapoints_to_alarm > periods:
        raise InvalidAlarm(
            f"DatapointsToAlarm ({settings.datapoints_to_alarm}) must not exceed EvaluationPeriods ({periods})."
        )
    for one in (period, *(query.period_s for query in settings.queries if query.period_s)):
        if settings.queries and (one <= 0 or one % 60):
            raise InvalidAlarm(f"Period {one} of a query is not a multiple of 60.")
        longest = EVALUATED_S_MAX if one < 3_600 else EVALUATED_S_MAX_OF_HOURS
        if one * periods > longest:
            raise InvalidAlarm(f"Metrics cannot be checked across more than {longest} seconds: {periods} x {one}.")


def is_action(arn: Arn | None) -> bool:
    """Whether an alarm of this server can do it: tell a topic or an alert route, or invoke a function."""
    if arn is None:
        return False
    return is_function(arn) or (arn.service == "sns" and ":" not in arn.resource)


def is_function(arn: Arn | None) -> bool:
    return arn is not None and arn.service == "lambda" and arn.resource.startswith("function:")


def is_route(arn: Arn | None) -> bool:
    return arn is not None and arn.service == "sns" and arn.resource.startswith(ROUTE_PREFIX)
