"""Sends alerts, over HTTP or by mail: one attempt, one answer. Trying again is the outbox's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial

from busway.alarm.record import ROUTE_PREFIX
from busway.alert import datadog, email, pagerduty, slack, webhook
from busway.alert.pace import PACES, PEOPLE
from busway.alert.payload import alert_of
from busway.alert.request import Alert, AlertMail, AlertRequest, Render, Rendered, Unready
from busway.alert.routes import Route, Routes, sealed_name
from busway.arn import Scope, parse_arn
from busway.clock import Clock
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.engine import Put
from busway.errors import (
    BadSecretKey,
    InvalidMail,
    InvalidSecret,
    MailRefused,
    MailServerUnavailable,
    SecretDeleted,
    SecretNotFound,
    SecretUnreadable,
    SecretValueNotFound,
    StorageFull,
)
from busway.mail.mailer import Mailer
from busway.metrics import Metrics
from busway.targets.post import Poster
from busway.trail import Trail

RENDER: Mapping[str, Render] = {
    "pagerduty": pagerduty.render,
    "datadog": datadog.render,
    "slack": slack.render,
    "email": email.render,
    "webhook": webhook.render,
}

# Ours. An alert's answer is small; a receiver must neither fill our memory nor hold us up.
ANSWER_BYTES_MAX = 64 * 1024
ANSWER_SHOWN_MAX = 300
ATTEMPT_S_MAX = 30.0
RETRY_AFTER_S_MAX = 3_600.0
ALARMS_NOTED_MAX = 100

# Printable characters of ASCII but for what JSON itself needs escaped.
_ESCAPED = re.compile(r"\\u00(2[013-9a-fA-F]|[3-4][0-9a-fA-F]|5[0-9abd-fABD-F]|6[0-9a-fA-F]|7[0-9a-eA-E])")

TOO_MANY_REQUESTS = 429
RETRIED_STATUSES = frozenset({408, 425, TOO_MANY_REQUESTS})


class AlertTarget:
    """The target of alert routes. `environ` holds secrets and SSL_CERT_FILE, `secret` opens what was sealed."""

    def __init__(
        self,
        routes: Routes,
        clock: Clock,
        environ: Mapping[str, str],
        *,
        secret: Callable[[Scope, str], str],
        mailer: Mailer,
        metrics: Metrics,
        trail: Trail,
    ) -> None:
        self._routes, self._clock, self._environ = routes, clock, environ
        self._secret, self._mailer, self._metrics, self._trail = secret, mailer, metrics, trail
        self._poster = Poster(clock, environ)

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        """Send once. A missing route or secret is retriable: it may be set up before the alert is too old."""
        route = self._routes.get(delivery.target_arn)
        alert = alert_of(delivery, self._clock.now())
        if route is None:
            name = delivery.target_arn.rsplit(":", 1)[-1].removeprefix(ROUTE_PREFIX)
            reason = f"there is no alert route {name}: busway alert set {name}"
            return self._noted(delivery, alert, Failed("NO_RESOURCE", reason, True))
        outcome, answer = Delivered(), ""
        for part in _parts(route, alert):
            outcome, answer = await self.tell(route, partial(_rendered, alert=part))
            if isinstance(outcome, Failed):
                break
        return self._noted(delivery, alert, outcome, answer)

    async def close(self) -> None:
        await self._poster.close()

    async def tell(self, route: Route, render: Callable[[Route, str], Rendered]) -> tuple[Outcome, str]:
        """The outcome, and what the receiver answered to what it took. `render` gets the route's secret."""
        try:
            rendered = render(route, self._secret_of(route))
        except (BadSecretKey, InvalidSecret, SecretUnreadable) as error:
            rendered = Unready(f"the sealed secret of the route {route.name} cannot be opened: {error}")
        if isinstance(rendered, Unready):
            return Failed("NO_PERMISSIONS", rendered.reason, True), ""
        return await (self._mail(rendered) if isinstance(rendered, AlertMail) else self._send(rendered))

    def _secret_of(self, route: Route) -> str:
        """From the environment, else what was sealed; "" when neither is there."""
        given = self._environ.get(route.secret_env, "")
        arn = parse_arn(route.arn)
        if given or not route.sealed or arn is None:
            return given
        try:
            return self._secret(arn.scope, sealed_name(route.name))
        except (SecretNotFound, SecretValueNotFound, SecretDeleted):
            return ""

    async def _mail(self, mail: AlertMail) -> tuple[Outcome, str]:
        try:
            await self._mailer.send(mail.letter, mail.message_id)
        except (MailServerUnavailable, StorageFull) as error:
            return Failed("CONNECTION_FAILURE", str(error), True), ""
        except (MailRefused, InvalidMail) as error:
            return Failed("ERROR_FROM_TARGET", str(error), False), ""
        return Delivered(), f"taken by {self._mailer.reached}"

    async def _send(self, request: AlertRequest) -> tuple[Outcome, str]:
        import httpx

        where = f"POST {request.shown_as or request.url}"
        try:
            async with self._clock.timeout(ATTEMPT_S_MAX):
                status, headers, body = await self._poster.ask(
                    request.url, request.headers, request.body, ANSWER_BYTES_MAX
                )
        except (httpx.TimeoutException, TimeoutError) as error:
            return Failed("TIMEOUT", f"{where}: no answer in time ({type(error).__name__})", True), ""
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = _without(request.hidden, f"{type(error).__name__}: {error}")
            return Failed("CONNECTION_FAILURE", f"{where}: {reason}", True), ""
        shown = _without(request.hidden, body.decode(errors="replace"))[:ANSWER_SHOWN_MAX]
        if 200 <= status < 300:
            return Delivered(), f"{status} {shown}".strip()
        retriable = status >= 500 or status in RETRIED_STATUSES or status in request.retried
        wait = headers.get("retry-after") or headers.get(request.wait_header, "")
        wait_s = _retry_after_s(wait, self._clock.now()) if retriable else 0.0
        code = "THROTTLING" if status == TOO_MANY_REQUESTS else "ERROR_FROM_TARGET"
        return Failed(code, f"{where} answered {status}: {shown}", retriable, wait_s), ""

    def _noted(self, delivery: Delivery, alert: Alert, outcome: Outcome, answer: str = "") -> Outcome:
        route = delivery.target_arn.rsplit(":", 1)[-1]
        facts: dict[str, object] = {"event_id": delivery.event_id, "route": route, "alarm": alert.message.AlarmName}
        facts["state"] = alert.message.NewStateValue
        if alert.others:
            told = [(message.AlarmName, message.NewStateValue) for message in alert.messages]
            facts |= {"alarms": told[:ALARMS_NOTED_MAX], "count": len(told)}
        if isinstance(outcome, Failed):
            facts |= {"error_code": outcome.code, "error_message": outcome.message}
        elif answer:
            facts["answer"] = answer
        name = "Failed" if isinstance(outcome, Failed) else "Delivered"
        self._metrics.count("Busway/Alerts", name, of=delivery.target_arn, Route=route)
        self._trail.note("alert", delivered=isinstance(outcome, Delivered), **facts)
        return outcome


def _rendered(route: Route, secret: str, alert: Alert) -> Rendered:
    return RENDER[route.kind](route, secret, alert)


def _parts(route: Route, alert: Alert) -> Sequence[Alert]:
    """One message for people; for others, which are told of one alarm at a time, one each.

    Several are left for those only where a route's kind was changed while they were under way.
    """
    if PACES[route.kind] is PEOPLE:
        return [alert]
    if not alert.others:
        return [alert]
    return [Alert(f"{alert.id}#{message.AlarmArn}", message, alert.at) for message in alert.messages]


def _without(hidden: Sequence[str], text: str) -> str:
    """Also where JSON writes letters as numbers: whoever reads it as JSON would have the secret."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    for part in hidden:
        text = text.replace(part, "[secret]")
    return text


def _retry_after_s(text: str, now: float) -> float:
    """Seconds of a Retry-After header (a number or a date), 0.0 when there is none that can be read."""
    try:
        seconds = float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), RETRY_AFTER_S_MAX)
