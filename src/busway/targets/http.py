"""Sends alerts over HTTP: one attempt, one answer. Trying again is the outbox's."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from busway.alarm.notice import AlarmMessage
from busway.alarm.record import ROUTE_PREFIX
from busway.alert import pagerduty, webhook
from busway.alert.request import Alert, AlertRequest, Render, Unready
from busway.alert.routes import Routes, is_loopback
from busway.clock import Clock
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.engine import Put
from busway.metrics import Metrics
from busway.trail import Trail

if TYPE_CHECKING:
    # It takes a tenth of a second to import: only where there are alerts to be sent, and not at every start.
    import httpx

RENDER: Mapping[str, Render] = {"pagerduty": pagerduty.render, "webhook": webhook.render}

# Ours. An alert's answer is small; a receiver must neither fill our memory nor hold us up.
ANSWER_BYTES_MAX = 64 * 1024
ANSWER_SHOWN_MAX = 300
TIMEOUT_S = 15.0
ATTEMPT_S_MAX = 30.0
RETRY_AFTER_S_MAX = 3_600.0

TOO_MANY_REQUESTS = 429
RETRIED_STATUSES = frozenset({408, 425, TOO_MANY_REQUESTS})


class AlertTarget:
    """The target of alert routes. `environ` is where secrets and SSL_CERT_FILE are looked up."""

    def __init__(
        self, routes: Routes, clock: Clock, environ: Mapping[str, str], *, metrics: Metrics, trail: Trail
    ) -> None:
        self._routes, self._clock, self._environ = routes, clock, environ
        self._metrics, self._trail = metrics, trail
        self._clients: dict[bool, httpx.AsyncClient] = {}

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        """Send once. A missing route or secret is retriable: it may be set up before the alert is too old."""
        route = self._routes.get(delivery.target_arn)
        message = msgspec.json.decode(delivery.payload, type=AlarmMessage)
        if route is None:
            name = delivery.target_arn.rsplit(":", 1)[-1].removeprefix(ROUTE_PREFIX)
            reason = f"there is no alert route {name}: busway alert set {name}"
            return self._noted(delivery, Failed("NO_RESOURCE", reason, True), message)
        alert = Alert(delivery.event_id, message, self._clock.now())
        request = RENDER[route.kind](route, self._environ.get(route.secret_env, ""), alert)
        if isinstance(request, Unready):
            return self._noted(delivery, Failed("NO_PERMISSIONS", request.reason, True), message)
        return self._noted(delivery, await self._send(request), message)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _send(self, request: AlertRequest) -> Outcome:
        import httpx

        try:
            async with self._clock.timeout(ATTEMPT_S_MAX):
                status, headers, answer = await self._post(request)
        except (httpx.TimeoutException, TimeoutError) as error:
            return Failed("TIMEOUT", f"POST {request.url}: no answer in time ({type(error).__name__})", True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = _without(request.secret, f"{type(error).__name__}: {error}")
            return Failed("CONNECTION_FAILURE", f"POST {request.url}: {reason}", True)
        if 200 <= status < 300:
            return Delivered()
        shown = _without(request.secret, answer.decode(errors="replace"))[:ANSWER_SHOWN_MAX]
        retriable = status >= 500 or status in RETRIED_STATUSES
        wait_s = _retry_after_s(headers.get("retry-after", ""), self._clock.now()) if retriable else 0.0
        code = "THROTTLING" if status == TOO_MANY_REQUESTS else "ERROR_FROM_TARGET"
        return Failed(code, f"POST {request.url} answered {status}: {shown}", retriable, wait_s)

    async def _post(self, request: AlertRequest) -> tuple[int, httpx.Headers, bytes]:
        client = self._client(direct=is_loopback(request.url))
        # An answer that is short only while it is compressed would pass by the limit.
        headers = {"accept-encoding": "identity", "user-agent": "Busway", **request.headers}
        post = client.stream("POST", request.url, content=request.body, headers=headers)
        async with post as response:
            answer = b""
            async for chunk in response.aiter_raw():
                answer += chunk[: ANSWER_BYTES_MAX - len(answer)]
                if len(answer) >= ANSWER_BYTES_MAX:
                    break
            return response.status_code, response.headers, answer

    def _client(self, direct: bool) -> httpx.AsyncClient:
        """One client for each way out; `direct` passes by the environment's proxies."""
        import httpx

        if direct not in self._clients:
            # SSL_CERT_FILE first, as OpenSSL's own tools do, so that a private authority works.
            context = ssl.create_default_context(cafile=self._environ.get("SSL_CERT_FILE") or None)
            # Redirects are not followed: they would carry the secret to whoever the answer names.
            self._clients[direct] = httpx.AsyncClient(
                verify=context, timeout=TIMEOUT_S, follow_redirects=False, trust_env=not direct
            )
        return self._clients[direct]

    def _noted(self, delivery: Delivery, outcome: Outcome, message: AlarmMessage) -> Outcome:
        route = delivery.target_arn.rsplit(":", 1)[-1]
        facts = {"event_id": delivery.event_id, "route": route, "alarm": delivery.target_id}
        facts["state"] = message.NewStateValue
        if isinstance(outcome, Failed):
            facts |= {"error_code": outcome.code, "error_message": outcome.message}
        name = "Failed" if isinstance(outcome, Failed) else "Delivered"
        self._metrics.count("Busway/Alerts", name, of=delivery.target_arn, Route=route)
        self._trail.note("alert", delivered=isinstance(outcome, Delivered), **facts)
        return outcome


def _without(secret: str, text: str) -> str:
    return text.replace(secret, "[secret]") if secret else text


def _retry_after_s(text: str, now: float) -> float:
    """Seconds of a Retry-After header (a number or a date), 0.0 when there is none that can be read."""
    try:
        seconds = float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError):
        return 0.0
    return min(max(0.0, seconds), RETRY_AFTER_S_MAX)
